package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

type shownWorker struct {
	ID          string
	State       string
	StartedAt   time.Time
	Channels    int
	MaxChannels int
}

func (b *bundle) workers() []shownWorker {
	b.Helper()
	var list struct{ Workers []shownWorker }
	b.do(request{path: "/v1/workers", key: b.root}).wants(http.StatusOK).wantsHeader("Cache-Control", "private, no-store").decode(&list)
	if list.Workers == nil {
		b.Error("want a list, got null")
	}
	return list.Workers
}

func TestWorkers_AreShownAsTheirHeartbeatsSay(t *testing.T) {
	b := setup(t)
	if got := b.workers(); len(got) != 0 {
		t.Fatalf("want no worker, got %+v", got)
	}
	first, second := b.store.NewHeart(), b.store.NewHeart()
	first.Carry(7, 0)
	b.must(first.Beat(t.Context()))
	second.Carry(3, 50)
	second.Drain()
	b.must(second.Beat(t.Context()))
	byID := map[string]shownWorker{}
	for _, w := range b.workers() {
		if since := time.Since(w.StartedAt); since < 0 || since > time.Minute {
			t.Errorf("worker %s: want the time of its start, got %v", w.ID, w.StartedAt)
		}
		w.StartedAt = time.Time{}
		byID[w.ID] = w
	}
	for _, want := range []shownWorker{
		{ID: first.ID(), State: "live", Channels: 7},
		{ID: second.ID(), State: "draining", Channels: 3, MaxChannels: 50},
	} {
		if byID[want.ID] != want {
			t.Errorf("want %+v, got %+v", want, byID[want.ID])
		}
	}
	b.must(first.Leave(t.Context()))
	if got := b.workers(); len(got) != 1 || got[0].ID != second.ID() {
		t.Errorf("want the one that stays, got %+v", got)
	}
}

func TestWorkers_AreForAdminsOfAllCompanies(t *testing.T) {
	b := setup(t)
	operator := b.makeKey(b.root, `{"role":"operator","companies":["*"]}`).Key
	for _, key := range []string{b.keys[store.Admin], b.keys[store.Viewer], operator} {
		b.do(request{path: "/v1/workers", key: key}).wantsProblem(http.StatusForbidden, enlace.CodeForbidden)
	}
}
