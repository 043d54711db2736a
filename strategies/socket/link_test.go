package socket

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

func TestRun_LinksByQRAndConnectsAgainWithout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{Method: enlace.PairByQR})
		if c.Linked() {
			t.Fatal("a new channel is linked")
		}
		r := c.start()
		qr := r.next("qr")
		if qr.qr.Attempt != 1 || qr.qr.Of != 6 {
			t.Errorf("code %d of %d, want 1 of 6", qr.qr.Attempt, qr.qr.Of)
		}
		within(t, "the first code expires", qr.qr.ExpiresAt.Sub(qr.at), time.Minute, 0)
		c.scan(number, qr.qr.Code)
		account := r.next("linked").account
		if account.PhoneNumber != number || account.LID == "" {
			t.Errorf("linked to %+v, want number %s and a LID", account, number)
		}
		r.end(strategies.CauseRestart)
		if !c.Linked() {
			t.Fatal("the channel is not linked")
		}

		r = c.start()
		if got := r.next("connected").account; got.PhoneNumber != number || got.LID != account.LID {
			t.Errorf("connected as %+v, want %+v", got, account)
		}
		r.stop()
		again := w.open(c.owner)
		if !again.Linked() {
			t.Fatal("the channel is not linked after a restart")
		}
		again.start().next("connected")
		if stats := w.srv.Stats(); stats.Logins != 2 || stats.QRs != 1 || stats.Replaced != 0 {
			t.Errorf("stats %+v, want 2 logins, 1 set of codes, none replaced", stats)
		}
	})
}

func TestRun_QRCodesRollByTheClockAndEndOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		r := w.channel("ch_1", enlace.Pairing{}).start()
		first := r.next("qr")
		seen := map[string]bool{first.qr.Code: true}
		for i := 2; i <= 6; i++ {
			qr := r.next("qr")
			if qr.qr.Attempt != i || qr.qr.Of != 6 || seen[qr.qr.Code] {
				t.Errorf("code %d of %d (seen: %v), want a new one, %d of 6", qr.qr.Attempt, qr.qr.Of, seen[qr.qr.Code], i)
			}
			seen[qr.qr.Code] = true
			within(t, fmt.Sprint("code ", i), qr.at.Sub(first.at), time.Minute+time.Duration(i-2)*20*time.Second, 0)
			within(t, "its expiry", qr.qr.ExpiresAt.Sub(qr.at), 20*time.Second, 0)
		}
		r.end(strategies.CauseQRTimeout)
		within(t, "the end", time.Since(first.at), 160*time.Second, 0)
		if sets := w.srv.Stats().QRs; sets != 1 {
			t.Errorf("%d sets of codes, want 1", sets)
		}
	})
}

func TestRun_WhatsAppClosingAtTheLastCodeIsTheEndOfTheCodes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{PairingTime: 155 * time.Second})
		r := w.channel("ch_1", enlace.Pairing{}).start()
		for range 6 {
			r.next("qr")
		}
		r.end(strategies.CauseQRTimeout)
	})
}

func TestRun_LinksByPairingCode(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: number})
		r := c.start()
		code := r.next("code").code
		if len(code) != 8 {
			t.Errorf("code of %d characters, want 8", len(code))
		}
		if _, err := w.srv.Link(t.Context(), number, code); err != nil {
			t.Fatal(err)
		}
		if got := r.next("linked").account.PhoneNumber; got != number {
			t.Errorf("linked to %q, want %q", got, number)
		}
		r.end(strategies.CauseRestart)
		c.start().next("connected")
	})
}

func TestRun_UnusedPairingCodeTimesOut(t *testing.T) {
	for name, open := range map[string]time.Duration{"by our clock": 0, "by WhatsApp's": 155 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{PairingTime: open})
				c := w.channel("ch_1", enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: number})
				r := c.start()
				shown := r.next("code").at
				r.end(strategies.CausePairingTimeout)
				within(t, "the end", time.Since(shown), 160*time.Second, 6*time.Second)
			})
		})
	}
}

func TestRun_NumberThatWhatsAppDoesNotTake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		end := w.channel("ch_1", enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: "123"}).start().end(strategies.CauseServer)
		if end.Err == nil {
			t.Error("no word of what was wrong")
		}
	})
}

// passkeyPhone gives the phone a passkey.
func (w *world) passkeyPhone() {
	w.t.Helper()
	yes := true
	if _, err := w.srv.SetPhone(number, whatsapptest.PhoneSettings{Passkey: &yes}); err != nil {
		w.t.Fatal(err)
	}
}

