package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/enlacehq/enlace/store"
)

// fill puts items at sks, in an order that is not theirs, and neighbours that
// no query of partition P may return.
func (e *env) fill(sks ...string) {
	e.Helper()
	for i := range sks { // not in their order
		sk := sks[(i+len(sks)/2)%len(sks)]
		e.write(store.Put(item(sk, "v"+sk), store.Any))
	}
	if got := len(e.all(store.Query{PK: "P"})); got != len(sks) {
		e.Fatalf("filled %d of %d", got, len(sks))
	}
	e.write(store.Put(store.Item{Key: store.Key{PK: "O", SK: sks[0]}}, store.Any), store.Put(store.Item{Key: store.Key{PK: "P2", SK: sks[0]}}, store.Any))
}

func testQueryRanges(e *env) {
	order := []string{"A", "EV#01", "EV#02", "EV#1", "EV#10", "EV#2", "EV$", "Z", "a", "é", "日"}
	e.fill(order...)
	queries := []struct {
		q    store.Query
		want []string
	}{
		{store.Query{}, order},
		{store.Query{Prefix: "EV#"}, []string{"EV#01", "EV#02", "EV#1", "EV#10", "EV#2"}},
		{store.Query{Prefix: "EV#1"}, []string{"EV#1", "EV#10"}},
		{store.Query{Prefix: "é"}, []string{"é"}},
		{store.Query{Prefix: "no"}, nil},
		{store.Query{From: "EV#1"}, []string{"EV#1", "EV#10", "EV#2", "EV$", "Z", "a", "é", "日"}},
		{store.Query{To: "EV#1"}, []string{"A", "EV#01", "EV#02"}},
		{store.Query{From: "EV#02", To: "EV#2"}, []string{"EV#02", "EV#1", "EV#10"}},
		{store.Query{From: "EV#02\x00", To: "EV#2\x00"}, []string{"EV#1", "EV#10", "EV#2"}},
		{store.Query{From: "B", To: "C"}, nil},
		{store.Query{From: "Z", To: "A"}, nil},
		{store.Query{From: "日\x00"}, nil},
	}
	for _, c := range queries {
		c.q.PK = "P"
		for _, limit := range []int{0, 1, 2, 3, len(order)} {
			c.q.Limit = limit
			c.q.Descending = false
			got := e.all(c.q)
			if !slices.Equal(sks(got), c.want) {
				e.Errorf("%+v: %q, want %q", c.q, sks(got), c.want)
			}
			for _, item := range got {
				if string(item.Value) != "v"+item.SK || item.Version != 1 || item.PK != "P" {
					e.Errorf("%+v: came %+v", c.q, item)
				}
			}
			c.q.Descending = true
			back := slices.Clone(c.want)
			slices.Reverse(back)
			if got := sks(e.all(c.q)); !slices.Equal(got, back) {
				e.Errorf("%+v: %q, want %q", c.q, got, back)
			}
		}
	}
	if got := e.all(store.Query{PK: "nowhere"}); len(got) != 0 {
		e.Errorf("an empty partition has %q", sks(got))
	}
}

func testQueryPages(e *env) {
	var ops []store.Op
	for i := range 1050 {
		ops = append(ops, store.Put(item(fmt.Sprintf("%05d", i), ""), store.Any))
		if len(ops) == store.MaxOps || i == 1049 {
			e.write(ops...)
			ops = nil
		}
	}
	for _, limit := range []int{0, store.MaxPageItems, store.MaxPageItems + 500} {
		page := e.query(store.Query{PK: "P", Limit: limit})
		if len(page.Items) > store.MaxPageItems || page.Cursor == "" {
			e.Errorf("limit %d: a page of %d items, cursor %q", limit, len(page.Items), page.Cursor)
		}
		if got := e.all(store.Query{PK: "P", Limit: limit}); len(got) != 1050 {
			e.Errorf("limit %d: %d items in all, want 1050", limit, len(got))
		}
	}
	if got := e.all(store.Query{PK: "P", Limit: 100, Descending: true}); len(got) != 1050 || got[0].SK != "01049" || got[1049].SK != "00000" {
		e.Errorf("descending by hundreds: %d items", len(got))
	}
}

// pagesAmong reads q page by page and calls between after each page.
func (e *env) pagesAmong(q store.Query, between func(page int)) []string {
	e.Helper()
	var got []string
	for n := 0; ; n++ {
		page := e.query(q)
		got = append(got, sks(page.Items)...)
		if page.Cursor == "" {
			return got
		}
		q.Cursor = page.Cursor
		between(n)
	}
}

