package socket

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

// TestRun_EndsWithItsCause has the server do each thing that can go wrong with a
// linked device, as it logs in and as it lives.
func TestRun_EndsWithItsCause(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault whatsapptest.Fault
		cause strategies.Cause
		code  string
		live  bool // also while the session lives
	}{
		{"closed socket", whatsapptest.Fault{Kind: whatsapptest.Drop}, strategies.CauseNetwork, "", true},
		{"stream error 503", whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 503}, strategies.CauseServer, "503", true},
		{"stream error 500", whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 500}, strategies.CauseServer, "500", true},
		{"stream error 515", whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 515}, strategies.CauseRestart, "515", true},
		{"stream error 413", whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 413}, strategies.CauseServer, "413", true},
		{"device removed", whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 401}, strategies.CauseLoggedOut, "401", true},
		{"replaced", whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 440}, strategies.CauseReplaced, "replaced", true},
		{"failure 400", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 400}, strategies.CauseServer, "400", false},
		{"failure 401", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 401}, strategies.CauseLoggedOut, "401", false},
		{"failure 402", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 402, Expire: 600}, strategies.CauseTemporaryBan, "402", false},
		{"failure 403", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 403}, strategies.CauseLocked, "403", false},
		{"failure 406", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 406}, strategies.CauseBanned, "406", false},
		{"failure 409", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 409}, strategies.CauseServer, "409", false},
		{"failure 413", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 413}, strategies.CauseServer, "413", false},
		{"failure 414", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 414}, strategies.CauseServer, "414", false},
		{"failure 418", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 418}, strategies.CauseServer, "418", false},
		{"failure 500", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 500}, strategies.CauseServer, "500", false},
		{"failure 503", whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 503}, strategies.CauseServer, "503", false},
		{"refused websocket", whatsapptest.Fault{Kind: whatsapptest.Refuse, Code: 503}, strategies.CauseNetwork, "503", false},
		{"cut after the hello", whatsapptest.Fault{Kind: whatsapptest.Refuse, Number: number}, strategies.CauseNetwork, "", false},
	} {
		check := func(t *testing.T, end strategies.End, since time.Time) {
			t.Helper()
			if end.Code != tc.code {
				t.Errorf("code %q, want %q", end.Code, tc.code)
			}
			if end.Err == nil && tc.cause != strategies.CauseRestart {
				t.Error("no word of what was wrong")
			}
			if tc.fault.Expire > 0 {
				within(t, "the ban's end", end.Until.Sub(since), 10*time.Minute, time.Second)
			}
			if took := time.Since(since); took > 5*time.Second {
				t.Errorf("the session ended after %v, want at once", took)
			}
		}
		t.Run(tc.name+" at login", func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c := w.channel("ch_1", enlace.Pairing{})
				c.link(number)
				synctest.Wait()
				w.fault(tc.fault)
				since := time.Now()
				r := c.start()
				end := <-r.ends
				r.over()
				if end.Cause != tc.cause {
					t.Fatalf("the session ended with %v (code %q), want %v", end, end.Code, tc.cause)
				}
				check(t, end, since)
			})
		})
		if !tc.live {
			continue
		}
		t.Run(tc.name+" while live", func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				_, r := w.connected("ch_1", number)
				since := time.Now()
				w.fault(tc.fault)
				check(t, r.end(tc.cause), since)
			})
		})
	}
}

func TestRun_UnlinkedClientThatIsRefusedIsNotLoggedOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 401})
		w.channel("ch_1", enlace.Pairing{}).start().end(strategies.CauseServer)
	})
}

func TestRun_UnlinkedByThePhone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		if err := w.srv.Unlink(number, 1); err != nil {
			t.Fatal(err)
		}
		r.end(strategies.CauseLoggedOut)
		if err := c.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.Linked() {
			t.Fatal("the channel is linked after Forget")
		}
		c.start().next("qr")
	})
}

func TestRun_SilentConnectionIsNoticed(t *testing.T) {
	for _, kind := range []whatsapptest.FaultKind{whatsapptest.Blackhole, whatsapptest.Stall} {
		t.Run(string(kind), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				_, r := w.connected("ch_1", number)
				time.Sleep(time.Hour) // of answered pings
				w.fault(whatsapptest.Fault{Kind: kind, Number: number})
				since := time.Now()
				r.end(strategies.CauseNetwork)
				// 60 s since the last answer, seen by a ping every 20 to 30 s that fails after 10.
				within(t, "the end", time.Since(since), 55*time.Second, 27*time.Second)
			})
		})
	}
}

func TestRun_ShortSilenceIsSurvived(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Stall, Number: number, ForMs: 35_000})
		time.Sleep(10 * time.Minute)
		r.stop()
	})
}

func TestRun_SilentLoginEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		c.link(number)
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Blackhole, Number: number})
		since := time.Now()
		c.start().end(strategies.CauseNetwork)
		within(t, "the end", time.Since(since), 30*time.Second, 0)
	})
}

func TestRun_SilentHandshakeEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Blackhole})
		since := time.Now()
		w.channel("ch_1", enlace.Pairing{}).start().end(strategies.CauseNetwork)
		within(t, "the end", time.Since(since), 25*time.Second, 5*time.Second)
	})
}

