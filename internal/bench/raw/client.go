package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// patience bounds each step of a client.
const patience = 2 * time.Minute

// client is one client with what it tells.
type client struct {
	wa    *whatsmeow.Client
	codes chan string
	ready chan struct{}
	ended chan error
	// arrived is told of each message.
	arrived chan<- wire.Arrival
}

// newClient makes a client of a device.
func (f *fleet) newClient(device *store.Device) *client {
	c := &client{
		wa:    whatsmeow.NewClient(device, nil),
		codes: make(chan string, 1),
		ready: make(chan struct{}, 1),
		ended: make(chan error, 1),

		arrived: f.arrived,
	}
	c.wa.SetWebsocketHTTPClient(f.web)
	c.wa.SetPreLoginHTTPClient(f.web)
	c.wa.SetMediaHTTPClient(f.web)
	c.wa.EnableAutoReconnect = false // a cut connection is a failed run
	c.wa.SynchronousAck = !f.eager
	c.wa.EnableDecryptedEventBuffer = !f.eager
	c.wa.ManualHistorySyncDownload = true
	c.wa.AddEventHandler(c.handle)

	f.mu.Lock()
	defer f.mu.Unlock()
	f.clients = append(f.clients, c.wa)
	return c
}

func (c *client) handle(event any) {
	switch e := event.(type) {
	case *events.Message:
		c.arrived <- wire.Arrival{ID: e.Info.ID, At: time.Now()}
	case *events.QR:
		send(c.codes, e.Codes[0])
	case *events.Connected:
		send(c.ready, struct{}{})
	case *events.PairError:
		send(c.ended, fmt.Errorf("pairing: %w", e.Error))
	case *events.Disconnected, *events.LoggedOut, *events.StreamReplaced, *events.StreamError, *events.ConnectFailure:
		send(c.ended, fmt.Errorf("ended by %T", e))
	}
}

func send[T any](to chan T, value T) {
	select {
	case to <- value:
	default:
	}
}

// code returns the first code that the client may show.
func (c *client) code(ctx context.Context) (string, error) { return await(ctx, c, c.codes) }

// connected returns when the client is logged in and has uploaded its prekeys.
func (c *client) connected(ctx context.Context) error {
	_, err := await(ctx, c, c.ready)
	return err
}

func await[T any](ctx context.Context, c *client, from chan T) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var none T
	select {
	case value := <-from:
		return value, nil
	case err := <-c.ended:
		return none, err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// rewrite sends every request to one host, without TLS.
type rewrite struct {
	base http.RoundTripper
	host string
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.Host = "http", r.host, r.host
	return r.base.RoundTrip(req)
}
