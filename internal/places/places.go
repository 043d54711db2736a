// Package places opens what an installation keeps its state in, by the settings
// that all its programs share: the table of the store, the queue of connect jobs
// and the key that seals secrets, on this machine or on AWS. It links no SQLite;
// a program that has it passes it in.
package places

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/queue/sqs"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/seal/kms"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/dynamodb"
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
	Store *store.Store // nil when only a queue was opened that lies elsewhere
	Queue queue.Queue  // nil when only the store was opened
	table store.Table
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
	keys, err := OpenSeal(ctx, names, options)
	if err != nil {
		return nil, err
	}
	p, err := openStore(ctx, names.Store, keys, options)
	if err != nil {
		return nil, err
	}
	if p.Queue, err = openQueue(ctx, names.Queue, p.table, options); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// OpenStore opens the table alone, for those who touch no channel.
func OpenStore(ctx context.Context, name Store, options Options) (*Places, error) {
	return openStore(ctx, name, nil, options)
}

// OpenQueue opens the queue, and with it the table if it is there.
func OpenQueue(ctx context.Context, names Names, options Options) (*Places, error) {
	p := &Places{close: func() error { return nil }}
	if names.Queue.Kind == Embedded {
		var err error
		if p, err = OpenStore(ctx, names.Store, options); err != nil {
			return nil, err
		}
	}
	var err error
	if p.Queue, err = openQueue(ctx, names.Queue, p.table, options); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// OpenSeal returns the holder of the sealing key. Where processes share no
// machine a key file must be there already: each would make a key of its own,
// that opens nothing of the others.
func OpenSeal(ctx context.Context, names Names, options Options) (seal.KeyHolder, error) {
	keys, err := openSeal(ctx, names, options)
	if err != nil || names.SealFrom.Kind == "" {
		return keys, err
	}
	older, err := openSealFrom(ctx, names.SealFrom)
	if err != nil {
		return nil, fmt.Errorf("ENLACE_SEAL_FROM: %w", err)
	}
	return seal.WithOlder(keys, older), nil
}

// openSealFrom opens a key that only opens, so that it need not be allowed to seal.
func openSealFrom(ctx context.Context, name Seal) (seal.KeyHolder, error) {
	if name.Kind == KMS {
		return kms.Open(ctx, name.Name)
	}
	return seal.ReadFile(name.Name)
}

func openSeal(ctx context.Context, names Names, options Options) (seal.KeyHolder, error) {
	switch {
	case names.Seal.Kind == KMS:
		return openKMS(ctx, names.Seal.Name, options)
	case names.Store.Kind == SQLite:
		return seal.OpenFile(names.Seal.Name)
	}
	keys, err := seal.ReadFile(names.Seal.Name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (enlace setup makes one, to be copied to all who share the table)", err)
	}
	return keys, err
}

func openKMS(ctx context.Context, arn string, options Options) (seal.KeyHolder, error) {
	keys, err := kms.Open(ctx, arn)
	if err == nil && !options.Unchecked {
		err = keys.Check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("ENLACE_SEAL: %w", err)
	}
	return keys, nil
}

func openStore(ctx context.Context, name Store, keys seal.KeyHolder, options Options) (*Places, error) {
	table, closeTable, err := openTable(ctx, name, options)
	if err != nil {
		return nil, err
	}
	table = store.Retrying(table)
	st, err := store.Open(ctx, table, store.Options{Keys: keys, Retention: options.Retention, Log: options.Log})
	if err != nil {
		return nil, errors.Join(err, closeTable())
	}
	return &Places{Store: st, table: table, close: closeTable}, nil
}

func openTable(ctx context.Context, name Store, options Options) (store.Table, func() error, error) {
	switch {
	case name.Kind == DynamoDB:
		return openDynamoDB(ctx, name.Name, options)
	case options.OpenSQLite == nil:
		return nil, nil, errors.New("ENLACE_STORE: this program has no SQLite; want dynamodb:TABLE")
	}
	table, err := options.OpenSQLite(ctx, name.Name)
	if err != nil {
		return nil, nil, err
	}
	return table, table.Close, nil
}

func openDynamoDB(ctx context.Context, name string, options Options) (store.Table, func() error, error) {
	table, err := dynamodb.Open(ctx, name, dynamodb.Options{})
	if err == nil && !options.Unchecked {
		err = table.Check(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("ENLACE_STORE: %w", err)
	}
	return table, func() error { return nil }, nil
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
