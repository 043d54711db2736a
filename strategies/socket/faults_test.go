package socket

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/store/signal"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
	"github.com/enlacehq/enlace/workers"
)

// fault is one failure of a step, which is named "Store.Method".
type fault struct {
	step   string
	nth    int  // of its calls, from 1
	after  bool // its effect; else before
	panics bool // else it returns an error
}

func (f fault) String() string {
	moment, kind := "before", "an error"
	if f.after {
		moment = "after"
	}
	if f.panics {
		kind = "a panic"
	}
	return fmt.Sprintf("%s fails %s its effect with %s, time %d", f.step, moment, kind, f.nth)
}

// each returns every way in which a step can fail: the first call of it, or the
// one that it ends with after a "×".
func each(step string) []fault {
	step, times, _ := strings.Cut(step, " ×")
	nth, err := strconv.Atoi(times)
	if err != nil {
		nth = 1
	}
	return []fault{{step, nth, false, false}, {step, nth, false, true}, {step, nth, true, false}, {step, nth, true, true}}
}

// faults makes one step fail once, and counts what was called.
type faults struct {
	mu     sync.Mutex
	armed  *fault
	called map[string]int
	stores wastore.AllStores // those of the last session, which do not fail
}

// call runs do, which sets *err, unless the step is to fail.
func (f *faults) call(step string, err *error, do func()) {
	f.mu.Lock()
	f.called[step]++
	struck := f.armed
	if struck != nil && struck.step == step {
		struck.nth--
	}
	if struck != nil && struck.step == step && struck.nth == 0 {
		f.armed = nil
	} else {
		struck = nil
	}
	f.mu.Unlock()
	if struck == nil || struck.after {
		do()
	}
	switch {
	case struck == nil:
	case struck.panics:
		panic(errTest)
	case struck.after:
		*err = fmt.Errorf("%w: %w", errTest, store.ErrUnknown)
	default:
		*err = errTest
	}
}

func (f *faults) arm(fault fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = &fault
}

// disarm reports whether the fault has struck.
func (f *faults) disarm() (struck bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	struck = f.armed == nil
	f.armed = nil
	return struck
}

func (f *faults) state() wastore.AllStores {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stores
}

// pause lets nothing fail in do, and does not count what it calls.
func (f *faults) pause(do func()) {
	f.mu.Lock()
	armed, called := f.armed, f.called
	f.armed, f.called = nil, map[string]int{}
	f.mu.Unlock()
	do()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.called = armed, called
}

// since forgets what was called, and returns it.
func (f *faults) since() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	called := f.called
	f.called = map[string]int{}
	return called
}

// traffic is a channel that a worker owns, in fake time, and people who write to it and
// are written to, while steps fail.
type traffic struct {
	*world
	ctx     context.Context
	callers *store.Store
	faults  *faults
	what    string // fails

	channel enlace.Channel
	account string
	people  int
	texts   int
	members map[string][]string // of groups
	in, out map[string][]string // texts by chat, in order
	posted  map[string]struct{} // ids of messages that are not known to be delivered
	spoilt  int                 // messages that could not be read at first

	log         map[string][]string // texts by chat, as the channel's events have them
	unavailable int
	next        string // the cursor after them
}

// rootKey is that of all servers that run at a time, which whatsmeow is to trust
// before they do: it has one variable for it.
func rootKey(t *testing.T) []byte {
	t.Helper()
	root := bytes.Repeat([]byte{7}, 32)
	srv, err := whatsapptest.New(whatsapptest.Options{RootKey: root})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := ParseEndpoint("ws://whatsapp.test/ws/chat", srv.Stats().RootKey)
	if err != nil {
		t.Fatal(err)
	}
	New(Options{Endpoint: endpoint})
	return root
}

func newTraffic(t *testing.T) *traffic {
	t.Helper()
	f := &faults{called: map[string]int{}}
	w := newWorld(t, whatsapptest.Options{RootKey: rootKey(t)})
	open := w.strategy.openState
	w.strategy.openState = func(ctx context.Context, o owner) (credentials, error) {
		state, err := open(ctx, o)
		if err != nil {
			return nil, err
		}
		return faultyState{state.(*signal.Container), f}, nil
	}
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	table := memory.New(memory.Options{})
	callers, err := store.Open(ctx, table, store.Options{Keys: keys, Log: w.strategy.log})
	if err != nil {
		t.Fatal(err)
	}
	owners, err := store.Open(ctx, faultyTable{table, f}, store.Options{Keys: keys, Log: w.strategy.log})
	if err != nil {
		t.Fatal(err)
	}
	worker := workers.New(workers.Config{
		Store: owners, Queue: embedded.New(table, embedded.Options{}), Log: w.strategy.log, ReconnectDelay: time.Nanosecond,
		Strategies: strategies.Registry{enlace.WhatsAppWeb: faultyStrategy{w.strategy, f}},
	})
	worked := make(chan error, 1)
	go func() { worked <- worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-worked; err != nil {
			t.Errorf("worker: %v", err)
		}
	})
	return &traffic{world: w, ctx: ctx, callers: callers, faults: f, what: "nothing fails"}
}

func (r *traffic) no(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", r.what, err)
	}
}

func (r *traffic) until(want string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(10 * time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			r.look()
			r.t.Fatalf("%s: want %s; the channel is %s, %+v", r.what, want, r.channel.Status, r.channel.LastError)
		}
	}
}

// person returns the number of somebody new.
func (r *traffic) person() string {
	r.people++
	return fmt.Sprint(15550100000 + r.people)
}

