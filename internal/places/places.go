// Package places opens what an installation keeps its state in, by the settings
// that all its programs share: the table of the store, the queue of connect jobs
// and the key that seals secrets, on this machine or on AWS. It links no SQLite;
// a program that has it passes it in.
package places

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/queue/sqs"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

// Options are what opening needs besides the names.
type Options struct {
	// OpenSQLite opens a database file. Without it a program knows no SQLite.
	OpenSQLite func(ctx context.Context, path string) (Table, error)
	// Unchecked leaves out the calls that make sure of places, where a start must
	// be quick; what is wrong with them shows at their first use.
	Unchecked bool
	// Retention is how long events are kept; store.DefaultRetention when 0.
	Retention time.Duration
	Log       *slog.Logger // slog.Default when nil
}

// Table is an open table that must be closed.
type Table interface {
	store.Table
	Close() error
}

// Places are the open places of an installation.
type Places struct {
	Store *store.Store
	Queue queue.Queue // nil when only the store was opened
	close func() error
}

// Close frees what was opened. Nothing may use the places any more.
func (p *Places) Close() error { return p.close() }

// Open opens all places and makes sure that they are there and may be used. Its
// errors say in one line what is wrong, and which setting names it.
func Open(ctx context.Context, names Names, options Options) (*Places, error) {
	if err := names.Check(); err != nil {
		return nil, err
	}
	keys, err := openSeal(names)
	if err != nil {
		return nil, err
	}
	p, table, err := open(ctx, names.Store, keys, options)
	if err != nil {
		return nil, err
	}
	if p.Queue, err = openQueue(ctx, names.Queue, table, options); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// OpenStore opens the table alone, for those who touch no channel.
func OpenStore(ctx context.Context, name Store, options Options) (*Places, error) {
	p, _, err := open(ctx, name, nil, options)
	return p, err
}

func open(ctx context.Context, name Store, keys seal.KeyHolder, options Options) (*Places, store.Table, error) {
	table, closeTable, err := openTable(ctx, name, options)
	if err != nil {
		return nil, nil, err
	}
	table = store.Retrying(table)
	st, err := store.Open(ctx, table, store.Options{Keys: keys, Retention: options.Retention, Log: options.Log})
	if err != nil {
		return nil, nil, errors.Join(err, closeTable())
	}
	return &Places{Store: st, close: closeTable}, table, nil
}

func openTable(ctx context.Context, name Store, options Options) (store.Table, func() error, error) {
	switch {
	case name.Kind == SQLite && options.OpenSQLite == nil:
		return nil, nil, errors.New("ENLACE_STORE: this program has no SQLite; want dynamodb:TABLE")
	case name.Kind == SQLite:
		table, err := options.OpenSQLite(ctx, name.Name)
		if err != nil {
			return nil, nil, err
		}
		return table, table.Close, nil
	}
	return nil, nil, fmt.Errorf("ENLACE_STORE: %s is not known", name.Kind)
}

func openQueue(ctx context.Context, name Queue, table store.Table, options Options) (queue.Queue, error) {
	if name.Kind == Embedded {
		return embedded.New(table, embedded.Options{}), nil
	}
	q, err := sqs.Open(ctx, name.Name, sqs.Options{})
	if err == nil && !options.Unchecked {
		err = q.Check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("ENLACE_QUEUE: %w", err)
	}
	return q, nil
}

// openSeal returns the holder of the sealing key. Where processes share no
// machine a key file must be there already: each would make a key of its own,
// that opens nothing of the others.
func openSeal(names Names) (seal.KeyHolder, error) {
	switch {
	case names.Seal.Kind == File && names.Store.Kind == SQLite:
		return seal.OpenFile(names.Seal.Name)
	case names.Seal.Kind == File:
		return seal.ReadFile(names.Seal.Name)
	}
	return nil, fmt.Errorf("ENLACE_SEAL: %s is not known", names.Seal.Kind)
}
