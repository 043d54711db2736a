package sqlite_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/sqlite"
)

// signalPut and eventPut are what a received message writes: an update of
// 1.7 KB and a new item of 300 bytes.
func signalPut(channel, address int) store.Op {
	return store.Put(store.Item{
		Key:   store.Key{PK: fmt.Sprintf("SIG#%012d", channel), SK: fmt.Sprintf("address%04d", address)},
		Value: make([]byte, 1700),
	}, store.Any)
}

func eventPut(channel, seq int) store.Op {
	return store.Put(store.Item{
		Key:   store.Key{PK: fmt.Sprintf("CH#%012d", channel), SK: fmt.Sprintf("EV#%020d", seq)},
		Value: make([]byte, 300),
	}, store.Absent)
}

func benchDB(b *testing.B) *sqlite.DB {
	return open(b, filepath.Join(b.TempDir(), "enlace.db"), sqlite.Options{})
}

// BenchmarkWrite is a Write of two small items by one caller, and by 50 at once.
func BenchmarkWrite(b *testing.B) {
	b.Run("callers=1", func(b *testing.B) {
		db := benchDB(b)
		n := 0
		for b.Loop() {
			n++
			if err := db.Write(b.Context(), signalPut(n%50, n%20), eventPut(n%50, n)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("callers=50", func(b *testing.B) {
		db := benchDB(b)
		var callers, n atomic.Int64
		b.SetParallelism(25) // times GOMAXPROCS, as a rule 2 here
		b.RunParallel(func(pb *testing.PB) {
			channel := int(callers.Add(1))
			for pb.Next() {
				seq := int(n.Add(1))
				if err := db.Write(b.Context(), signalPut(channel, seq%20), eventPut(channel, seq)); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(n.Load())/b.Elapsed().Seconds(), "writes/s")
	})
}

// BenchmarkGet reads one item of 1.7 KB out of 1,000.
func BenchmarkGet(b *testing.B) {
	db := benchDB(b)
	for c := range 50 {
		var ops []store.Op
		for a := range 20 {
			ops = append(ops, signalPut(c, a))
		}
		if err := db.Write(b.Context(), ops...); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for b.Loop() {
		n++
		if _, err := db.Get(b.Context(), signalPut(n%50, n%20).Item.Key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkQuery reads the newest 50 of 2,000 events.
func BenchmarkQuery(b *testing.B) {
	db := benchDB(b)
	for start := 0; start < 2000; start += 100 {
		var ops []store.Op
		for i := range 100 {
			ops = append(ops, eventPut(1, start+i))
		}
		if err := db.Write(b.Context(), ops...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		page, err := db.Query(b.Context(), store.Query{PK: eventPut(1, 0).Item.PK, Prefix: "EV#", Descending: true, Limit: 50})
		if err != nil || len(page.Items) != 50 {
			b.Fatal(len(page.Items), err)
		}
	}
}

// BenchmarkIndexQuery reads an index partition that is empty, as owners do many times a second.
func BenchmarkIndexQuery(b *testing.B) {
	db := benchDB(b)
	if err := db.Write(b.Context(), store.Put(store.Item{Key: store.Key{PK: "P", SK: "a"}, Index: store.Key{PK: "OUT#x", SK: "1"}}, store.Any)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := db.Query(b.Context(), store.Query{PK: "OUT#w", Index: true}); err != nil {
			b.Fatal(err)
		}
	}
}