// link links a new channel, whose account is somebody new.
func (r *traffic) link() {
	r.t.Helper()
	var err error
	r.account, r.next, r.unavailable, r.spoilt = r.person(), "", 0, 0
	r.in, r.out, r.log, r.members = map[string][]string{}, map[string][]string{}, map[string][]string{}, map[string][]string{}
	r.posted = map[string]struct{}{}
	r.channel, err = r.callers.Connect(r.ctx, store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: r.account})
	r.no(err)
	scanned := ""
	r.until("an active channel", func() bool {
		r.look()
		if qr := r.channel.QR; qr != nil && qr.Code != scanned {
			scanned = qr.Code
			_, _ = r.srv.Scan(r.ctx, r.account, qr.Code) // it fails with what is to fail
		}
		return r.channel.Status == enlace.Active
	})
}

func (r *traffic) look() {
	r.t.Helper()
	var err error
	r.channel, err = r.callers.Channel(r.ctx, "acme", r.channel.ID)
	r.no(err)
}

// group returns the id of a new group of people and the account.
func (r *traffic) group(members ...string) string {
	r.t.Helper()
	id, err := r.srv.CreateGroup("friends", append(members, r.account)...)
	r.no(err)
	r.members[id] = members
	return id
}

// hear has a phone write to the account, in a group or directly.
func (r *traffic) hear(from string, out whatsapptest.Outgoing) (id string) {
	r.t.Helper()
	r.texts++
	chat := from
	if out.To, out.Text = r.account, fmt.Sprintf("in %d", r.texts); out.Group != "" {
		chat = out.Group
	}
	if out.Corrupt {
		r.spoilt++
	}
	id, err := r.srv.Send(from, out)
	r.no(err)
	r.in[chat] = append(r.in[chat], out.Text)
	return id
}

// say has the channel write to a number or a group.
func (r *traffic) say(to string) {
	r.t.Helper()
	r.texts++
	text := fmt.Sprintf("out %d", r.texts)
	m := enlace.Outgoing{To: to, Type: enlace.TypeText, Text: &enlace.Text{Body: text}}
	if r.members[to] != nil {
		m.RecipientType = enlace.Group
	}
	posted, err := r.callers.PostMessage(r.ctx, "acme", r.channel.ID, store.PostRequest{Message: m})
	r.no(err)
	r.posted[posted.ID] = struct{}{}
	r.out[to] = append(r.out[to], text)
}

// settle waits until all has arrived, and wants it once and in order in each chat.
func (r *traffic) settle() {
	r.t.Helper()
	r.until("all texts in the log", func() bool { r.read(); return arrived(r.log, r.in) })
	r.until("all texts at the phones", func() bool { return arrived(r.said(), r.out) })
	r.until("all that was sent delivered", r.delivered)
	r.until("everything acknowledged", func() bool { return r.srv.Stats().Unacknowledged == 0 })
	r.until("an active channel", func() bool { r.look(); return r.channel.Status == enlace.Active })
	r.read()
	for chat, want := range r.in {
		if got := r.log[chat]; !slices.Equal(got, want) {
			r.t.Errorf("%s: in the log %q, want %q", r.what, got, want)
		}
	}
	said := r.said()
	for chat, want := range r.out {
		if got := said[chat]; !slices.Equal(got, want) {
			r.t.Errorf("%s: at the phone %q, want %q", r.what, got, want)
		}
	}
	if r.unavailable > r.spoilt {
		r.t.Errorf("%s: %d messages could not be read, want at most %d", r.what, r.unavailable, r.spoilt)
	}
}

// arrived reports whether got has at least as many texts of each chat as want.
func arrived(got, want map[string][]string) bool {
	for chat, texts := range want {
		if len(got[chat]) < len(texts) {
			return false
		}
	}
	return true
}

// read reads what is new in the channel's log.
func (r *traffic) read() {
	r.t.Helper()
	for {
		page, err := r.callers.Events(r.ctx, "acme", r.channel.ID, store.EventQuery{After: r.next, Limit: 1000})
		r.no(err)
		for _, e := range page.Events {
			var data struct {
				Message struct {
					From  string
					Group string `json:"group_id"`
					Text  struct{ Body string }
				}
			}
			switch e.Event {
			case enlace.EventMessageUnavailable:
				r.unavailable++
			case enlace.EventMessageReceived:
				r.no(json.Unmarshal(e.Data, &data))
				chat := cmp.Or(data.Message.Group, data.Message.From)
				r.log[chat] = append(r.log[chat], data.Message.Text.Body)
			}
		}
		r.next = page.Next
		if len(page.Events) == 0 {
			return
		}
	}
}

// said returns the texts that phones have from the account, by chat; of a group
// what the member has who has the fewest.
func (r *traffic) said() map[string][]string {
	r.t.Helper()
	texts := map[string][]string{}
	for chat := range r.out {
		members := r.members[chat]
		if members == nil {
			members = []string{chat}
		}
		for i, member := range members {
			list, err := r.srv.Messages(member)
			r.no(err)
			var got []string
			for _, m := range list.Messages {
				if m.From == r.account && cmp.Or(m.Group, member) == chat {
					got = append(got, m.Text)
				}
			}
			if i == 0 || len(got) < len(texts[chat]) {
				texts[chat] = got
			}
		}
	}
	return texts
}

// delivered reports whether all that was posted is known to be delivered.
func (r *traffic) delivered() bool {
	r.t.Helper()
	for id := range r.posted {
		m, err := r.callers.Message(r.ctx, "acme", r.channel.ID, id)
		r.no(err)
		if m.Status != enlace.Delivered && m.Status != enlace.Read {
			return false
		}
		delete(r.posted, id)
	}
	return true
}
