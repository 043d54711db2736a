package whatsapptest

import (
	"fmt"
	"net/http"
	"net/url"
)

// Transport sends requests that are meant for WhatsApp's hosts to another
// server. Given to an http.Client, it brings clients that dial
// wss://web.whatsapp.com to a Server.
type Transport struct {
	to   *url.URL
	base http.RoundTripper
}

var _ http.RoundTripper = (*Transport)(nil)

// NewTransport makes a Transport to the server at address, of which scheme (ws
// or http, wss or https) and host count. base does the work; nil is a plain
// transport of its own.
func NewTransport(address string, base http.RoundTripper) (*Transport, error) {
	to, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	switch to.Scheme {
	case "ws", "http":
		to.Scheme = "http"
	case "wss", "https":
		to.Scheme = "https"
	default:
		return nil, fmt.Errorf("a server's address begins with ws, wss, http or https, not %q", to.Scheme)
	}
	if base == nil {
		base = &http.Transport{}
	}
	return &Transport{to: to, base: base}, nil
}

// RoundTrip does the request at the Transport's server.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = t.to.Scheme, t.to.Host
	r.Host = t.to.Host
	return t.base.RoundTrip(r)
}
