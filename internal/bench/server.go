package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// testServer is a WhatsApp server of its own process.
type testServer struct {
	*process
	base string // http://host:port
	url  string // ws://host:port/ws/chat
	root string // its root key, in hex
	web  *http.Client
}

func (l *lab) startServer(ctx context.Context, dir string) (*testServer, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &testServer{
		base: "http://" + addr, url: "ws://" + addr + "/ws/chat",
		web: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	if s.process, err = start(ctx, dir, l.server, nil, []string{"--addr", addr}); err != nil {
		return nil, err
	}
	for s.root == "" {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.kill()
			return nil, fmt.Errorf("the test server said no root key: %w", err)
		}
		if rest, ok := strings.CutPrefix(line, "root key"); ok {
			s.root = strings.TrimSpace(rest)
		}
	}
	return s, eventually(ctx, func() (bool, error) { _, err := s.stats(ctx); return err == nil, nil })
}

// stats are what the server has counted.
type stats struct {
	Logins      int `json:"logins"`
	Connections int `json:"connections"`
	// Unacknowledged are the stanzas for clients that no client has acknowledged yet.
	Unacknowledged int `json:"unacknowledged"`
}

func (s *testServer) stats(ctx context.Context) (n stats, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/stats", nil)
	if err != nil {
		return n, err
	}
	resp, err := s.web.Do(req)
	if err != nil {
		return n, err
	}
	defer resp.Body.Close()
	return n, json.NewDecoder(resp.Body).Decode(&n)
}

// alone returns the server's counts when it has noticed that every client is gone.
func (s *testServer) alone(ctx context.Context) (n stats, err error) {
	err = eventually(ctx, func() (bool, error) {
		n, err = s.stats(ctx)
		return n.Connections == 0, err
	})
	return n, err
}

func (s *testServer) scan(ctx context.Context, number, code string) error {
	return wire.Scan(ctx, s.web, s.base, number, code)
}

// eventually asks until done, every 5 ms, so as not to be what is measured, and for
// two minutes at most.
func eventually(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
