package socket

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Endpoint is a server to connect to in WhatsApp's place. The zero value is
// WhatsApp itself.
type Endpoint struct {
	// URL is the address of the server's websocket, ws:// or wss://. Every request
	// goes to its host; the websocket's also to its path, if it has one.
	URL *url.URL
	// RootKey is the public key that signs the server's Noise certificates.
	RootKey [32]byte
}

// ParseEndpoint makes an Endpoint of a websocket URL and a root key of 64 hex
// digits. Both empty is WhatsApp itself; only one of them is an error.
func ParseEndpoint(address, rootKey string) (Endpoint, error) {
	if address == "" && rootKey == "" {
		return Endpoint{}, nil
	}
	if address == "" || rootKey == "" {
		return Endpoint{}, errors.New("the URL of a WhatsApp server and its root key go together")
	}
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return Endpoint{}, fmt.Errorf("URL of the WhatsApp server: %w", err)
	case u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "":
		return Endpoint{}, fmt.Errorf("URL of the WhatsApp server: %q is not ws://host… or wss://host…", address)
	}
	key, err := hex.DecodeString(rootKey)
	if err != nil || len(key) != 32 {
		return Endpoint{}, errors.New("root key of the WhatsApp server: want 32 bytes in hex")
	}
	return Endpoint{URL: u, RootKey: [32]byte(key)}, nil
}

// transport returns the way of all requests to the endpoint: base itself, or base
// behind a rewriting of scheme and host.
func (e Endpoint) transport(base http.RoundTripper) http.RoundTripper {
	if e.URL == nil {
		return base
	}
	r := &rewrite{base: base, scheme: "http", host: e.URL.Host, path: e.URL.Path}
	if e.URL.Scheme == "wss" {
		r.scheme = "https"
	}
	return r
}

// rewrite sends every request to one host.
type rewrite struct {
	base               http.RoundTripper
	scheme, host, path string
}

var _ http.RoundTripper = (*rewrite)(nil)

func (r *rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.Host = r.scheme, r.host, r.host
	if r.path != "" && req.Header.Get("Upgrade") != "" {
		req.URL.Path = r.path
	}
	return r.base.RoundTrip(req)
}

// newTransport returns the transport that all sessions of a program share.
// A connection serves one request: a websocket takes it over anyway, and none
// that one session left behind may serve another.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{
			Timeout:   15 * time.Second,
			KeepAlive: 30 * time.Second,
		}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 15 * time.Second,
		DisableKeepAlives:     true,
		ReadBufferSize:        4 << 10,
		WriteBufferSize:       4 << 10,
	}
}
