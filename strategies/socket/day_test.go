package socket

import (
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/whatsapptest"
)

// A session lives through a day in which the recipient's phone is off: the
// message is taken at once, and its receipt comes the day after.
func TestRun_ADayInWhichTheRecipientIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		w.srv.SetOnline(friend, false)
		m := &store.Outbound{WhatsAppID: "3EB0123456789ABCDEF012", Chat: friend, Message: enlace.Outgoing{To: friend, Type: enlace.TypeText, Text: &enlace.Text{Body: "until tomorrow"}}}
		var err error
		if m.Content, err = c.Prepare(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		sent, err := c.Send(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		for len(r.told) > 0 {
			if n := <-r.told; n.what != "connected" { // more became known of the account
				t.Errorf("told %s while the phone was off", n.what)
			}
		}
		w.srv.SetOnline(friend, true)
		n := r.next("receipt").receipt
		if n.WhatsAppID != m.WhatsAppID || n.Status != enlace.Delivered || n.At.Sub(sent) < 24*time.Hour {
			t.Errorf("got %+v", n)
		}
		got, err := w.srv.Messages(friend)
		if err != nil || len(got.Messages) != 1 || got.Messages[0].Text != "until tomorrow" || got.Messages[0].Copies != 1 {
			t.Errorf("the phone shows %+v, %v", got.Messages, err)
		}
		if got := w.srv.Stats(); got.Logins != 1 {
			t.Errorf("%d logins in a quiet day", got.Logins)
		}
		r.quiet()
	})
}
