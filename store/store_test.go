package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

func TestOpen_RefusesANewerTableAndAShortRetention(t *testing.T) {
	b := setup(t)
	if _, err := store.Open(t.Context(), b.table, store.Options{Retention: time.Hour}); err == nil {
		t.Error("a retention of an hour was accepted")
	}
	value, err := store.Encode(99, map[string]int{"generation": 1})
	b.ok(err)
	b.ok(b.table.Write(context.Background(), store.Put(store.Item{Key: store.Key{PK: "META", SK: "GENERATION"}, Value: value}, store.Any)))
	if _, err := store.Open(t.Context(), b.table, store.Options{}); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("got %v, want ErrNewerSchema", err)
	}
}
