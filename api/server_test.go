package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

// serve puts the API behind a real server.
func (b *bundle) serve() *httptest.Server {
	server := httptest.NewServer(b.handler)
	b.Cleanup(server.Close)
	return server
}

// hold sends n held requests to server, and returns when all of them wait. Their
// statuses come from wait, 0 for one that got no answer.
func (b *bundle) hold(ctx context.Context, server *httptest.Server, n int) (wait func() []int) {
	b.Helper()
	path := pathOf(b.connect("default"))
	before, _ := b.table.counts()
	statuses := make([]int, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
			if err != nil {
				b.Error(err)
				return
			}
			r.Header = headers("Authorization", "Bearer "+b.keys[store.Viewer], "If-None-Match", `"1"`, "Prefer", "wait=60")
			response, err := server.Client().Do(r)
			if err != nil {
				return
			}
			_ = response.Body.Close()
			statuses[i] = response.StatusCode
		})
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if reads, _ := b.table.counts(); reads-before > n { // the key once, the channel for each
			return func() []int { group.Wait(); return statuses }
		}
		if time.Now().After(deadline) {
			b.Fatal("the requests do not arrive")
		}
	}
}

func TestServer_DrainsHeldRequestsAtOnce(t *testing.T) {
	b := setup(t)
	server := httptest.NewServer(b.handler)
	wait := b.hold(t.Context(), server, 20)
	begin := time.Now()
	b.drain()
	server.Close() // waits for what is under way
	for _, status := range wait() {
		if status != http.StatusNotModified {
			t.Errorf("want 304 for every held request, got %d", status)
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("want no hold outlived, took %s", took)
	}
}

func TestServer_HoldsEndWhenCallersGoAway(t *testing.T) {
	b := setup(t)
	server := httptest.NewServer(b.handler)
	ctx, leave := context.WithCancel(t.Context())
	wait := b.hold(ctx, server, 20)
	begin := time.Now()
	leave()
	wait()
	server.Close() // waits for what is under way
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("want no hold outlived, took %s", took)
	}
}
