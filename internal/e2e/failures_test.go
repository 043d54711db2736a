package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

// broken is a linked channel and what may be done to it.
type broken struct {
	*server
	w       *whatsApp
	channel enlace.Channel
	number  string
	seen    int // events before it was broken
}

func (b *broken) fault(kind string, code, times int) {
	b.Helper()
	b.w.fault(fault{Kind: kind, Number: b.number, Code: code, Times: times})
}

// since returns the events since the channel was linked.
func (b *broken) since() []enlace.Event {
	b.Helper()
	return b.events(b.channel)[b.seen:]
}

// recovers wants the channel to go through reconnecting, for the reason, and to
// be active again by itself without a QR code.
func (b *broken) recovers(reason enlace.Reason) {
	b.Helper()
	eventually(b, "the channel reconnecting and active again", 2*soon, func() bool {
		events := b.since()
		return count(events, enlace.EventReconnecting) > 0 && count(events, enlace.EventReady) > 0
	})
	b.untilActive(b.channel)
	events := b.since()
	var change struct {
		Status    enlace.Status     `json:"status"`
		Reason    enlace.Reason     `json:"reason"`
		Reconnect *enlace.Reconnect `json:"reconnect"`
	}
	for _, e := range events {
		if e.Event == enlace.EventReconnecting {
			answer{body: e.Data}.read(b, &change)
			break
		}
	}
	if change.Status != enlace.Connecting || change.Reason != reason || change.Reconnect == nil {
		b.Errorf("want connecting for the reason %s, with reconnect, got %+v", reason, change)
	}
	if n := count(events, enlace.EventQR); n != 0 {
		b.Errorf("want no QR code, got %d", n)
	}
}

// ends wants a status that lasts until somebody connects again.
func (b *broken) ends(status enlace.Status, reason enlace.Reason) {
	b.Helper()
	b.channel = b.untilEnds(b.channel, status, reason)
	if status == enlace.Failed && b.channel.LastError == nil {
		b.Error("want a lastError that says more")
	}
}

// connectsWithoutQR wants a POST to bring the channel back by its credentials.
func (b *broken) connectsWithoutQR() {
	b.Helper()
	before := count(b.since(), enlace.EventQR)
	b.connect(b.channel.Name)
	b.untilActive(b.channel)
	if n := count(b.since(), enlace.EventQR); n != before {
		b.Errorf("want no new QR code, got %d", n-before)
	}
}

// connectsWithQR wants a POST to bring a new QR code, and the scan to link.
func (b *broken) connectsWithQR() {
	b.Helper()
	b.connect(b.channel.Name)
	c := b.untilQR(b.channel)
	b.w.scan(b.number, c.QR.Code)
	b.untilActive(c)
}

