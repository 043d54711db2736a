package socket

import (
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/strategies"
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
	for name, rule := range map[string]faulty.Rule{
		"before they are stored": {Call: faulty.Write, SK: "APPKEY#*", When: faulty.Before, Err: errTest, Nth: 1},
		"after they are stored":  {Call: faulty.Write, SK: "APPKEY#*", When: faulty.After, Nth: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c, r := w.connected("ch_1", number)
				w.srv.SetOnline(friend, false)
				w.send(number, whatsapptest.Outgoing{To: friend, Text: "the device and its phone know each other"})
				r.next("received")
				eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
				fault := c.owner.faults.Add(rule)
				if err := w.srv.ShareAppState(number); err != nil {
					t.Fatal(err)
				}
				eventually(t, "a fault", func() bool { return fault.Struck() > 0 })
				r.end(strategies.CauseStore)
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

// The history that the phone offers a new device is answered and not fetched. After
// a crash before the answer the offer comes again and does no harm; what comes
// after it is told.
func TestHistory_IsAnsweredAndNotFetched(t *testing.T) {
	for name, rule := range map[string]*faulty.Rule{
		"at once":                   nil,
		"crash before it is stored": {Call: faulty.Write, SK: "ADDR#*", When: faulty.Before, Err: errTest, Nth: 1},
		"crash after":               {Call: faulty.Write, SK: "ADDR#*", When: faulty.After, Nth: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{History: 5000})
				w.send(friend, whatsapptest.Outgoing{To: number, Text: "long ago"})
				c := w.channel("ch_1", enlace.Pairing{})
				c.link(number)
				if rule != nil {
					fault := c.owner.faults.Add(*rule)
					c.start().end(strategies.CauseStore)
					if fault.Struck() == 0 || w.srv.Stats().Unacknowledged == 0 {
						t.Fatal("the offer was answered though it was not stored")
					}
					c = w.open(c.owner)
				}
				r := c.start()
				r.next("connected")
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
