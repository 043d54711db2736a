package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/store/sqlstore"
	"golang.org/x/sync/errgroup"
	_ "modernc.org/sqlite" // the engine "sqlite"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// fleet is the process's clients, on one database.
type fleet struct {
	server    *url.URL
	container *sqlstore.Container
	// web is shared by all clients: one for each would only make the baseline heavier.
	web *http.Client

	// eager makes clients as whatsmeow makes them: they acknowledge before anything
	// but Signal state is stored. The others acknowledge as the product does.
	eager bool

	arrived chan wire.Arrival

	mu      sync.Mutex
	clients []*whatsmeow.Client // kept: idle clients are what is measured
}

// arrivals is how many messages may have come that no one has asked for yet.
const arrivals = 1 << 14

// database is a SQLite file and how it is opened.
type database struct {
	path  string
	conns int
	// hasty leaves out the syncing to disk. Without it a write that was answered
	// survives a crash of the machine, as it does in the product.
	hasty bool
}

func openFleet(ctx context.Context, server *url.URL, d database, eager bool) (*fleet, error) {
	synchronous := "synchronous(FULL)"
	if d.hasty {
		synchronous = "synchronous(OFF)"
	}
	pragmas := url.Values{
		"_pragma": {"journal_mode(WAL)", synchronous, "foreign_keys(1)", "busy_timeout(30000)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+d.path+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(d.conns)
	container := sqlstore.NewWithDB(db, "sqlite", nil)
	if err := container.Upgrade(ctx); err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	return &fleet{
		server: server, container: container, eager: eager, arrived: make(chan wire.Arrival, arrivals),
		web: &http.Client{Transport: rewrite{base: transport, host: server.Host}},
	}, nil
}

func (f *fleet) do(ctx context.Context, command wire.Command) (wire.Answer, error) {
	began := time.Now()
	var answer wire.Answer
	var err error
	switch command.Do {
	case wire.Link:
		answer.Links, err = f.link(ctx, command)
		answer.Count = len(answer.Links)
	case wire.Restore:
		answer.Count, err = f.restore(ctx)
	case wire.Receive:
		answer.Arrivals, err = f.receive(ctx, command.Count)
	case wire.Send:
		err = f.send(ctx, command)
	default:
		err = fmt.Errorf("no such command: %q", command.Do)
	}
	answer.Total = time.Since(began)
	return answer, err
}

// link links new devices, some at a time.
func (f *fleet) link(ctx context.Context, command wire.Command) ([]wire.Times, error) {
	return wire.LinkAll(command.Count, command.Parallel, func(i int) (wire.Times, error) {
		return f.linkOne(ctx, wire.Number(wire.RawRow, command.First+i))
	})
}

func (f *fleet) linkOne(ctx context.Context, number string) (wire.Times, error) {
	var t wire.Times
	began := time.Now()
	c := f.newClient(f.container.NewDevice())
	if err := c.wa.ConnectContext(ctx); err != nil {
		return t, err
	}
	code, err := c.code(ctx)
	if err != nil {
		return t, err
	}
	t.QR = time.Since(began)

	began = time.Now()
	if err := wire.Scan(ctx, http.DefaultClient, "http://"+f.server.Host, number, code); err != nil {
		return t, err
	}
	if err := c.connected(ctx); err != nil {
		return t, err
	}
	t.Scan = time.Since(began)
	return t, nil
}

// restore connects every stored device, all at once.
func (f *fleet) restore(ctx context.Context) (int, error) {
	devices, err := f.container.GetAllDevices(ctx)
	if err != nil {
		return 0, err
	}
	var group errgroup.Group
	for _, device := range devices {
		group.Go(func() error { return f.restoreOne(ctx, device) })
	}
	return len(devices), group.Wait()
}

func (f *fleet) restoreOne(ctx context.Context, device *store.Device) error {
	c := f.newClient(device)
	if err := c.wa.ConnectContext(ctx); err != nil {
		return err
	}
	return c.connected(ctx)
}
