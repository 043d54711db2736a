package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// product is `enlace serve` on one data folder, used over HTTP alone; or `enlace api`
// there, with processes of `enlace worker` beside it.
type product struct {
	program string
	apart   int // how many workers of their own are launched; 0: serve
	lease   string
	workers []*process
	dir     string
	addr    string
	server  *testServer
	key     string
	web     *http.Client
	linked  int
	*process
}

const companyPath = "/v1/companies/bench/channels"

func (l *lab) newProduct(server *testServer, dir string) (*product, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return &product{
		program: l.product, dir: dir, addr: addr, server: server,
		web: &http.Client{
			Timeout:   time.Minute,
			Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		},
	}, nil
}

// stage starts a test server and returns a product that is to use it, in an empty
// folder of its own. The server is the caller's to kill.
func (l *lab) stage(ctx context.Context) (*product, error) {
	dir, err := l.fresh()
	if err != nil {
		return nil, err
	}
	server, err := l.startServer(ctx, dir)
	if err != nil {
		return nil, err
	}
	p, err := l.newProduct(server, dir)
	if err != nil {
		server.kill()
		return nil, err
	}
	return p, nil
}

// launch starts the process, on the folder of the one before if there was one.
func (p *product) launch(ctx context.Context) (err error) {
	role := "serve"
	p.workers = nil
	if p.apart > 0 {
		role = "api"
		if err := p.setUp(ctx); err != nil {
			return err
		}
	}
	for range p.apart {
		if err := p.startWorker(ctx); err != nil {
			return err
		}
	}
	p.process, err = start(ctx, p.dir, p.program, p.env(), append([]string{role, "--addr", p.addr}, p.data()...))
	return err
}

func (p *product) startWorker(ctx context.Context) error {
	worker, err := start(ctx, p.dir, p.program, append(p.env(), "ENLACE_LEASE="+p.lease), append([]string{"worker"}, p.data()...))
	if err == nil {
		p.workers = append(p.workers, worker)
	}
	return err
}

func (p *product) env() []string {
	return []string{"ENLACE_WHATSAPP_URL=" + p.server.url, "ENLACE_WHATSAPP_ROOT_KEY=" + p.server.root}
}

func (p *product) data() []string { return []string{"--data", filepath.Join(p.dir, "data")} }

// setUp makes the first key, which serve does by itself.
func (p *product) setUp(ctx context.Context) error {
	if p.key != "" {
		return nil
	}
	out, err := exec.CommandContext(ctx, p.program, append([]string{"setup"}, p.data()...)...).Output()
	p.key = strings.TrimSpace(string(out))
	return err
}

// kill ends all processes of the product as kill -9 does.
func (p *product) kill() {
	for _, worker := range p.workers {
		worker.kill()
	}
	p.process.kill()
}

// start launches the process and returns when it answers.
func (p *product) start(ctx context.Context) error {
	if err := p.launch(ctx); err != nil {
		return err
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	if p.key != "" {
		return nil
	}
	key, err := os.ReadFile(filepath.Join(p.dir, "data", "admin.key"))
	p.key = strings.TrimSpace(string(key))
	return err
}

func (p *product) ready(ctx context.Context) error {
	return eventually(ctx, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/readyz", nil)
		if err != nil {
			return false, err
		}
		resp, err := p.web.Do(req)
		if err != nil {
			return false, nil // it does not listen yet
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

// channel is what the bench reads of one.
type channel struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	PhoneNumber string `json:"phoneNumber"`
	QR          *struct {
		Code string `json:"code"`
	} `json:"qr"`
	ConnectedAt time.Time `json:"connectedAt"`
	etag        string
}

// call makes a request and reads its JSON answer, if it is one of success, into answer.
func (p *product) call(ctx context.Context, method, path, body string, header http.Header, answer any) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.addr+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := p.web.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusNotModified:
		return resp, nil
	case resp.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp, json.Unmarshal(text, answer)
}

// connect asks for a new channel.
func (p *product) connect(ctx context.Context, name string) (c channel, err error) {
	resp, err := p.call(ctx, http.MethodPost, companyPath, `{"type":"WHATSAPP_WEB","name":"`+name+`"}`, nil, &c)
	if err == nil {
		c.etag = resp.Header.Get("ETag")
	}
	return c, err
}

// await holds polls of a channel until it is as wanted.
func (p *product) await(ctx context.Context, c channel, wanted func(channel) bool) (channel, error) {
	for !wanted(c) {
		if c.Status != "connecting" && c.Status != "active" {
			return c, errors.New("the channel became " + c.Status)
		}
		var now channel
		header := http.Header{"If-None-Match": {c.etag}, "Prefer": {"wait=25"}}
		resp, err := p.call(ctx, http.MethodGet, companyPath+"/"+c.ID, "", header, &now)
		if err != nil {
			return c, err
		}
		if resp.StatusCode != http.StatusNotModified {
			c, c.etag = now, resp.Header.Get("ETag")
		}
	}
	return c, nil
}

func hasQR(c channel) bool { return c.QR != nil }

func isActive(c channel) bool { return c.Status == "active" }

// linkOne links one new channel.
func (p *product) linkOne(ctx context.Context, i int) (wire.Times, error) {
	var t wire.Times
	began := time.Now()
	c, err := p.connect(ctx, fmt.Sprintf("c%d", i))
	if err != nil {
		return t, err
	}
	if c, err = p.await(ctx, c, hasQR); err != nil {
		return t, err
	}
	t.QR = time.Since(began)

	began = time.Now()
	if err := p.server.scan(ctx, wire.Number(wire.ProductRow, i), c.QR.Code); err != nil {
		return t, err
	}
	_, err = p.await(ctx, c, isActive)
	t.Scan = time.Since(began)
	return t, err
}

// link links new channels, some at a time.
func (p *product) link(ctx context.Context, count, parallel int) ([]wire.Times, error) {
	first := p.linked
	p.linked += count
	return wire.LinkAll(count, parallel, func(i int) (wire.Times, error) { return p.linkOne(ctx, first+i) })
}

// back starts the process after a kill and returns how long it took until all
// channels were active again.
func (p *product) back(ctx context.Context) (time.Duration, error) {
	before, err := p.server.alone(ctx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.launch(ctx); err != nil {
		return 0, err
	}
	// The server is cheaper to ask than the product, which has other things to do.
	err = eventually(ctx, func() (bool, error) {
		now, err := p.server.stats(ctx)
		return now.Logins >= before.Logins+p.linked, err
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for the logins: %w", err)
	}
	err = eventually(ctx, func() (bool, error) {
		all, err := p.channels(ctx)
		if err != nil {
			return false, err
		}
		for _, c := range all {
			if !isActive(c) || c.ConnectedAt.Before(began) {
				return false, nil
			}
		}
		return len(all) == p.linked, nil
	})
	return time.Since(began), err
}

// channels are all there are.
func (p *product) channels(ctx context.Context) ([]channel, error) {
	var list struct {
		Channels []channel `json:"channels"`
	}
	_, err := p.call(ctx, http.MethodGet, companyPath+"?limit=1000", "", nil, &list)
	return list.Channels, err
}
