package signal

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.mau.fi/whatsmeow/store/sqlstore"

	wastore "go.mau.fi/whatsmeow/store"
)

// BenchmarkPreKeys derives the prekeys of a linking; raw is whatsmeow's own store
// on SQLite.
func BenchmarkPreKeys(b *testing.B) {
	b.Run("enlace", func(b *testing.B) {
		w := newWorld(b)
		w.pair()
		for b.Loop() {
			if _, err := w.device.PreKeys.GetOrGenPreKeys(b.Context(), firstUpload); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) {
		for b.Loop() {
			d := rawDevice(b, openSQL(b, filepath.Join(b.TempDir(), "raw.db")))
			if _, err := d.PreKeys.GetOrGenPreKeys(b.Context(), firstUpload); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func rawDevice(b *testing.B, container *sqlstore.Container) *wastore.Device {
	d := container.NewDevice()
	accept(d)
	if err := d.Save(b.Context()); err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkOpen measures what an idle linked channel costs in memory, its device
// included, and the time to open it: the table is in memory.
func BenchmarkOpen(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	b.Run("enlace", func(b *testing.B) {
		w := newWorld(b)
		w.pair()
		w.login()
		w.config.Budget = NewBudget(64 << 20)
		kept := make([]*world, 0, 1000)
		for b.Loop() {
			kept = kept[:0]
			before := heap()
			began := time.Now()
			for range cap(kept) {
				c, err := Open(b.Context(), w.config)
				if err != nil {
					b.Fatal(err)
				}
				d, err := c.Device(b.Context(), func(error) {})
				if err != nil {
					b.Fatal(err)
				}
				kept = append(kept, &world{c: c, device: d})
			}
			b.ReportMetric(float64(time.Since(began).Microseconds())/float64(cap(kept)), "µs/channel")
			b.ReportMetric(float64(heap()-before)/float64(cap(kept)), "B/channel")
			runtime.KeepAlive(kept)
			for i := range kept {
				kept[i].c.Close()
				kept[i] = nil
			}
		}
	})
	b.Run("raw", func(b *testing.B) {
		container := openSQL(b, filepath.Join(b.TempDir(), "raw.db"))
		id := rawDevice(b, container).ID
		kept := make([]*wastore.Device, 0, 1000)
		for b.Loop() {
			kept = kept[:0]
			before := heap()
			began := time.Now()
			for range cap(kept) {
				d, err := container.GetDevice(b.Context(), *id)
				if err != nil {
					b.Fatal(err)
				}
				kept = append(kept, d)
			}
			b.ReportMetric(float64(time.Since(began).Microseconds())/float64(cap(kept)), "µs/channel")
			b.ReportMetric(float64(heap()-before)/float64(cap(kept)), "B/channel")
			runtime.KeepAlive(kept)
			clear(kept)
		}
	})
}

// BenchmarkDecrypt decrypts and stores messages of one contact; raw is whatsmeow's
// own store on SQLite without waiting for the disk.
func BenchmarkDecrypt(b *testing.B) {
	run := func(b *testing.B, reader *party) {
		writer := newParty(b, 1)
		reader.receive(writer.must(writer.send("first", bundlesOf(reader), reader.jid)))
		writer.receive(reader.must(reader.sendIn(context.Background(), "answer", nil, writer.jid)))
		letters := make([]letter, 0, 2000)
		for b.Loop() {
			if len(letters) == 0 {
				b.StopTimer()
				for n := range cap(letters) {
					letters = append(letters, writer.must(writer.send(textOf(n), nil, reader.jid)))
				}
				b.StartTimer()
			}
			reader.receive(letters[0])
			letters = letters[1:]
			if len(letters) == 0 {
				letters = make([]letter, 0, 2000)
			}
		}
	}
	b.Run("enlace", func(b *testing.B) { run(b, newParty(b, 2)) })
	b.Run("raw", func(b *testing.B) {
		d := rawDevice(b, openSQL(b, filepath.Join(b.TempDir(), "raw.db")))
		run(b, &party{&world{TB: b, device: d}, lidUser(2)})
	})
}
