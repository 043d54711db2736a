package socket

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

func TestLogger_TellsNothingOfPeople(t *testing.T) {
	var out strings.Builder
	l := &logger{
		log:   slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		muted: func() bool { return false },
	}
	jid := types.NewJID(number, types.DefaultUserServer)
	node := &waBinary.Node{Tag: "message", Attrs: waBinary.Attrs{"from": jid}, Content: []byte("hello")}
	l.Errorf("failed for %s (%v), %d: %v", jid, &jid, 15550001111, fmt.Errorf("no session with %s: <message from=%q>hello</message>", jid, jid))
	l.Warnf("node %s, name %q, %+v, %#v", node, "Ann", []string{"Ann"}, node)
	l.Infof("%s %x %T", []byte("hello"), []byte("hello"), node)
	l.Debugf("hello %s", jid)
	l.Sub("Recv").Debugf("%s", node)
	for _, secret := range []string{number, "5550001", "hello", "Ann", "68656c6c6f"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "failed for") || !strings.Contains(out.String(), "no session with #@") {
		t.Errorf("the log says nothing:\n%s", out.String())
	}
}

func TestLogger_KeepsSmallNumbersAndStaysSilentAfterTheEnd(t *testing.T) {
	var out strings.Builder
	muted := false
	l := &logger{log: slog.New(slog.NewTextHandler(&out, nil)), muted: func() bool { return muted }}
	l.Warnf("got %d/%v", 503, true)
	if !strings.Contains(out.String(), "got 503/true") {
		t.Errorf("got %q, want the number and the truth", out.String())
	}
	out.Reset()
	muted = true
	l.Errorf("the end")
	if out.Len() > 0 {
		t.Errorf("got %q after the end", out.String())
	}
}

func TestLogger_TapSeesEachStanza(t *testing.T) {
	var seen []string
	l := &logger{log: slog.New(slog.DiscardHandler), muted: func() bool { return false }, tap: func(n *waBinary.Node) { seen = append(seen, n.Tag) }}
	l.Sub("Recv").Debugf("%s", &waBinary.Node{Tag: "failure"})
	l.Sub("Send").Debugf("%s", &waBinary.Node{Tag: "iq"})
	if strings.Join(seen, " ") != "failure" {
		t.Errorf("saw %v, want what was received", seen)
	}
}

func TestBrief_IsShortAndKeepsTheCause(t *testing.T) {
	cause := errors.New(strings.Repeat("x", 1000))
	err := brief(fmt.Errorf("of %s: %w", number, cause))
	if len(err.Error()) > briefLength+10 || strings.Contains(err.Error(), number) {
		t.Errorf("got %q", err)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}

// TestRun_LogHoldsNoNumber goes through linking, login and failures.
func TestRun_LogHoldsNoNumber(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		_, account := c.running().notes.known()
		w.fault(whatsapptest.Fault{Kind: whatsapptest.StreamError, Code: 401})
		r.end(strategies.CauseLoggedOut)
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 402})
		c.start().end(strategies.CauseTemporaryBan)
		w.channel("ch_2", enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: number}).start().next("code")
		log := w.log.String()
		if !strings.Contains(log, "whatsmeow: ") || !strings.Contains(log, "channel=ch_1") {
			t.Fatalf("nothing was logged:\n%s", log)
		}
		for _, secret := range []string{number, account.LID} {
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %q:\n%s", secret, log)
			}
		}
	})
}
