// Package wire is what the benchmarks and the raw baseline say to each other,
// and what both ask of the test server.
package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// The commands.
const (
	Link    = "link"    // link Count new devices, Parallel at a time
	Restore = "restore" // connect every stored device
	Receive = "receive" // wait until Count more messages have come
	Send    = "send"    // send Count messages from each device to its contact, one after the other
)

// Command asks something of the baseline.
type Command struct {
	Do       string `json:"do"`
	Count    int    `json:"count,omitempty"`
	Parallel int    `json:"parallel,omitempty"`
	First    int    `json:"first,omitempty"` // the first phone's place in the row of numbers
	Text     string `json:"text,omitempty"`  // of the messages to send
}

// Answer says how long it took.
type Answer struct {
	Links []Times `json:"links,omitempty"`
	// Arrivals are of the messages that were waited for.
	Arrivals []Arrival `json:"arrivals,omitempty"`
	// Total is from the command to the last device's being connected.
	Total time.Duration `json:"total"`
	Count int           `json:"count"`
	Error string        `json:"error,omitempty"`
}

// Times are those of one device.
type Times struct {
	QR   time.Duration `json:"qr"`   // from the wish to the code
	Scan time.Duration `json:"scan"` // from the scan to being connected
}

// Arrival is the moment at which a message was known to the client's user.
type Arrival struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// Number is the i-th phone number of a row; rows do not overlap.
func Number(row, i int) string { return fmt.Sprintf("49%02d%09d", row, i) }

// The rows.
const (
	RawRow     = 15
	ProductRow = 17
)

// contactRows is how far the rows of contacts are from those of accounts.
const contactRows = 20

// Contact is the number that an account of one of the rows writes with.
func Contact(account string) string {
	n, err := strconv.ParseUint(account, 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n+contactRows*1_000_000_000, 10)
}

// Scan has a phone of the test server scan a code. base is the server's address, http://host:port.
func Scan(ctx context.Context, client *http.Client, base, number, code string) error {
	body, err := json.Marshal(map[string]string{"qr": code})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/phones/"+number+"/scan", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("scan: %s: %s", resp.Status, answer)
	}
	return nil
}

// LinkAll links count devices, parallel at a time, with link, which is given
// their places. It returns the times in that order.
func LinkAll(count, parallel int, link func(i int) (Times, error)) ([]Times, error) {
	times := make([]Times, count)
	var group errgroup.Group
	group.SetLimit(parallel)
	for i := range count {
		group.Go(func() (err error) {
			times[i], err = link(i)
			return err
		})
	}
	return times, group.Wait()
}
