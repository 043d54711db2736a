package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	pollers  = 16 // connections
	pollTime = 2 * time.Second
)

// polls is how many polls of an unchanged channel a process answers in a second.
var polls = figure{"polls", func(ctx context.Context, l *lab) ([]row, error) {
	r := row{
		name: "polls a second, `If-None-Match` → 304", against: "a chi handler that answers a constant 304",
		unit: "1/s", aim: aim{bound: 0.3, atLeast: true},
		note: fmt.Sprintf("%d kept connections; the requests are written and the answers read without an HTTP client, which would cost more than the server", pollers),
	}
	err := l.pair(ctx, func(p *product, _ *baseline) error {
		if _, err := p.link(ctx, 1, 1); err != nil {
			return err
		}
		all, err := p.channels(ctx)
		if err != nil {
			return err
		}
		var c channel
		resp, err := p.call(ctx, "GET", companyPath+"/"+all[0].ID, "", nil, &c)
		if err != nil {
			return err
		}
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		constant, err := start(ctx, p.dir, l.raw, nil, []string{"-constant", addr})
		if err != nil {
			return err
		}
		defer constant.kill()
		request := fmt.Sprintf("GET %s/%s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nIf-None-Match: %s\r\n\r\n",
			companyPath, c.ID, p.key, resp.Header.Get("ETag"))
		err = eventually(ctx, func() (bool, error) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return false, nil // it does not listen yet
			}
			return true, conn.Close()
		})
		if err != nil {
			return err
		}
		for i := range l.rounds + 1 {
			ours, err := pollRate(ctx, p.addr, request)
			if err != nil {
				return err
			}
			theirs, err := pollRate(ctx, addr, request)
			if err != nil {
				return err
			}
			if i > 0 { // the first round only warms both up
				r.add(ours, theirs)
			}
		}
		return nil
	})
	return []row{r}, err
}}

// pollRate polls over many connections, each as fast as it is answered, and
// returns how many answers came in a second.
func pollRate(ctx context.Context, addr, request string) (float64, error) {
	var answers atomic.Int64
	began := time.Now()
	end := began.Add(pollTime)
	group, ctx := errgroup.WithContext(ctx)
	for range pollers {
		group.Go(func() error {
			n, err := pollUntil(ctx, addr, request, end)
			answers.Add(n)
			return err
		})
	}
	err := group.Wait()
	return float64(answers.Load()) / time.Since(began).Seconds(), err
}

func pollUntil(ctx context.Context, addr, request string, end time.Time) (n int64, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	out := []byte(request)
	for time.Now().Before(end) {
		if err := conn.SetDeadline(end.Add(5 * time.Second)); err != nil {
			return n, err
		}
		if _, err := conn.Write(out); err != nil {
			return n, err
		}
		if err := readNotModified(in); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// readNotModified reads a 304, which has no body.
func readNotModified(in *bufio.Reader) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 304 ")) {
		rest, _ := textproto.NewReader(in).ReadMIMEHeader()
		body, _ := io.ReadAll(io.LimitReader(in, 200))
		return fmt.Errorf("a poll was answered %q %v %s", strings.TrimSpace(string(line)), rest, body)
	}
	for len(bytes.TrimRight(line, "\r\n")) > 0 {
		if line, err = in.ReadSlice('\n'); err != nil {
			return err
		}
	}
	return nil
}
