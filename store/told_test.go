package store_test

import (
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
)

// crashing is a store whose table fails the next write of a message when told to.
func crashing(t *testing.T) (*bundle, *faulty.Faults) {
	t.Helper()
	b := setup(t)
	table, faults := faulty.Wrap(b.table, 1)
	s, err := store.Open(t.Context(), table, store.Options{Keys: b.keys, Now: b.clock.Now})
	b.ok(err)
	b.Store, b.table = s, table
	b.moved = s.NewMoved(b.heart.ID())
	return b, faults
}

// statuses are those that the log tells of a channel's messages, in its order.
func (b *bundle) statuses(id string) string {
	b.Helper()
	var told []string
	for _, e := range b.events(id) {
		if e.Event != enlace.EventMessageStatus {
			continue
		}
		for _, status := range []enlace.MessageStatus{enlace.Sent, enlace.Delivered, enlace.Read, enlace.MessageFailed} {
			if strings.Contains(string(e.Data), `"status":"`+string(status)+`"`) {
				told = append(told, string(status))
			}
		}
	}
	return strings.Join(told, " ")
}

// A crash between the event and the message leaves the message behind the log. Each
// way on from there makes it good, and tells nothing twice.
func TestMoveMessage_ACrashAfterTheEvent(t *testing.T) {
	for name, c := range map[string]struct {
		next   func(b *bundle, o *store.Owner, m *store.Outbound)
		status enlace.MessageStatus
		told   string
	}{
		"it is sent again": {func(b *bundle, o *store.Owner, m *store.Outbound) {
			b.ok(o.Sent(b.Context(), m, b.clock.Now()))
		}, enlace.Sent, "sent"},
		"it is looked for before that": {func(b *bundle, o *store.Owner, m *store.Outbound) {
			if ended, err := o.CatchUp(b.Context(), m); !ended || err != nil {
				b.Errorf("CatchUp says %v, %v", ended, err)
			}
		}, enlace.Sent, "sent"},
		"a receipt comes": {func(b *bundle, o *store.Owner, m *store.Outbound) {
			b.ok(o.Receipt(b.Context(), m.WhatsAppID, enlace.Delivered, b.clock.Now(), ""))
		}, enlace.Delivered, "sent delivered"},
		"it is given up": {func(b *bundle, o *store.Owner, m *store.Outbound) {
			b.ok(o.FailMessage(b.Context(), m.Seq, enlace.CodeChannelNotActive, "gone"))
		}, enlace.Sent, "sent"},
	} {
		for _, owner := range []string{"the same owner", "the next owner"} {
			t.Run(name+"/"+owner, func(t *testing.T) {
				b, faults := crashing(t)
				o := b.active("")
				posted := b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
				m := b.waiting(o)
				b.ok(o.Sending(t.Context(), m, []byte("content")))
				fault := faults.Add(faulty.Rule{Call: faulty.Write, PK: "CH#*", SK: "MSG#*"})
				if err := o.Sent(t.Context(), m, b.clock.Now()); err == nil {
					t.Fatal("the message was written")
				}
				fault.Remove()
				if got := b.message(o.ChannelID(), posted.ID); got.Status != enlace.Sending {
					t.Fatalf("the message is %s: nothing is left to be made good", got.Status)
				}
				if owner == "the next owner" {
					rival := b.rival()
					o = rival.claim(o.ChannelID(), b.heart.ID())
				}
				c.next(b, o, b.waiting(o))
				if got := b.message(o.ChannelID(), posted.ID); got.Status != c.status {
					t.Errorf("the message is %s, want %s", got.Status, c.status)
				}
				if got := b.statuses(o.ChannelID()); got != c.told {
					t.Errorf("the log tells %q, want %q", got, c.told)
				}
				if w, err := o.Waiting(t.Context()); err != nil || len(w.Messages) > 0 {
					t.Errorf("%d messages wait, %v", len(w.Messages), err)
				}
			})
		}
	}
}

// An event of which it is not known whether it was written is looked for.
func TestMoveMessage_AnEventOfUnknownOutcome(t *testing.T) {
	b, faults := crashing(t)
	o := b.active("")
	posted := b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	m := b.waiting(o)
	b.ok(o.Sending(t.Context(), m, nil))
	fault := faults.Add(faulty.Rule{Call: faulty.Write, SK: "EV#*", When: faulty.After})
	if err := o.Sent(t.Context(), m, b.clock.Now()); err == nil {
		t.Fatal("the outcome is known")
	}
	fault.Remove()
	b.ok(o.Sent(t.Context(), m, b.clock.Now()))
	if got := b.message(o.ChannelID(), posted.ID); got.Status != enlace.Sent {
		t.Errorf("the message is %s", got.Status)
	}
	if got := b.statuses(o.ChannelID()); got != "sent" {
		t.Errorf("the log tells %q", got)
	}
}

// A receipt may overtake the answer to the sending: the log never goes back.
func TestSent_AfterItsReceipt(t *testing.T) {
	b := setup(t)
	o := b.active("")
	b.post(o.ChannelID(), store.PostRequest{Message: text("15550101", "x")})
	m := b.waiting(o)
	b.ok(o.Sending(t.Context(), m, nil))
	b.ok(o.Receipt(t.Context(), m.WhatsAppID, enlace.Delivered, b.clock.Now(), ""))
	b.ok(o.Sent(t.Context(), m, b.clock.Now()))
	if got := b.statuses(o.ChannelID()); got != "delivered" {
		t.Errorf("the log tells %q", got)
	}
}
