package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/store"
)

func TestConnect_NewChannelIsConnectingAndWakesWorkers(t *testing.T) {
	b := setup(t)
	a := b.post(acme, `{"type":"WHATSAPP_WEB"}`).wants(http.StatusAccepted)
	c := a.channel()
	if c.Status != enlace.Connecting || c.Name != enlace.DefaultName || c.CompanyID != "acme" || !strings.HasPrefix(c.ID, "ch_") {
		t.Errorf("want a connecting channel named default, got %s", a.body)
	}
	a.wantsHeader("Location", pathOf(c)).wantsHeader("Retry-After", "1").wantsHeader("ETag", `"1"`).wantsHeader("Cache-Control", "private, no-store")
	if got := b.jobs.all(); !slices.Equal(got, []enlace.Job{{ChannelID: c.ID}}) {
		t.Errorf("want one job for %s, got %v", c.ID, got)
	}
}

func TestConnect_AgainWhileConnectingIsTheSameChannelAndOneMoreWakeUp(t *testing.T) {
	b := setup(t)
	first, second := b.connect("sales"), b.connect("sales")
	if first.ID != second.ID || first.Version != second.Version {
		t.Errorf("want the same channel, got %+v and %+v", first, second)
	}
	if got := len(b.jobs.all()); got != 2 {
		t.Errorf("want two jobs, got %d", got)
	}
}

func TestConnect_ManyAtOnceGetOneChannel(t *testing.T) {
	b := setup(t)
	var group sync.WaitGroup
	ids := make([]string, 100)
	for i := range ids {
		group.Go(func() { ids[i] = b.connect("default").ID })
	}
	group.Wait()
	slices.Sort(ids)
	if got := slices.Compact(ids); len(got) != 1 {
		t.Errorf("want one channel, got %v", got)
	}
}

func TestConnect_ActiveChannelIsConflict(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	b.must(b.own(c).Ready(t.Context(), enlace.Account{PhoneNumber: "14155550123"}))
	b.post(acme, `{"type":"WHATSAPP_WEB"}`).wantsProblem(http.StatusConflict, enlace.CodeChannelActive)
}

func TestConnect_InactiveChannelConnectsAgain(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	b.must(b.own(c).Inactive(t.Context(), enlace.ReasonQRTimeout))
	if again := b.connect("default"); again.ID != c.ID || again.Status != enlace.Connecting || again.Version <= c.Version {
		t.Errorf("want %s connecting again, got %+v", c.ID, again)
	}
}

func TestConnect_JobThatCannotBeSentIsLoggedAndNoFailure(t *testing.T) {
	b := setup(t)
	b.jobs.err = errors.New("queue is full")
	c := b.connect("default")
	if log := b.log.String(); !strings.Contains(log, c.ID) || !strings.Contains(log, "queue is full") {
		t.Errorf("want the failure in the log, got %s", log)
	}
}

func TestConnect_JobIsSentAlsoWhenTheCallerHasLeft(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	hasty := &leavingQueue{leave: leave}
	b := setup(t, func(c *api.Config) { c.Queue = hasty })
	b.do(request{method: http.MethodPost, path: acme, body: `{"type":"WHATSAPP_WEB"}`, ctx: ctx})
	if hasty.err != nil {
		t.Errorf("want the job's context to outlive the caller's, got %v", hasty.err)
	}
}

// leavingQueue is one whose caller leaves while a job is sent.
type leavingQueue struct {
	queue.Queue
	leave func()
	err   error
}

func (q *leavingQueue) Send(ctx context.Context, _ enlace.Job) error {
	q.leave()
	q.err = ctx.Err()
	return nil
}

func TestConnect_TakesJSONHoweverItsTypeIsWritten(t *testing.T) {
	b := setup(t)
	for _, contentType := range []string{"application/json; charset=utf-8", "Application/JSON", "application/json ;charset=utf-8", "application/vnd.acme+json"} {
		b.do(request{method: http.MethodPost, path: acme, body: `{"type":"WHATSAPP_WEB"}`, header: headers("Content-Type", contentType)}).wants(http.StatusAccepted)
	}
}

func TestConnect_PairingByCodeKeepsTheDigits(t *testing.T) {
	for _, number := range []string{"14155550123", "+14155550123"} {
		b := setup(t)
		c := b.post(acme, `{"type":"WHATSAPP_WEB","pairing":{"method":"code","phoneNumber":"`+number+`"}}`).wants(http.StatusAccepted).channel()
		want := enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: "14155550123"}
		if got := b.own(c).Pairing(); got != want {
			t.Errorf("%s: want %v, got %v", number, want, got)
		}
	}
}