func TestRun_StopsAtOnceInASilentHandshake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Blackhole})
		r := w.channel("ch_1", enlace.Pairing{}).start()
		synctest.Wait()
		since := time.Now()
		r.stop()
		within(t, "the end", time.Since(since), 0, 0)
	})
}

// hungUp answers a websocket's request and hangs up at the first word.
type hungUp struct{ http.RoundTripper }

func (h hungUp) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &hangsUp{ReadWriteCloser: resp.Body.(io.ReadWriteCloser)}
	}
	return resp, err
}

type hangsUp struct{ io.ReadWriteCloser }

func (h *hangsUp) Write(p []byte) (int, error) {
	h.Close()
	return len(p), nil
}

func TestRun_HangUpInTheHandshakeEndsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{}, func(o *Options) { o.Transport = hungUp{o.Transport} })
		since := time.Now()
		w.channel("ch_1", enlace.Pairing{}).start().end(strategies.CauseNetwork)
		within(t, "the end", time.Since(since), 0, 0)
	})
}

func TestRun_FailingDial(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		refused := errors.New("connection refused")
		w := newWorld(t, whatsapptest.Options{}, func(o *Options) { o.Transport = failing{refused} })
		end := w.channel("ch_1", enlace.Pairing{}).start().end(strategies.CauseNetwork)
		if !errors.Is(end.Err, refused) || len(end.Err.Error()) > 60 {
			t.Errorf("told %q, want what the dial said, briefly", end.Err)
		}
	})
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// hanging is a dial that nobody answers.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestRun_DialWithoutAnAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{}, func(o *Options) { o.Transport = hanging{} })
		c := w.channel("ch_1", enlace.Pairing{})
		since := time.Now()
		c.start().end(strategies.CauseNetwork)
		within(t, "the end", time.Since(since), 30*time.Second, 0)

		r := c.start()
		synctest.Wait()
		since = time.Now()
		r.stop()
		within(t, "the end when stopped", time.Since(since), 0, 0)
	})
}

func TestRun_CutBetweenLinkingAndItsRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		qr := r.next("qr")
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Drop, Number: number})
		c.scan(number, qr.qr.Code)
		since := time.Now()
		r.next("linked")
		r.end(strategies.CauseNetwork)
		if took := time.Since(since); took > grace {
			t.Errorf("the session ended %v after the cut, want at once", took)
		}
		c.start().next("connected")
	})
}

func TestRun_SilenceBetweenLinkingAndItsRestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		qr := r.next("qr")
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Slow, Code: 1000}) // 515 comes a second late
		go w.srv.Scan(context.Background(), number, qr.qr.Code)
		linked := r.next("linked")
		w.tap.deaf.Store(true)
		r.end(strategies.CauseNetwork)
		within(t, "the end", time.Since(linked.at), 30*time.Second, 0)
		w.tap.deaf.Store(false)
		c.start().next("connected")
	})
}

func TestRun_StoppedContextStartsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if end := c.Run(ctx, newObserver()); end.Cause != strategies.CauseStopped {
			t.Errorf("ended with %v, want %v", end, strategies.CauseStopped)
		}
	})
}

// TestRun_StopsAtAnyMoment stops sessions a little later each time; the harness
// looks for what they leave behind.
func TestRun_StopsAtAnyMoment(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		linked := w.channel("ch_1", enlace.Pairing{})
		linked.link(number)
		for name, c := range map[string]*channel{"linked": linked, "new": w.channel("ch_2", enlace.Pairing{})} {
			for i := range 40 {
				r := c.start()
				for range i * i {
					runtime.Gosched()
				}
				r.stop()
			}
			if c.Linked() != (name == "linked") {
				t.Errorf("%s: linked is %v", name, c.Linked())
			}
		}
		linked.start().next("connected")
		if stats := w.srv.Stats(); stats.Overlaps != 0 {
			t.Errorf("%d overlaps, want none", stats.Overlaps)
		}
	})
}

func TestRun_RefusedCredentialsAreKeptAndTriedOnceMore(t *testing.T) {
	for _, tc := range []struct {
		code  int
		cause strategies.Cause
	}{{403, strategies.CauseLocked}, {406, strategies.CauseBanned}} {
		t.Run(tc.cause.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c := w.channel("ch_1", enlace.Pairing{})
				c.link(number)
				refusal := whatsapptest.Fault{Kind: whatsapptest.Failure, Number: number, Code: tc.code}

				w.fault(refusal)
				c.start().end(tc.cause)
				if !c.Linked() {
					t.Fatal("the credentials are gone after the first refusal")
				}
				r := c.start()
				r.next("connected") // it had passed
				r.stop()

				w.fault(refusal)
				c.start().end(tc.cause)
				w.fault(refusal)
				c.start().end(tc.cause)
				if c.Linked() {
					t.Fatal("the credentials are still there after the second refusal in a row")
				}
				c.start().next("qr")
			})
		})
	}
}

func TestUnlink_RemovesTheDevice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		if err := c.Unlink(t.Context()); !errors.Is(err, errNotRunning) {
			t.Errorf("without a session: %v, want %v", err, errNotRunning)
		}
		c.link(number)
		r := c.start()
		r.next("connected")
		if err := c.Unlink(t.Context()); err != nil {
			t.Fatal(err)
		}
		if devices, err := w.srv.Devices(number); err != nil || len(devices) != 0 {
			t.Errorf("devices %+v, %v; want none", devices, err)
		}
		r.end(strategies.CauseLoggedOut)
	})
}
