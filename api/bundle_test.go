package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bundle is an API on a store in memory, with keys of every role for company acme.
type bundle struct {
	testing.TB
	handler http.Handler
	store   *store.Store
	table   *countingTable
	jobs    *jobs
	log     *syncBuffer
	drain   context.CancelFunc
	keys    map[store.Role]string // of company acme
	root    string                // an admin's, of all companies
	other   string                // an admin's, of company other
}

func setup(t testing.TB, options ...func(*api.Config)) *bundle {
	t.Helper()
	return setupOn(t, memory.New(memory.Options{}), keyHolder(t), options...)
}

func keyHolder(t testing.TB) seal.KeyHolder {
	t.Helper()
	keys, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// setupOn can be called inside a bubble of fake time; keyHolder cannot.
func setupOn(t testing.TB, table store.Table, keys seal.KeyHolder, options ...func(*api.Config)) *bundle {
	t.Helper()
	b := &bundle{TB: t, table: count(table), jobs: &jobs{}, log: &syncBuffer{}, keys: map[store.Role]string{}}
	log := slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if b.store, err = store.Open(t.Context(), b.table.as, store.Options{Keys: keys, Log: log}); err != nil {
		t.Fatal(err)
	}
	draining, drain := context.WithCancel(context.Background())
	t.Cleanup(drain)
	b.drain = drain
	config := api.Config{
		Store: b.store, Queue: b.jobs, Types: []enlace.ChannelType{enlace.WhatsAppWeb, enlace.WhatsAppBaileys},
		Log: log, Version: "test", Draining: draining,
	}
	for _, option := range options {
		option(&config)
	}
	b.handler = api.New(config)
	for _, role := range []store.Role{store.Viewer, store.Operator, store.Admin} {
		b.keys[role] = b.key(role, "acme")
	}
	b.root = b.key(store.Admin, store.AllCompanies)
	b.other = b.key(store.Admin, "other")
	return b
}

func (b *bundle) key(role store.Role, companies ...string) string {
	b.Helper()
	token := store.NewToken()
	if _, err := b.store.PutKey(b.Context(), token, store.APIKey{Role: role, Companies: companies}); err != nil {
		b.Fatal(err)
	}
	return token
}

// request is one call; a zero Method is GET, and a zero key the operator's of acme.
type request struct {
	method, path, body string
	key                string
	header             http.Header
	ctx                context.Context
}

const noKey = "none"

func (b *bundle) do(r request) *answer {
	b.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	if r.ctx == nil {
		r.ctx = b.Context()
	}
	req := httptest.NewRequestWithContext(r.ctx, r.method, r.path, strings.NewReader(r.body))
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	switch r.key {
	case noKey:
	case "":
		req.Header.Set("Authorization", "Bearer "+b.keys[store.Operator])
	default:
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	recorder := httptest.NewRecorder()
	b.handler.ServeHTTP(recorder, req)
	return &answer{TB: b.TB, Response: recorder.Result(), body: recorder.Body.Bytes(), call: r.method + " " + r.path}
}

func (b *bundle) get(path string, header ...string) *answer {
	b.Helper()
	return b.do(request{path: path, header: headers(header...)})
}

func (b *bundle) post(path, body string) *answer {
	b.Helper()
	return b.do(request{method: http.MethodPost, path: path, body: body})
}

// headers makes a header of name, value, name, value …
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

type answer struct {
	testing.TB
	*http.Response
	body []byte
	call string
}

func (a *answer) wants(status int) *answer {
	a.Helper()
	if a.StatusCode != status {
		a.Fatalf("%s: want status %d, got %d: %s", a.call, status, a.StatusCode, a.body)
	}
	return a
}

func (a *answer) decode(v any) {
	a.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.Fatalf("%s: %v in %s", a.call, err, a.body)
	}
}

func (a *answer) channel() enlace.Channel {
	a.Helper()
	var c enlace.Channel
	a.decode(&c)
	return c
}

// wantsProblem checks that the answer is a whole problem of that status and code.
func (a *answer) wantsProblem(status int, code enlace.Code) *answer {
	a.Helper()
	a.wants(status)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		a.Errorf("%s: want a problem, got %q: %s", a.call, got, a.body)
	}
	var p api.Problem
	a.decode(&p)
	if p.Code != code || p.Status != status || p.Title == "" || p.Detail == "" || p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		a.Errorf("%s: want code %s and all members of a problem, got %s", a.call, code, a.body)
	}
	return a
}