// What WhatsApp may do to a linked channel, and what becomes of it.
func TestFailures_OfALinkedChannel(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w, "ENLACE_MAX_RECONNECT_ATTEMPTS=3").serve()
	cases := map[string]func(*broken){
		"connection closed": func(b *broken) {
			b.fault("drop", 0, 0)
			b.recovers(enlace.ReasonNetwork)
		},
		"connection closed and refused for a while": func(b *broken) {
			b.fault("refuse", 0, 6) // more often than WhatsApp itself may refuse
			b.fault("drop", 0, 0)
			b.recovers(enlace.ReasonNetwork)
		},
		"stream error 503": func(b *broken) {
			b.fault("stream_error", 503, 0)
			b.recovers(enlace.ReasonServer)
		},
		"stream error 515": func(b *broken) {
			b.fault("stream_error", 515, 0)
			eventually(b, "active again", soon, func() bool { return count(b.since(), enlace.EventReady) > 0 })
			b.untilActive(b.channel)
		},
		"replaced once": func(b *broken) {
			b.fault("stream_error", 440, 0)
			b.recovers(enlace.ReasonServer)
		},
		"replaced again and again": func(b *broken) {
			b.fault("stream_error", 440, 4)
			b.ends(enlace.Failed, enlace.ReasonReplaced)
			if n := count(b.since(), enlace.EventReconnecting); n != 3 {
				b.Errorf("want three tries, got %d", n)
			}
			b.connectsWithoutQR()
		},
		"unlinked while connected": func(b *broken) {
			b.fault("stream_error", 401, 0)
			b.ends(enlace.Inactive, enlace.ReasonLoggedOut)
			b.connectsWithQR()
		},
		"unlinked on the phone": func(b *broken) {
			id := b.w.devices(b.number)[0].ID
			b.w.call(http.MethodDelete, fmt.Sprintf("/phones/%s/devices/%d", b.number, id), nil, nil)
			b.ends(enlace.Inactive, enlace.ReasonLoggedOut)
			b.connectsWithQR()
		},
		"login refused with 401": func(b *broken) {
			b.fault("failure", 401, 0)
			b.fault("drop", 0, 0)
			b.ends(enlace.Inactive, enlace.ReasonLoggedOut)
			b.connectsWithQR()
		},
		"login refused with 403, then accepted": func(b *broken) {
			b.fault("failure", 403, 0)
			b.fault("drop", 0, 0)
			b.ends(enlace.Failed, enlace.ReasonLocked)
			b.connectsWithoutQR()
		},
		"login refused with 403 twice": func(b *broken) {
			b.fault("failure", 403, 2)
			b.fault("drop", 0, 0)
			b.ends(enlace.Failed, enlace.ReasonLocked)
			b.connect(b.channel.Name)
			b.until(b.channel, "locked again", func(c enlace.Channel) bool {
				return c.Reason == enlace.ReasonLocked && c.Version > b.channel.Version
			})
			b.connectsWithQR()
		},
		"login refused with 406": func(b *broken) {
			b.fault("failure", 406, 0)
			b.fault("drop", 0, 0)
			b.ends(enlace.Failed, enlace.ReasonBanned)
			b.connectsWithoutQR()
		},
		"banned for a time": func(b *broken) {
			b.w.fault(fault{Kind: "failure", Number: b.number, Code: 402, Expire: 3})
			b.fault("drop", 0, 0)
			b.ends(enlace.Failed, enlace.ReasonTemporaryBan)
			if until := b.channel.Until; until == nil || time.Until(*until) > 4*time.Second {
				b.Errorf("want the end of the ban within seconds, got %v", until)
			}
			b.untilActive(b.channel) // by itself
			if n := count(b.since(), enlace.EventQR); n != 0 {
				b.Errorf("want no QR code, got %d", n)
			}
		},
		"login refused with 503 once": func(b *broken) {
			b.fault("failure", 503, 0)
			b.fault("drop", 0, 0)
			b.recovers(enlace.ReasonNetwork)
		},
		"login refused with 500 for good": func(b *broken) {
			b.fault("failure", 500, 4)
			b.fault("drop", 0, 0)
			b.ends(enlace.Failed, enlace.ReasonReconnectExhausted)
			b.connectsWithoutQR()
		},
	}
	t.Run("all", func(t *testing.T) {
		for name, do := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				in := s.in(t)
				c, number := in.linked(w.in(t), "c"+newNumber())
				do(&broken{server: in, w: w.in(t), channel: c, number: number, seen: len(in.events(c))})
			})
		}
	})
	w.wantsNoOverlap()
}

// in is the server for a subtest.
func (s *server) in(t *testing.T) *server {
	process := *s.process
	process.TB = t
	return &server{process: &process, url: s.url, key: s.key}
}

func (w *whatsApp) in(t *testing.T) *whatsApp {
	process, other := *w.process, *w
	process.TB = t
	other.process = &process
	return &other
}

// A client that is too old for WhatsApp learns the current version and comes
// back with it, if there is one to be had.
func TestFailures_ClientOutdated(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c, number := s.linked(w, "default")
	seen := len(s.events(c))

	var version struct {
		Revision int `json:"revision"`
		Minimum  int `json:"minimum,omitempty"`
	}
	w.call(http.MethodGet, "/version", nil, &version)
	newer := map[string]int{"revision": version.Revision + 1000, "minimum": version.Revision + 1000}
	w.call(http.MethodPut, "/version", newer, nil)
	w.fault(fault{Kind: "drop", Number: number})
	eventually(t, "active again", soon, func() bool { return count(s.events(c)[seen:], enlace.EventReady) > 0 })
	c = s.untilActive(c)

	// A version that WhatsApp does not name itself.
	w.call(http.MethodPut, "/version", map[string]int{"revision": version.Revision + 1000, "minimum": version.Revision + 2000}, nil)
	w.fault(fault{Kind: "drop", Number: number})
	s.untilEnds(c, enlace.Failed, enlace.ReasonClientOutdated)
	w.call(http.MethodPut, "/version", newer, nil)
	s.connect("default")
	c = s.untilActive(c)
	if n := count(s.events(c)[seen:], enlace.EventQR); n != 0 {
		t.Errorf("want no QR code, got %d", n)
	}
}

