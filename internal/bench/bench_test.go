package main

import (
	"bufio"
	"strings"
	"testing"
)

func TestMedian_IsTheMiddleOrTheMeanOfTheMiddleTwo(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRow_TakesTheRatioInEachRound(t *testing.T) {
	r := row{aim: aim{bound: 0.5}}
	r.add(1, 4)   // a quiet round
	r.add(10, 20) // one beside something else
	r.add(3, 4)
	if got := r.ratio(); got != 0.5 {
		t.Errorf("the ratio is %v, want the median of 0.25, 0.5 and 0.75", got)
	}
	if !r.met() {
		t.Error("an aim that is reached exactly is not met")
	}
}

func TestRow_IsMissedByAPartOfItsAim(t *testing.T) {
	slow := row{aim: aim{bound: 2}}
	slow.add(5, 2)
	few := row{aim: aim{bound: 0.5, atLeast: true}}
	few.add(4, 10)
	for _, c := range []struct {
		row  row
		want float64
	}{{slow, 0.25}, {few, 0.2}} {
		if c.row.met() {
			t.Errorf("%v is met, want missed", c.row.aim)
		}
		if got := c.row.missedBy(); got < c.want-1e-9 || got > c.want+1e-9 {
			t.Errorf("%v is missed by %v, want %v", c.row.aim, got, c.want)
		}
	}
}

func TestPage_ShowsTheTableAndWhatIsMissed(t *testing.T) {
	good := row{name: "first", against: "raw", unit: "ms", aim: aim{bound: 3}, note: "seen too"}
	good.add(2, 1)
	bad := row{name: "second", against: "raw", unit: "s", aim: aim{bound: 0.5}, reason: "Because."}
	bad.add(3, 4)
	page := report{Machine: "a machine", Rounds: 1, Rows: []row{good, bad}, Micro: []string{"BenchmarkX 1 ns/op"}}.page()
	for _, want := range []string{
		"| first | raw | 2.00 | 1.00 | ms | 2.00× | ≤ 3× | yes |",
		"| second | raw | 3.00 | 4.00 | s | 0.75× | ≤ 0.5× | **no** |",
		"second: 0.75× where ≤ 0.5× was aimed at, off by 50 %. Because.",
		"first: seen too.",
		"BenchmarkX",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestReadNotModified_TakesNothingElse(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("HTTP/1.1 304 Not Modified\r\nEtag: \"7\"\r\n\r\nHTTP/1.1 401 Unauthorized\r\nA: b\r\n\r\nno"))
	if err := readNotModified(in); err != nil {
		t.Fatal(err)
	}
	err := readNotModified(in)
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a 401 gives %v, want an error that says so", err)
	}
}