func (a *answer) wantsHeader(name, value string) *answer {
	a.Helper()
	if got := a.Header.Get(name); got != value {
		a.Errorf("%s: want %s: %q, got %q", a.call, name, value, got)
	}
	return a
}

const acme = "/v1/companies/acme/channels"

func pathOf(c enlace.Channel) string { return acme + "/" + c.ID }

// connect makes a channel that is connecting.
func (b *bundle) connect(name string) enlace.Channel {
	b.Helper()
	return b.post(acme, `{"type":"WHATSAPP_WEB","name":"`+name+`"}`).wants(http.StatusAccepted).channel()
}

// own claims a channel for a worker, so that a test can do with it what workers do.
func (b *bundle) own(c enlace.Channel) *store.Owner {
	b.Helper()
	heart := b.store.NewHeart()
	if err := heart.Beat(b.Context()); err != nil {
		b.Fatal(err)
	}
	by := store.Claimer{Worker: heart.ID(), Fresh: func() error { return nil }, Moved: b.store.NewMoved(heart.ID())}
	owner, err := b.store.Claim(b.Context(), by, c.ID, "")
	if err != nil {
		b.Fatal(err)
	}
	return owner
}

func (b *bundle) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// theQR is as long as WhatsApp's codes are.
var theQR = enlace.QR{
	Code: "https://wa.me/settings/linked_devices#2@" + strings.Repeat("aB3+/x9Z", 27) + ",q1w2e3r4t5y6u7i8o9p0a1s2d3f4g5h6j7k8l9z0x1c=,1",
	Of:   6, Attempt: 2,
}

func freshQR() enlace.QR {
	qr := theQR
	qr.ExpiresAt = time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond)
	return qr
}

// jobs is a queue that only notes what is sent.
type jobs struct {
	queue.Queue
	mu   sync.Mutex
	sent []enlace.Job
	err  error
}

func (j *jobs) Send(_ context.Context, job enlace.Job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sent = append(j.sent, job)
	return j.err
}

func (j *jobs) all() []enlace.Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]enlace.Job(nil), j.sent...)
}

// countingTable counts reads, and fails when it is told to.
type countingTable struct {
	store.Table
	as store.Table // with the Waker of the table below, if it has one

	mu     sync.Mutex
	reads  int
	writes int
	fail   error
}

type countingWaker struct {
	*countingTable
	store.Waker
}

func count(table store.Table) *countingTable {
	c := &countingTable{Table: table}
	c.as = c
	if waker, ok := table.(store.Waker); ok {
		c.as = countingWaker{c, waker}
	}
	return c
}

func (c *countingTable) note(n *int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
	return c.fail
}

func (c *countingTable) failWith(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

func (c *countingTable) counts() (reads, writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads, c.writes
}

func (c *countingTable) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := c.note(&c.reads); err != nil {
		return store.Item{}, err
	}
	return c.Table.Get(ctx, key)
}

func (c *countingTable) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	if err := c.note(&c.reads); err != nil {
		return nil, err
	}
	return c.Table.GetMany(ctx, keys)
}

func (c *countingTable) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := c.note(&c.reads); err != nil {
		return store.Page{}, err
	}
	return c.Table.Query(ctx, q)
}

func (c *countingTable) Write(ctx context.Context, ops ...store.Op) error {
	if err := c.note(&c.writes); err != nil {
		return err
	}
	return c.Table.Write(ctx, ops...)
}

var errBroken = errors.New("the disk has a secret: hunter2")

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

var _ io.Writer = (*syncBuffer)(nil)
