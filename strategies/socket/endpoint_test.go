package socket

import (
	"net/http"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	key := strings.Repeat("0f", 32)
	for name, tc := range map[string]struct {
		address, key string
		ok           bool
	}{
		"none":           {"", "", true},
		"ws":             {"ws://127.0.0.1:9000/ws/chat", key, true},
		"wss":            {"wss://example.org", key, true},
		"no key":         {"ws://127.0.0.1:9000/ws/chat", "", false},
		"no address":     {"", key, false},
		"short key":      {"ws://127.0.0.1:9000", key[2:], false},
		"no hex":         {"ws://127.0.0.1:9000", "zz" + key[2:], false},
		"another scheme": {"http://127.0.0.1:9000", key, false},
		"no host":        {"ws:///ws/chat", key, false},
		"no URL":         {"ws://%zz", key, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseEndpoint(tc.address, tc.key)
			if (err == nil) != tc.ok {
				t.Fatalf("got %v, want ok: %v", err, tc.ok)
			}
			if tc.ok && tc.key != "" && (e.RootKey != [32]byte([]byte(strings.Repeat("\x0f", 32))) || e.URL.String() != tc.address) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// sawRequest keeps the request.
type sawRequest struct{ url, host string }

func (s *sawRequest) RoundTrip(r *http.Request) (*http.Response, error) {
	s.url, s.host = r.URL.String(), r.Host
	return nil, errTest
}

func TestEndpoint_TakesEveryRequest(t *testing.T) {
	for name, tc := range map[string]struct{ address, request, upgrade, want string }{
		"websocket":      {"ws://127.0.0.1:9000/ws/chat", "https://web.whatsapp.com/ws/chat", "websocket", "http://127.0.0.1:9000/ws/chat"},
		"another path":   {"ws://127.0.0.1:9000/wa", "https://web.whatsapp.com/ws/chat", "websocket", "http://127.0.0.1:9000/wa"},
		"no path":        {"ws://127.0.0.1:9000", "https://web.whatsapp.com/ws/chat", "websocket", "http://127.0.0.1:9000/ws/chat"},
		"version page":   {"ws://127.0.0.1:9000/wa", "https://web.whatsapp.com", "", "http://127.0.0.1:9000"},
		"media over TLS": {"wss://example.org:444/wa", "https://mmg.whatsapp.net/v/t62?a=b", "", "https://example.org:444/v/t62?a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseEndpoint(tc.address, strings.Repeat("00", 32))
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.request, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tc.upgrade != "" {
				req.Header.Set("Upgrade", tc.upgrade)
			}
			var saw sawRequest
			_, _ = e.transport(&saw).RoundTrip(req)
			if saw.url != tc.want || saw.host != e.URL.Host {
				t.Errorf("went to %s (host %s), want %s", saw.url, saw.host, tc.want)
			}
			if req.URL.String() != tc.request {
				t.Errorf("the request itself was changed to %s", req.URL)
			}
		})
	}
}
