package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

func TestDisconnect_KeepsTheCredentials(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c, number := s.linked(w, "default")
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/disconnect", "")
	c = s.untilEnds(c, enlace.Inactive, enlace.ReasonDisconnected)
	if c.PhoneNumber != number {
		t.Errorf("want the number kept, got %q", c.PhoneNumber)
	}
	eventually(t, "no connection", soon, func() bool { return w.stats().Connections == 0 })
	if len(w.devices(number)) != 1 {
		t.Error("want the device linked still")
	}
	s.connect("default")
	c = s.untilActive(c)
	if n := count(s.events(c), enlace.EventQR); n != 1 {
		t.Errorf("want the one QR code of the first time, got %d", n)
	}
	w.wantsNoOverlap()
}

func TestLogout_UnlinksTheDevice(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c, number := s.linked(w, "default")
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/logout", "")
	c = s.untilEnds(c, enlace.Inactive, enlace.ReasonLoggedOut)
	if c.PhoneNumber != "" {
		t.Error("want the number forgotten")
	}
	if list := w.devices(number); len(list) != 0 {
		t.Errorf("want no linked device, got %+v", list)
	}
	if n := count(s.events(c), enlace.EventLoggedOut); n != 1 {
		t.Errorf("want one event channel.logged_out, got %d", n)
	}
	s.connect("default")
	c = s.untilQR(c)
	other := newNumber()
	w.scan(other, c.QR.Code)
	if c = s.untilActive(c); c.PhoneNumber != other {
		t.Errorf("want the number of the other phone, got %q", c.PhoneNumber)
	}
}

func TestDelete_UnlinksAndForgets(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	c, number := s.linked(w, "default")
	s.call(http.StatusAccepted, http.MethodDelete, path(c), "")
	s.call(http.StatusNotFound, http.MethodGet, path(c), "")
	s.call(http.StatusNotFound, http.MethodGet, path(c)+"/events", "")
	s.call(http.StatusNotFound, http.MethodDelete, path(c), "")
	next := s.untilQR(s.connect("default"))
	if next.ID == c.ID {
		t.Error("want a new channel under the name that was freed, got the deleted one")
	}
	eventually(t, "the device unlinked", soon, func() bool { return len(w.devices(number)) == 0 })
	eventually(t, "nothing left of the channel", soon, func() bool { return len(i.itemsOf(c)) == 0 })
}

// A channel that nobody owns is claimed to be deleted.
func TestDelete_OfADisconnectedChannelUnlinksToo(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	c, number := s.linked(w, "default")
	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/disconnect", "")
	s.until(c, "without an owner", func(c enlace.Channel) bool { return c.Status == enlace.Inactive })
	eventually(t, "the channel released", soon, func() bool { return s.channel(c).Owner == "" })
	s.call(http.StatusAccepted, http.MethodDelete, path(c), "")
	eventually(t, "the device unlinked", soon, func() bool { return len(w.devices(number)) == 0 })
	eventually(t, "nothing left of the channel", soon, func() bool { return len(i.itemsOf(c)) == 0 })
}

// SIGTERM: held requests are answered, channels handed over, exit code 0; the
// next process goes on at once.
func TestStop_DrainsAndReleases(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	c, _ := s.linked(w, "default")
	c = s.channel(c)
	held := make(chan answer, 1)
	go func() {
		a, _ := s.request(t.Context(), http.MethodGet, path(c)+"/events?after=1-"+seq(len(s.events(c))), "", "Prefer", "wait=25")
		held <- a
	}()
	time.Sleep(300 * time.Millisecond) // the request is held by now, or is refused: both end well
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("want an idle server to stop within 10 s, took %v", took)
	}
	if a := <-held; a.status != http.StatusOK {
		t.Errorf("want the held request answered, got status %d", a.status)
	}
	var owner string
	i.onChannel(c, func(r map[string]any) { owner, _ = r["owner"].(string) })
	if owner != "" {
		t.Errorf("want the channel released, got owner %s", owner)
	}
	s = i.serve()
	s.untilBack(c)
	w.wantsNoOverlap()
}

// WhatsApp goes away and comes back, with all it knew.
func TestWhatsAppRestarts(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c, _ := s.linked(w, "default")
	w.restart()
	eventually(t, "active again", soon, func() bool { return count(s.events(c), enlace.EventReady) == 2 })
	c = s.untilActive(c)
	if n := count(s.events(c), enlace.EventQR); n != 1 {
		t.Errorf("want the one QR code of the first time, got %d", n)
	}
	w.wantsNoOverlap()
}