func TestRun_LinksByQRAndPasskey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		w.passkeyPhone()
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		c.scan(number, r.next("qr").qr.Code)
		asked := r.next("passkey")
		within(t, "the request expires", asked.passkey.ExpiresAt.Sub(asked.at), time.Minute, 0)
		if strings.Contains(string(asked.passkey.Request), "null") {
			t.Errorf("request %s, want no null in it", asked.passkey.Request)
		}
		if err := c.ConfirmPasskey(t.Context()); enlace.CodeOf(err) != enlace.CodeNoPasskey {
			t.Errorf("a confirmation before its time: %v, want %s", err, enlace.CodeNoPasskey)
		}
		answer, err := w.srv.AnswerPasskey(number, asked.passkey.Request)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AnswerPasskey(t.Context(), answer); err != nil {
			t.Fatal(err)
		}
		if err := c.AnswerPasskey(t.Context(), answer); enlace.CodeOf(err) != enlace.CodeNoPasskey {
			t.Errorf("a second answer: %v, want %s", err, enlace.CodeNoPasskey)
		}
		// The phone scanned the code a moment ago, so there is nothing to compare.
		r.next("linked")
		r.end(strategies.CauseRestart)
		c.start().next("connected")
	})
}

func TestRun_PasskeyCodeToCompareIsShownUntilConfirmed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		r.next("qr")
		// The event, because whatsmeow asks for the comparison only when minutes
		// have passed since the scan.
		c.running().wa.DangerousInternals().DispatchEvent(&events.PairPasskeyConfirmation{Code: "ABCD-EFGH"})
		compare := r.next("passkey")
		if compare.passkey.Code != "ABCD-EFGH" || compare.passkey.Request != nil {
			t.Errorf("shown %+v, want the code alone", compare.passkey)
		}
		r.end(strategies.CausePairingTimeout)
		within(t, "the end", time.Since(compare.at), 2*time.Minute, 0)

		r = c.start()
		r.next("qr")
		c.running().wa.DangerousInternals().DispatchEvent(&events.PairPasskeyConfirmation{Code: "ABCD-EFGH"})
		r.next("passkey")
		if err := c.ConfirmPasskey(t.Context()); err == nil || errors.Is(err, errNoPasskey) {
			t.Errorf("a confirmation that whatsmeow has no linking for: %v, want its own error", err)
		}
		r.end(strategies.CauseServer)
	})
}

func TestRun_PasskeyAnswerThatWhatsAppRefusesEndsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		w.passkeyPhone()
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		c.scan(number, r.next("qr").qr.Code)
		r.next("passkey")
		wrong := json.RawMessage(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"AAAA","authenticatorData":"AAAA","signature":"AAAA"}}`)
		if err := c.AnswerPasskey(t.Context(), wrong); err == nil {
			t.Error("a wrong answer was taken")
		}
		if end := r.end(strategies.CauseServer); end.Code == "" {
			t.Errorf("ended with %v and no code, want WhatsApp's", end)
		}
	})
}

func TestRun_UnansweredPasskeyTimesOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		w.passkeyPhone()
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		c.scan(number, r.next("qr").qr.Code)
		asked := r.next("passkey")
		err := c.AnswerPasskey(t.Context(), json.RawMessage(`{"rawId":"AA"}`))
		if enlace.CodeOf(err) != enlace.CodeInvalidRequest {
			t.Errorf("an answer without a signature: %v, want %s", err, enlace.CodeInvalidRequest)
		}
		r.end(strategies.CausePairingTimeout)
		within(t, "the end", time.Since(asked.at), asked.passkey.ExpiresAt.Sub(asked.at), 0)
		if err := c.AnswerPasskey(t.Context(), nil); !errors.Is(err, errNoPasskey) {
			t.Errorf("an answer after the end: %v, want %v", err, errNoPasskey)
		}
	})
}

// TestRun_FirstEventMayComeBeforeTheDialReturns has both ready at once, many
// times, because which is taken first is left to chance.
func TestRun_FirstEventMayComeBeforeTheDialReturns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		for range 20 {
			o := newObserver()
			s := c.newSession(t.Context(), o)
			device, err := c.state.Device(s.ctx, s.fail)
			if err != nil {
				t.Fatal(err)
			}
			s.prepare(device, c.strategy.versions.current, c.strategy)
			s.timer, s.due = time.NewTimer(s.times.Connect), s.silent
			s.dialing = make(chan error, 1)
			s.dialing <- nil
			go s.post(&events.QR{Codes: []string{"1", "2", "3", "4", "5", "6"}})
			synctest.Wait()
			for s.dialing != nil || len(o.told) == 0 {
				s.turn()
			}
			begin := time.Now()
			<-s.timer.C
			within(t, "the next step", time.Since(begin), s.times.FirstQR, 0)
			s.end(strategies.End{Cause: strategies.CauseStopped})
		}
	})
}

func TestRun_TellsAnAccountsNewName(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		device := c.running().wa.Store
		device.PushName = "Ann"
		if err := device.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.next("connected").account; got.PushName != "Ann" || got.PhoneNumber != number {
			t.Errorf("told %+v, want the name and the number", got)
		}
		if err := device.Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.stop()
		if len(r.told) != 0 {
			t.Errorf("told %+v, though nothing changed", <-r.told)
		}
		if got := c.start().next("connected").account.PushName; got != "Ann" {
			t.Errorf("the name after a reconnect is %q, want Ann", got)
		}
	})
}
