package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// post is a message of a phone of the test server.
type post struct {
	To   string `json:"to"`
	Text string `json:"text"`
	// Hold has it encrypted now and sent at the release.
	Hold bool `json:"hold,omitempty"`
}

func (s *testServer) send(ctx context.Context, number string, m post) error {
	return s.phone(ctx, http.MethodPost, number, "messages", m, nil)
}

// release sends all that a phone holds.
func (s *testServer) release(ctx context.Context, number string) error {
	return s.phone(ctx, http.MethodPost, number, "release", struct{}{}, nil)
}

// off switches a phone off: what comes for it waits, and it answers nothing.
func (s *testServer) off(ctx context.Context, number string) error {
	return s.phone(ctx, http.MethodPost, number, "online", map[string]bool{"online": false}, nil)
}

// sentAt tells when each message of a phone was handed to the server, encrypted.
func (s *testServer) sentAt(ctx context.Context, number string) (map[string]time.Time, error) {
	boxes, err := s.boxes(ctx, number)
	return boxes.Sent.times(), err
}

// receivedAt tells when a phone had each message that came to it, decrypted.
func (s *testServer) receivedAt(ctx context.Context, number string) (map[string]time.Time, error) {
	boxes, err := s.boxes(ctx, number)
	return boxes.Messages.times(), err
}

type box []struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

func (b box) times() map[string]time.Time {
	times := make(map[string]time.Time, len(b))
	for _, m := range b {
		times[m.ID] = m.At
	}
	return times
}

func (s *testServer) boxes(ctx context.Context, number string) (boxes struct{ Messages, Sent box }, err error) {
	err = s.phone(ctx, http.MethodGet, number, "messages", nil, &boxes)
	return boxes, err
}

// phone makes a call about a phone; answer may be nil.
func (s *testServer) phone(ctx context.Context, method, number, what string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+"/phones/"+number+"/"+what, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := s.web.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s of a phone: %s: %s", what, resp.Status, text)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}

// quiet returns when clients have acknowledged all that there is for them.
func (s *testServer) quiet(ctx context.Context) error {
	return eventually(ctx, func() (bool, error) {
		n, err := s.stats(ctx)
		return n.Unacknowledged == 0, err
	})
}
