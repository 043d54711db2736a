package embedded_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/queue/queuetest"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
	"github.com/enlacehq/enlace/store/sqlite"
)

const maxReceives = 3

func run(t *testing.T, open func(t testing.TB) (table store.Table, reopen func() store.Table)) {
	queuetest.Run(t, queuetest.Setup{
		MaxReceives: maxReceives,
		New: func(t testing.TB, visibility time.Duration) queuetest.Subject {
			options := embedded.Options{Visibility: visibility, MaxReceives: maxReceives}
			table, reopen := open(t)
			raw := 0
			return queuetest.Subject{
				Queue:  embedded.New(table, options),
				Reopen: func() queue.Queue { return embedded.New(reopen(), options) },
				SendRaw: func(ctx context.Context, body string) error {
					raw++
					value, err := store.Encode(1, map[string]any{"body": body})
					if body == "" {
						value, err = []byte("not even an item of this queue"), nil
					}
					if err != nil {
						return err
					}
					key := store.Key{PK: "QUEUE", SK: "JOB#0#" + strconv.Itoa(raw)}
					return table.Write(ctx, store.Put(store.Item{Key: key, Value: value}, store.Any))
				},
			}
		},
	})
}

func TestQueue_InMemory(t *testing.T) {
	run(t, func(testing.TB) (store.Table, func() store.Table) {
		table := memory.New(memory.Options{})
		return table, func() store.Table { return table }
	})
}

func TestQueue_InSQLite(t *testing.T) {
	run(t, func(t testing.TB) (store.Table, func() store.Table) {
		path := filepath.Join(t.TempDir(), "enlace.db")
		open := func() store.Table {
			db, err := sqlite.Open(context.Background(), path, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			return db
		}
		return open(), open
	})
}

// counting counts writes.
type counting struct {
	store.Table
	writes int
}

func (c *counting) Write(ctx context.Context, ops ...store.Op) error {
	c.writes++
	return c.Table.Write(ctx, ops...)
}

func TestReceive_WritesNothingWhileIdle(t *testing.T) {
	table := &counting{Table: memory.New(memory.Options{})}
	q := embedded.New(table, embedded.Options{})
	for range 3 {
		if _, err := q.Receive(t.Context(), 1, 10*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if table.writes != 0 {
		t.Errorf("%d writes while idle", table.writes)
	}
	if err := q.Send(t.Context(), enlace.Job{ChannelID: "ch_a"}); err != nil || table.writes != 1 {
		t.Errorf("%d writes for a job, %v", table.writes, err)
	}
}