func TestListChannels_PagesOverAllByTypeAndName(t *testing.T) {
	b := setup(t)
	b.do(request{method: http.MethodPost, path: "/v1/companies/other/channels", body: `{"type":"WHATSAPP_WEB"}`, key: b.other}).wants(http.StatusAccepted)
	for _, name := range []string{"c", "a", "e", "b", "d"} {
		b.connect(name)
	}
	var names []string
	path := acme + "?limit=2"
	for pages := 0; path != ""; pages++ {
		if pages == 4 {
			t.Fatal("the list does not end")
		}
		var list struct {
			Channels []enlace.Channel
			Next     string
		}
		b.get(path).wants(http.StatusOK).wantsHeader("Cache-Control", "private, no-store").decode(&list)
		for _, c := range list.Channels {
			names = append(names, c.Name)
		}
		if path = ""; list.Next != "" {
			path = acme + "?limit=2&after=" + list.Next
		}
	}
	if want := []string{"a", "b", "c", "d", "e"}; !slices.Equal(names, want) {
		t.Errorf("want %v, got %v", want, names)
	}
}

func TestListChannels_NoneIsAnEmptyList(t *testing.T) {
	b := setup(t)
	if got := strings.TrimSpace(string(b.get(acme).wants(http.StatusOK).body)); got != `{"channels":[]}` {
		t.Errorf("want an empty list, got %s", got)
	}
}

func TestGetChannel_RetryAfterFollowsTheState(t *testing.T) {
	b := setup(t)
	c := b.connect("default")
	b.get(pathOf(c)).wants(http.StatusOK).wantsHeader("Retry-After", "1").wantsHeader("Cache-Control", "private, no-store")
	b.must(b.own(c).Ready(t.Context(), enlace.Account{PhoneNumber: "14155550123"}))
	a := b.get(pathOf(c)).wants(http.StatusOK).wantsHeader("Retry-After", "30")
	if got := a.channel(); got.Status != enlace.Active || got.PhoneNumber != "14155550123" || got.ConnectedAt == nil {
		t.Errorf("want it active with its number, got %s", a.body)
	}
}

func TestGetChannel_HeadIsGetWithoutABody(t *testing.T) {
	b := setup(t)
	server := b.serve()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+pathOf(b.connect("default")), nil)
	b.must(err)
	req.Header.Set("Authorization", "Bearer "+b.keys[store.Viewer])
	response, err := server.Client().Do(req)
	b.must(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("ETag") != `"1"` {
		t.Errorf("want 200 with the ETag, got %s %v", response.Status, response.Header)
	}
}

func TestSecrets_AreForOperatorsOnly(t *testing.T) {
	passkey := enlace.Passkey{Request: json.RawMessage(`{"challenge":"c2VjcmV0"}`), ExpiresAt: time.Now().Add(time.Minute)}
	for name, show := range map[string]func(*store.Owner) error{
		"qr":          func(o *store.Owner) error { return o.ShowQR(t.Context(), freshQR()) },
		"pairingCode": func(o *store.Owner) error { return o.ShowPairingCode(t.Context(), "ABCD-EFGH") },
		"passkey":     func(o *store.Owner) error { return o.ShowPasskey(t.Context(), passkey) },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			c := b.connect("default")
			b.must(show(b.own(c)))
			tags := map[store.Role]string{}
			for _, role := range []store.Role{store.Viewer, store.Operator} {
				var channel map[string]any
				a := b.do(request{path: pathOf(c), key: b.keys[role]}).wants(http.StatusOK)
				a.decode(&channel)
				tags[role] = a.Header.Get("ETag")
				var list struct{ Channels []map[string]any }
				b.do(request{path: acme, key: b.keys[role]}).wants(http.StatusOK).decode(&list)
				for place, got := range map[string]map[string]any{"channel": channel, "list": list.Channels[0]} {
					if _, there := got[name]; there != (role == store.Operator) {
						t.Errorf("%s in a %s's %s: %v, want %v", name, role, place, there, role == store.Operator)
					}
				}
			}
			if tags[store.Viewer] != tags[store.Operator] {
				t.Errorf("want one ETag for one version, got %v", tags)
			}
		})
	}
}
