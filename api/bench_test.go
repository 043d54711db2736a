package api_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/enlacehq/enlace/store"
)

// The poll that most requests are: a channel that has not changed. It is measured
// beside a bare chi handler that answers a constant, as handlers and over the wire.

func BenchmarkPoll(b *testing.B) {
	fixture := setup(b)
	path := pathOf(fixture.connect("default"))
	key := fixture.keys[store.Viewer]
	constant := chi.NewRouter()
	constant.Get("/v1/companies/{companyId}/channels/{channelId}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{{"constant", constant}, {"enlace", fixture.handler}} {
		b.Run(c.name+"/handler", func(b *testing.B) { pollHandler(b, c.handler, path, key) })
		b.Run(c.name+"/wire", func(b *testing.B) { pollWire(b, c.handler, path, key) })
	}
}

func pollHandler(b *testing.B, handler http.Handler, path, key string) {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("If-None-Match", `"1"`)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusNotModified {
			b.Fatal(w.Code)
		}
	}
}

// pollWire is one connection after another request, written by hand: a real
// client would cost more than what is measured.
func pollWire(b *testing.B, handler http.Handler, path, key string) {
	server := httptest.NewServer(handler)
	defer server.Close()
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: enlace\r\nAuthorization: Bearer " + key + "\r\nIf-None-Match: \"1\"\r\n\r\n")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		for pb.Next() {
			if _, err := conn.Write(request); err != nil {
				b.Error(err)
				return
			}
			if err := readHead(conn); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// readHead reads an answer without a body to its empty line.
func readHead(r io.Reader) error {
	var head [2048]byte
	for n := 0; ; {
		m, err := r.Read(head[n:])
		if err != nil {
			return err
		}
		if n += m; n >= 4 && string(head[n-4:n]) == "\r\n\r\n" {
			return nil
		}
	}
}
