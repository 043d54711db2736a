package socket

import (
	"testing"
	"time"

	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/whatsapptest"
)

const ownName = "Phone 1111"

// The phone's keys bring the account's name; nothing of it is a message.
func TestAppState_TellsTheAccountsName(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		if err := w.srv.ShareAppState(number); err != nil {
			t.Fatal(err)
		}
		if n := r.next("connected"); n.account.PushName != ownName {
			t.Errorf("the account is %+v", n.account)
		}
		eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
		r.quiet()
	})
}

// Keys that were lost, as in a crash after their acknowledgement, are asked for.
func TestAppState_LostKeysAreAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		w.srv.SetOnline(friend, false)
		w.send(number, whatsapptest.Outgoing{To: friend, Text: "the device and its phone know each other"})
		begin := r.next("received").at
		n := r.next("connected")
		if n.account.PushName != ownName {
			t.Errorf("the account is %+v", n.account)
		}
		within(t, "asked", n.at.Sub(begin), shareWait, 5*time.Second)
		r.quiet()
		r.stop()
	})
}

// A session that ends while WhatsApp owes it what the account shares leaves nothing.
func TestAppState_EndWhileItIsRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		time.Sleep(shareWait - time.Second)
		w.fault(whatsapptest.Fault{Kind: whatsapptest.Stall, Number: number})
		time.Sleep(2 * time.Second)
		r.stop()
	})
}

// A crash at any moment of the keys' way leaves them stored, or asked for again.
func TestAppState_KeysOverACrash(t *testing.T) {
	for name, when := range map[string]faulty.When{"before they are stored": faulty.Before, "after they are stored": faulty.After} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c, r := w.connected("ch_1", number)
				w.srv.SetOnline(friend, false)
				w.send(number, whatsapptest.Outgoing{To: friend, Text: "the device and its phone know each other"})
				r.next("received")
				eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
				fault := c.owner.faults.Add(faulty.Rule{Call: faulty.Write, PK: "SIG#*", SK: "APPKEY#*", When: when, Nth: 1})
				if err := w.srv.ShareAppState(number); err != nil {
					t.Fatal(err)
				}
				eventually(t, "a fault", func() bool { return fault.Struck() > 0 })
				time.Sleep(time.Second)
				if !r.ended {
					r.cancel()
				}
				<-r.ends
				r.over()
				c = w.open(c.owner)
				r = c.start()
				n := r.next("connected")
				for n.account.PushName != ownName {
					n = r.next("connected")
				}
				eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
				r.quiet()
			})
		})
	}
}

// The history that the phone offers a new device is answered and not fetched, also
// when a crash comes before the answer; what comes after it is told.
func TestHistory_IsAnsweredAndNotFetched(t *testing.T) {
	for name, crash := range map[string]bool{"once": false, "over a crash": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{History: 5000})
				w.send(friend, whatsapptest.Outgoing{To: number, Text: "long ago"})
				c, r := w.connected("ch_1", number)
				if crash {
					r.stop()
					c = w.open(c.owner)
					r = c.start()
					r.next("connected")
				}
				eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
				id := w.send(friend, whatsapptest.Outgoing{To: number, Text: "now"})
				if d := r.skipTo("received").data(t); d.Message.ID != id || d.Message.Text.Body != "now" {
					t.Errorf("first came %+v", d.Message)
				}
				for path, n := range w.tap.requests {
					if path != "ws/chat" && path != "sw.js" && path != "" {
						t.Errorf("%d requests for %s", n, path)
					}
				}
			})
		})
	}
}