// What may happen while a device is being linked: the channel comes through it.
func TestFailures_WhileLinking(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	for name, before := range map[string]func(w *whatsApp, number string){
		"cut between the confirmation and 515": func(w *whatsApp, number string) {
			w.fault(fault{Kind: "drop", Number: number})
		},
		"refused after 515": func(w *whatsApp, number string) {
			w.fault(fault{Kind: "refuse", Number: number, Times: 2})
		},
		"no answer after 515": func(w *whatsApp, number string) {
			w.fault(fault{Kind: "blackhole", Number: number, Times: 1})
		},
		"503 in place of 515": func(w *whatsApp, number string) {
			w.fault(fault{Kind: "stream_error", Number: number, Code: 503})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s, number := w.in(t), s.in(t), newNumber()
			c := s.untilQR(s.connect("c" + number))
			before(w, number)
			w.scan(number, c.QR.Code)
			c = s.untilWithin(3*soon, c, "active", func(c enlace.Channel) bool { return c.Status == enlace.Active })
			if n := count(s.events(c), enlace.EventQR); n != 1 {
				t.Errorf("want the one QR code that was scanned, got %d", n)
			}
			if n := len(w.devices(number)); n != 1 {
				t.Errorf("want one linked device, got %d", n)
			}
		})
	}
}

// WhatsApp cannot be reached: a channel that is not linked yet is given up after
// some tries, one that is linked never.
func TestFailures_Unreachable(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w, "ENLACE_MAX_RECONNECT_ATTEMPTS=3").serve()
	old, number := s.linked(w, "linked")
	seen := len(s.events(old))
	end := w.fault(fault{Kind: "refuse"})
	w.fault(fault{Kind: "drop", Number: number})

	c := s.connect("new")
	c = s.until(c, "connecting with the number of tries", func(c enlace.Channel) bool { return c.Reconnect != nil })
	if c.Reason != "" || c.Reconnect.Max != 3 || c.Reconnect.Attempt < 1 {
		t.Errorf("want tries of 3 and no reason, got %q %+v", c.Reason, c.Reconnect)
	}
	c = s.untilEnds(c, enlace.Failed, enlace.ReasonReconnectExhausted)
	old = s.until(old, "after more tries than those", func(c enlace.Channel) bool { return c.Reconnect != nil && c.Reconnect.Attempt > 4 })
	if old.Status != enlace.Connecting || old.Reason != enlace.ReasonNetwork || old.Reconnect.Max != 0 {
		t.Errorf("want the linked channel reconnecting without a last try, got %+v", old)
	}
	end()
	s.connect("new")
	s.untilQR(c)
	old = s.untilWithin(2*soon, old, "active", func(c enlace.Channel) bool { return c.Status == enlace.Active })
	if n := count(s.events(old)[seen:], enlace.EventQR); n != 0 {
		t.Errorf("want no QR code for a linked channel, got %d", n)
	}
}

// A connection that says nothing and never ends is noticed by its silence.
func TestFailures_BlackHole(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c, number := s.linked(w, "default")
	seen := len(s.events(c))
	w.fault(fault{Kind: "blackhole", Number: number, Times: 1})
	eventually(t, "the silence noticed", 3*time.Minute, func() bool {
		return count(s.events(c)[seen:], enlace.EventReconnecting) > 0
	})
	c = s.untilActive(c)
	if n := count(s.events(c)[seen:], enlace.EventQR); n != 0 {
		t.Errorf("want no QR code, got %d", n)
	}
}

// Nobody scans: when the codes are used up it is over, and a POST begins anew.
func TestFailures_QRTimeout(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t, "--qr-codes", "1") // shown for 20 s
	s := install(t, w).serve()
	c := s.untilQR(s.connect("default"))
	s.untilEnds(c, enlace.Inactive, enlace.ReasonQRTimeout)
	gone := s.call(http.StatusNotFound, http.MethodGet, path(c)+"/qr", "").problem(t)
	if gone.Code != enlace.CodeNoQR {
		t.Errorf("want no_qr, got %s", gone.Code)
	}
	s.connect("default")
	c = s.untilQR(c)
	if c.QR.Attempt != 1 || c.QR.Of != 1 {
		t.Errorf("want the first of one code, got %d of %d", c.QR.Attempt, c.QR.Of)
	}
	number := newNumber()
	w.scan(number, c.QR.Code)
	s.untilActive(c)
}

// Credentials that the sealing key at hand does not open are kept: with the right
// key the channel comes back.
func TestFailures_AnotherSealingKey(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	c, _ := s.linked(w, "default")
	s.stop()
	key, aside := filepath.Join(i.data, "seal.key"), filepath.Join(i.data, "seal.key.aside")
	if err := os.Rename(key, aside); err != nil {
		t.Fatal(err)
	}
	s = i.serve()
	s.untilEnds(c, enlace.Failed, enlace.ReasonCredentialsUnreadable)
	s.stop()
	if err := os.Rename(aside, key); err != nil {
		t.Fatal(err)
	}
	s = i.serve()
	s.connect("default")
	c = s.untilActive(c)
	if n := count(s.events(c), enlace.EventQR); n != 1 {
		t.Errorf("want the one QR code of the first time, got %d", n)
	}
}
