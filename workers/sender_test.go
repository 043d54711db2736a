package workers_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

func (b *bundle) post(id, to, body string, ttl time.Duration) enlace.Message {
	b.Helper()
	m, err := b.PostMessage(b.Context(), "acme", id, store.PostRequest{
		Message: enlace.Outgoing{To: to, Type: enlace.TypeText, Text: &enlace.Text{Body: body}}, TTL: ttl,
	})
	if err != nil {
		b.Fatal(err)
	}
	return m
}

func (b *bundle) waitMessage(m enlace.Message, within time.Duration, status enlace.MessageStatus, code enlace.Code) {
	b.Helper()
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		got, err := b.Message(b.Context(), "acme", m.ChannelID, m.ID)
		if err != nil {
			b.Fatal(err)
		}
		is := got.Status == status && (code == "" || got.Error != nil && got.Error.Code == code)
		if is {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("after %s message %s is %s %+v, want %s %s", within, m.ID, got.Status, got.Error, status, code)
		}
	}
}

func (b *bundle) wantWire(want ...string) {
	b.Helper()
	b.phone.read(func(p *phone) {
		if !slices.Equal(p.wire, want) {
			b.Errorf("on the wire: %q, want %q", p.wire, want)
		}
	})
}

// live connects a channel.
func (b *bundle) live() enlace.Channel {
	b.Helper()
	c := b.connect()
	return b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
}

func TestSender_InOrder(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.live()
		var want []string
		var last enlace.Message
		for i := range 20 {
			last = b.post(c.ID, "15550101", fmt.Sprint(i), 0)
			want = append(want, fmt.Sprint("15550101 ", i))
		}
		b.waitMessage(last, 5*time.Second, enlace.Sent, "")
		b.wantWire(want...)
	})
}

func TestSender_AHeldChatHoldsNoOther(t *testing.T) {
	inBubble(t, func(b *bundle) {
		unreachable := true
		b.phone.prepare = func(m *store.Outbound) error {
			if unreachable && m.Chat == "15550101" {
				return errors.New("no bundle")
			}
			return nil
		}
		b.worker()
		c := b.live()
		held := []enlace.Message{b.post(c.ID, "15550101", "1", 0), b.post(c.ID, "15550101", "2", 0)}
		b.waitMessage(b.post(c.ID, "15550102", "3", 0), 5*time.Second, enlace.Sent, "")
		time.Sleep(10 * time.Minute)
		b.waitMessage(held[0], 0, enlace.Queued, "")
		b.phone.read(func(*phone) { unreachable = false })
		b.waitMessage(held[1], 2*time.Minute, enlace.Sent, "")
		b.wantWire("15550102 3", "15550101 1", "15550101 2")
	})
}

func TestSender_UnansweredIsSentAgainUnderItsID(t *testing.T) {
	inBubble(t, func(b *bundle) {
		var ids []string
		b.phone.answer = func(m *store.Outbound) error {
			if ids = append(ids, m.WhatsAppID); len(ids) < 3 {
				return errors.New("no answer")
			}
			return nil
		}
		b.worker()
		c := b.live()
		m := b.post(c.ID, "15550101", "x", time.Second)
		b.waitMessage(m, time.Minute, enlace.Sent, "")
		if !slices.Equal(ids, []string{m.WhatsAppID, m.WhatsAppID, m.WhatsAppID}) {
			b.Errorf("sent under %v, want three times %s", ids, m.WhatsAppID)
		}
	})
}

func TestSender_NeverAnsweredIsGivenUpAfterFourteenDays(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.answer = func(*store.Outbound) error { return errors.New("no answer") }
		first := b.worker()
		c := b.live()
		m := b.post(c.ID, "15550101", "x", 0)
		b.waitMessage(m, 5*time.Second, enlace.Sending, "")
		first.leave(b.T)
		time.Sleep(14*24*time.Hour - time.Minute) // nobody tries
		b.worker()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		b.waitMessage(m, 0, enlace.Sending, "")
		b.waitMessage(m, 3*time.Minute, enlace.MessageFailed, enlace.CodeOutcomeUnknown)
	})
}

