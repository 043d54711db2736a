package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

// receives makes sessions receive a message and break, as long as on.
func (p *phone) receives(id string) {
	p.set(func(ctx context.Context, o strategies.Observer) strategies.End {
		_ = o.Received(ctx, store.Incoming{
			Event: enlace.EventMessageReceived, Identity: store.Identity{Chat: "1@lid", Sender: "1@lid", ID: id}, Data: json.RawMessage(`{}`),
		})
		return strategies.End{Cause: strategies.CauseNetwork}
	})
}

func (b *bundle) mark(channelID, id string) {
	b.Helper()
	if err := b.MarkRead(b.Context(), "acme", channelID, id, 0, true); err != nil {
		b.Fatal(err)
	}
}

func TestMarkRead_WaitsForTheSession(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.live()
		b.phone.receives("A")
		restart(b, c.ID)
		time.Sleep(10 * time.Minute)
		b.mark(c.ID, "A")
		time.Sleep(10 * time.Minute)
		b.wantWire()
		b.phone.set(func(ctx context.Context, o strategies.Observer) strategies.End {
			time.Sleep(time.Second) // on the way to WhatsApp
			return b.phone.connect(ctx, o)
		})
		b.waitStatus(c.ID, 10*time.Minute, enlace.Active, "")
		time.Sleep(time.Second)
		b.wantWire("read A") // nobody is typing after ten minutes
		b.mark(c.ID, "A")
		time.Sleep(time.Second)
		b.wantWire("read A", "read A, typing")
	})
}

func TestMarkRead_ThatFailedIsRepeated(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.mark = func() error { return errors.New("the connection broke") }
		b.worker()
		c := b.live()
		b.phone.receives("A")
		restart(b, c.ID)
		time.Sleep(time.Minute)
		b.phone.set(nil)
		b.waitStatus(c.ID, 10*time.Minute, enlace.Active, "")
		b.mark(c.ID, "A")
		time.Sleep(time.Second)
		b.wantWire("read A, typing")
		b.phone.read(func(p *phone) { p.mark = nil })
		restarted := b.post(c.ID, "15550101", "x", 0) // whatever makes the channel look
		b.waitMessage(restarted, 5*time.Second, enlace.Sent, "")
		b.wantWire("read A, typing", "read A", "15550101 x")
	})
}

func TestMarkRead_IsForgottenByAChannelThatRests(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.live()
		b.phone.receives("A")
		restart(b, c.ID)
		time.Sleep(time.Minute)
		b.mark(c.ID, "A")
		if _, err := b.Disconnect(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		b.wait(c.ID, time.Minute, "inactive, without an owner", func(c enlace.Channel) bool { return c.Status == enlace.Inactive && c.Owner == "" })
		b.phone.set(nil)
		b.connect()
		b.waitStatus(c.ID, 10*time.Second, enlace.Active, "")
		time.Sleep(time.Minute)
		b.wantWire()
	})
}

func TestMarkRead_DoesNotHoldUpAWorkerThatLeaves(t *testing.T) {
	inBubble(t, func(b *bundle) {
		first := b.worker()
		c := b.live()
		b.phone.receives("A")
		restart(b, c.ID)
		time.Sleep(time.Second)
		b.phone.set(nil)
		b.waitStatus(c.ID, 10*time.Minute, enlace.Active, "")
		b.phone.read(func(p *phone) { p.silent = true })
		b.mark(c.ID, "A")
		time.Sleep(time.Second)
		begin := time.Now()
		first.leave(b.T)
		if took := time.Since(begin); took < time.Second || took > 4*time.Second {
			t.Errorf("the worker left after %s, want the three seconds that it waits for WhatsApp", took)
		}
		b.phone.read(func(p *phone) { p.silent = false })
		b.worker()
		b.waitStatus(c.ID, 10*time.Second, enlace.Active, "")
		time.Sleep(time.Second)
		b.wantWire("read A")
	})
}
