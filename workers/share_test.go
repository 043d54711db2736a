package workers

import (
	"math"
	"testing"
	"time"

	"github.com/enlacehq/enlace/store"
)

func TestFairShare(t *testing.T) {
	for _, c := range []struct {
		total  int
		limits []int
		want   int
	}{
		{0, []int{0}, 0},
		{7, []int{0}, 7},
		{60, []int{0, 0, 0}, 20},
		{61, []int{0, 0, 0}, 21},
		{60, []int{0, 10, 0}, 25},
		{60, []int{5, 10, 0}, 45},
		{60, []int{20, 20, 20}, 20},
		{60, []int{10, 10}, math.MaxInt},
		{5, []int{3, 0}, 3},
		{1, []int{1, 1, 1}, 1},
	} {
		if got := fairShare(c.total, c.limits); got != c.want {
			t.Errorf("fairShare(%d, %v) = %d, want %d", c.total, c.limits, got, c.want)
		}
	}
}

func TestFairShare_LeavesNobodyOut(t *testing.T) {
	for total := range 50 {
		for _, limits := range [][]int{{0, 0}, {3, 0, 7}, {1, 1, 0, 9}, {20, 20, 20}} {
			share, room := fairShare(total, limits), 0
			for _, limit := range limits {
				if limit == 0 {
					limit = math.MaxInt
				}
				room += min(limit, share, total)
			}
			if room < total {
				t.Errorf("%d channels, limits %v: a share of %d is room for %d", total, limits, share, room)
			}
		}
	}
}

func TestStandBack(t *testing.T) {
	for _, c := range []struct {
		mine, share int
		want        time.Duration
	}{
		{0, 1, 0},
		{19, 20, 0},
		{20, 20, standBackStep},
		{23, 20, 4 * standBackStep},
		{1000, 20, standBackMost},
		{1000, math.MaxInt, 0},
		{math.MaxInt - 1, 0, standBackMost},
	} {
		if got := standBack(c.mine, c.share); got != c.want {
			t.Errorf("standBack(%d, %d) = %s, want %s", c.mine, c.share, got, c.want)
		}
	}
}

func TestSurplus(t *testing.T) {
	for _, c := range []struct {
		mine, share int
		begin, goOn bool
	}{
		{0, 0, false, false},
		{1, 1, false, false},
		{3, 1, false, true},
		{4, 1, true, true},
		{20, 20, false, false},
		{21, 20, false, false},
		{22, 20, false, true},
		{25, 20, false, true},
		{26, 20, true, true},
		{510, 500, false, false},
		{600, 500, false, true},
		{700, 500, true, true},
		{5, math.MaxInt, false, false},
	} {
		if begin, goOn := surplus(false, c.mine, c.share), surplus(true, c.mine, c.share); begin != c.begin || goOn != c.goOn {
			t.Errorf("%d of %d: begins %v and goes on %v, want %v and %v", c.mine, c.share, begin, goOn, c.begin, c.goOn)
		}
	}
}

func TestCrew_CountsThoseThatTakeChannels(t *testing.T) {
	begin := time.Now()
	var c crew
	if share := c.share(4, 6, 0); share != 10 {
		t.Errorf("alone: share %d, want all", share)
	}
	seen := []store.Worker{
		{ID: "me", State: store.WorkerLive, Channels: 99},
		{ID: "a", State: store.WorkerLive, Channels: 20},
		{ID: "b", State: store.WorkerLive, Channels: 5, Limit: 5},
		{ID: "c", State: store.WorkerDraining, Channels: 30},
	}
	c.see(seen, "me", begin)
	if share := c.share(4, 6, 0); share != 15 {
		t.Errorf("35 channels, of which one worker takes 5 at most: share %d, want 15", share)
	}
	if share := c.share(4, 6, 8); share != 8 {
		t.Errorf("share %d, want no more than the own limit", share)
	}
	later := begin.Add(time.Minute)
	seen[1].Channels = 21
	c.see(seen, "me", later)
	if steady := c.steadyFor(later, time.Second); steady != time.Minute {
		t.Errorf("steady for %s, want a minute: only a number changed", steady)
	}
	if steady := c.steadyFor(later.Add(2*time.Second), time.Second); steady != 0 {
		t.Errorf("steady for %s, want 0: the others were not seen lately", steady)
	}
	seen[2].State = store.WorkerDraining
	c.see(seen, "me", later)
	if steady := c.steadyFor(later, time.Second); steady != 0 {
		t.Errorf("steady for %s, want 0: a worker began to leave", steady)
	}
}

func TestPace_BoundsTheRate(t *testing.T) {
	var p pace
	begin := time.Now()
	var last time.Time
	for range 1000 {
		turn := p.turn(begin)
		if step := turn.Sub(last); !last.IsZero() && (step < takeoverEvery/2 || step > takeoverEvery*3/2) {
			t.Fatalf("a step of %s, want about %s", step, takeoverEvery)
		}
		last = turn
	}
	if took := last.Sub(begin); took < 900*takeoverEvery || took > 1100*takeoverEvery {
		t.Errorf("1000 turns over %s, want about %s", took, 1000*takeoverEvery)
	}
	if turn := p.turn(last.Add(time.Hour)); turn.Sub(last.Add(time.Hour)) > 2*takeoverEvery {
		t.Error("after a rest a turn still waits for those before it")
	}
}