func testQueryPagesAmongWrites(e *env) {
	e.fill("b", "d", "f", "h", "j", "l", "n")
	got := e.pagesAmong(store.Query{PK: "P", Limit: 2}, func(page int) {
		if page == 0 { // b and d were seen
			e.write(
				store.Put(item("a", ""), store.Any),     // behind: not seen
				store.Delete(key("d"), store.Present),   // the cursor's own
				store.Put(item("e", ""), store.Any),     // ahead: seen
				store.Delete(key("h"), store.Present),   // ahead: not seen
				store.Put(item("j", "2"), store.Any),    // changed: seen once
				store.Put(item("zz", ""), store.Absent), // the new end: seen
			)
		}
	})
	if want := []string{"b", "d", "e", "f", "j", "l", "n", "zz"}; !slices.Equal(got, want) {
		e.Errorf("forwards %q, want %q", got, want)
	}
	got = e.pagesAmong(store.Query{PK: "P", Limit: 2, Descending: true}, func(page int) {
		if page == 0 { // zz and n were seen
			e.write(store.Delete(key("n"), store.Present), store.Put(item("m", ""), store.Any), store.Put(item("o", ""), store.Any))
		}
	})
	if want := []string{"zz", "n", "m", "l", "j", "f", "e", "b", "a"}; !slices.Equal(got, want) {
		e.Errorf("backwards %q, want %q", got, want)
	}
}

func testQueryRefusals(e *env) {
	for _, q := range []store.Query{
		{},
		{PK: "P", Prefix: "a", From: "b"},
		{PK: "P", Prefix: "a", To: "b"},
		{PK: "P", Limit: -1},
	} {
		if page, err := e.table.Query(e.Context(), q); err == nil {
			e.Errorf("%+v: %+v, want it refused", q, page)
		}
	}
}

func testQueryForeignCursor(e *env) {
	e.fill("a", "b", "c", "d")
	e.write(store.Put(store.Item{Key: store.Key{PK: "Q", SK: "a"}, Index: store.Key{PK: "P", SK: "a"}}, store.Any),
		store.Put(store.Item{Key: store.Key{PK: "Q", SK: "b"}, Index: store.Key{PK: "P", SK: "b"}}, store.Any))
	q := store.Query{PK: "P", From: "a", Limit: 2}
	cursor := e.query(q).Cursor
	if cursor == "" {
		e.Fatal("no cursor")
	}
	foreign := []store.Query{
		{PK: "P", From: "a", Cursor: "x"},
		{PK: "P", From: "a", Cursor: "!?"},
		{PK: "P", From: "a", Cursor: strings.Repeat("A", 30)},
		{PK: "P", From: "a", Cursor: cursor[:len(cursor)-2]},
		{PK: "P", From: "a", Cursor: cursor + "AA"},
		{PK: "P", From: "a", Cursor: strings.ToUpper(cursor)},
		{PK: "Q", From: "a", Cursor: cursor},
		{PK: "P", From: "b", Cursor: cursor},
		{PK: "P", Prefix: "a", Cursor: cursor},
		{PK: "P", From: "a", Cursor: cursor, Descending: true},
		{PK: "P", From: "a", Cursor: cursor, Index: true},
	}
	for _, f := range foreign {
		if page, err := e.table.Query(e.Context(), f); !errors.Is(err, store.ErrCursor) {
			e.Errorf("%+v: %q, %v, want ErrCursor", f, sks(page.Items), err)
		}
	}
	q.Cursor, q.Limit = cursor, 1 // the limit may change from page to page
	if got := sks(e.all(q)); !slices.Equal(got, []string{"c", "d"}) {
		e.Errorf("the cursor itself goes on with %q", got)
	}
}

// testQueryLargePages: a page of large items may be short, but all of them come.
func testQueryLargePages(e *env) {
	value := make([]byte, 300*1024)
	want := make([]string, 40)
	if e.driver.Slow {
		want = want[:10]
	}
	for i := range want {
		want[i] = fmt.Sprintf("%02d", i)
		e.write(store.Put(store.Item{Key: key(want[i]), Value: value}, store.Any))
	}
	for _, descending := range []bool{false, true} {
		got := e.all(store.Query{PK: "P", Descending: descending})
		if descending {
			slices.Reverse(got)
		}
		if !slices.Equal(sks(got), want) {
			e.Errorf("descending %v: %q", descending, sks(got))
		}
		for _, item := range got {
			if len(item.Value) != len(value) {
				e.Errorf("%s came with %d bytes", item.Key, len(item.Value))
			}
		}
	}
}