func TestSender_WhatIsFinalFails(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.prepare = func(m *store.Outbound) error {
			if m.Chat == "15550101" {
				return &strategies.SendError{Code: enlace.CodeNotOnWhatsApp, Message: "m", Final: true}
			}
			return nil
		}
		b.phone.answer = func(*store.Outbound) error {
			return &strategies.SendError{Code: enlace.CodeRefused, Message: "m", Final: true}
		}
		b.worker()
		c := b.live()
		first, second := b.post(c.ID, "15550101", "1", 0), b.post(c.ID, "15550102", "2", 0)
		b.waitMessage(first, 5*time.Second, enlace.MessageFailed, enlace.CodeNotOnWhatsApp)
		b.waitMessage(second, 5*time.Second, enlace.MessageFailed, enlace.CodeRefused)
		b.wantWire("15550102 2")
	})
}

func TestSender_QueuedWhileComingBackIsSentOrExpires(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.live()
		b.phone.ends(strategies.End{Cause: strategies.CauseNetwork})
		restart(b, c.ID)
		short, long := b.post(c.ID, "15550101", "short", time.Minute), b.post(c.ID, "15550101", "long", 0)
		b.waitMessage(short, 62*time.Second, enlace.MessageFailed, enlace.CodeExpired)
		time.Sleep(10 * time.Minute)
		b.phone.set(nil)
		b.waitMessage(long, 10*time.Minute, enlace.Sent, "")
		b.wantWire("15550101 long")
	})
}

func TestSender_WaitsOverADisconnectForTheNextConnect(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.live()
		b.phone.ends(strategies.End{Cause: strategies.CauseNetwork})
		restart(b, c.ID)
		m, expiring := b.post(c.ID, "15550101", "x", 0), b.post(c.ID, "15550101", "y", time.Minute)
		if _, err := b.Disconnect(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		b.waitStatus(c.ID, 5*time.Second, enlace.Inactive, enlace.ReasonDisconnected)
		b.waitMessage(expiring, 2*time.Minute, enlace.MessageFailed, enlace.CodeExpired)
		b.phone.set(nil)
		b.connect()
		b.waitMessage(m, 10*time.Second, enlace.Sent, "")
	})
}

func TestSender_RestingChannelIsReleasedWhenTheLastMessageHasExpired(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.live()
		b.phone.ends(strategies.End{Cause: strategies.CauseNetwork})
		restart(b, c.ID)
		b.post(c.ID, "15550101", "x", 5*time.Minute)
		if _, err := b.Disconnect(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		b.waitStatus(c.ID, 5*time.Second, enlace.Inactive, enlace.ReasonDisconnected)
		b.wait(c.ID, 7*time.Minute, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
	})
}

func TestSender_LogoutFailsWhatWaits(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.prepare = func(*store.Outbound) error { return errors.New("no bundle") }
		b.worker()
		c := b.live()
		m := b.post(c.ID, "15550101", "x", 0)
		if _, err := b.Logout(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		b.waitMessage(m, 40*time.Second, enlace.MessageFailed, enlace.CodeChannelNotActive)
	})
}

func TestSender_TheNextOwnerGoesOn(t *testing.T) {
	inBubble(t, func(b *bundle) {
		answered := false
		b.phone.answer = func(*store.Outbound) error {
			if !answered {
				return errors.New("no answer")
			}
			return nil
		}
		first := b.worker()
		c := b.live()
		m, n := b.post(c.ID, "15550101", "1", 0), b.post(c.ID, "15550101", "2", 0)
		b.waitMessage(m, 5*time.Second, enlace.Sending, "")
		first.cable.cut.Store(true) // it dies in the midst
		b.worker()
		time.Sleep(2 * lease)
		b.phone.read(func(*phone) { answered = true })
		b.waitMessage(n, 2*time.Minute, enlace.Sent, "")
		b.waitMessage(m, 0, enlace.Sent, "")
	})
}

func TestSender_CancelledIsNotSent(t *testing.T) {
	inBubble(t, func(b *bundle) {
		unreachable := true
		b.phone.prepare = func(*store.Outbound) error {
			if unreachable {
				return errors.New("no bundle")
			}
			return nil
		}
		b.worker()
		c := b.live()
		m, n := b.post(c.ID, "15550101", "1", 0), b.post(c.ID, "15550101", "2", 0)
		time.Sleep(time.Second)
		if _, err := b.Cancel(b.Context(), "acme", c.ID, m.ID); err != nil {
			b.Fatal(err)
		}
		b.phone.read(func(*phone) { unreachable = false })
		b.waitMessage(n, 2*time.Minute, enlace.Sent, "")
		b.wantWire("15550101 2")
	})
}
