package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
)

func TestConnect_HundredCallersGetOneChannelAndOneQRStream(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	// The product's own lease in every shape: a claim has time for a store that a
	// hundred transactions at once keep busy.
	s := install(t, w, "ENLACE_LEASE=20s").serve()
	answers := make([]enlace.Channel, 100)
	var calling sync.WaitGroup
	for n := range answers {
		calling.Go(func() { answers[n] = s.connect("default") })
	}
	calling.Wait()
	for _, c := range answers {
		if c.ID != answers[0].ID || c.Status != enlace.Connecting {
			t.Fatalf("want every caller to get one channel, connecting, got %s (%s) and %s", c.ID, c.Status, answers[0].ID)
		}
	}
	c := s.untilQR(answers[0])
	// A second connection would show itself while the worker goes through the jobs.
	time.Sleep(3 * time.Second)
	if got := w.stats(); got.QRs != 1 || got.Connections != 1 {
		t.Errorf("want one connection with one set of QR codes, got %+v", got)
	}
	events := s.events(c)
	if connecting, taken, shown := count(events, enlace.EventConnecting), count(events, enlace.EventTaken), count(events, enlace.EventQR); connecting != 1 || taken != 1 || shown != 1 {
		t.Errorf("want one each of connecting, taken and qr, got %d, %d, %d", connecting, taken, shown)
	}
	var list struct {
		Channels []enlace.Channel `json:"channels"`
	}
	s.call(http.StatusOK, http.MethodGet, channels, "").read(t, &list)
	if len(list.Channels) != 1 {
		t.Errorf("want one channel in the list, got %d", len(list.Channels))
	}
}

func TestConnect_ActiveIsConflict_InactiveAndErrorConnectAgain(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	s := install(t, w).serve()
	c, number := s.linked(w, "default")

	refused := s.call(http.StatusConflict, http.MethodPost, channels, `{"type":"WHATSAPP_WEB"}`).problem(t)
	if refused.Code != enlace.CodeChannelActive {
		t.Errorf("want channel_active, got %s", refused.Code)
	}

	s.call(http.StatusAccepted, http.MethodPost, path(c)+"/disconnect", "")
	s.untilEnds(c, enlace.Inactive, enlace.ReasonDisconnected)
	seen := len(s.events(c))
	if again := s.connect("default"); again.ID != c.ID || again.Status != enlace.Connecting {
		t.Errorf("want the same channel, connecting again, got %s (%s)", again.ID, again.Status)
	}
	c = s.untilActive(c)

	w.fault(fault{Kind: "failure", Number: number, Code: 403})
	w.fault(fault{Kind: "drop", Number: number})
	s.untilEnds(c, enlace.Failed, enlace.ReasonLocked)
	if again := s.connect("default"); again.ID != c.ID || again.Status != enlace.Connecting {
		t.Errorf("want the same channel, connecting again, got %s (%s)", again.ID, again.Status)
	}
	c = s.untilActive(c)
	if n := count(s.events(c)[seen:], enlace.EventQR); n != 0 {
		t.Errorf("want no new QR code where credentials are kept, got %d", n)
	}
	w.wantsNoOverlap()
}

// What an API leaves behind that dies between writing the channel and sending the
// job: the channel, and no job.
func TestConnect_LostJobStrandsNothing(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	s.untilQR(s.connect("first")) // the worker is at work

	var lost enlace.Channel
	i.onStore(func(ctx context.Context, st *store.Store) error {
		var err error
		lost, err = st.Connect(ctx, store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: "lost"})
		return err
	})
	s.untilQR(lost)
}

// The process is killed at any moment after a caller began to ask. What is there
// when it is started again becomes a QR code; what is not can be asked for.
func TestConnect_KilledWhileAsked(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := install(t, w)
	s := i.serve()
	for round := range 12 {
		name := fmt.Sprintf("round-%d", round)
		asking, forget := context.WithCancel(t.Context())
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = s.request(asking, http.MethodPost, channels, fmt.Sprintf(`{"type":"WHATSAPP_WEB","name":%q}`, name))
		}()
		time.Sleep(rand.N(8 * time.Millisecond))
		s.kill()
		forget()
		<-asked

		s = i.serve()
		var list struct {
			Channels []enlace.Channel `json:"channels"`
		}
		s.call(http.StatusOK, http.MethodGet, channels, "").read(t, &list)
		for _, c := range list.Channels {
			s.untilQR(c)
		}
		s.untilQR(s.connect(name))
	}
}
