package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// words are the text of each message.
const words = "Good morning, is my order on its way? The number is 4711."

// chats is a product and a baseline with as many connected channels each, and a
// contact of each channel with whom it has exchanged messages.
type chats struct {
	server   *testServer
	product  *product
	baseline *baseline
	channels []*chat // the product's
	raw      []*chat // the baseline's
}

// chat is a channel and its contact. Of the baseline there are only the numbers.
type chat struct {
	account, contact string
	id               string
	next             string // the cursor behind the events that were read
}

// chatting runs f with chats. The accounts' own phones are off: they would only
// keep the test server busy.
func (l *lab) chatting(ctx context.Context, count int, f func(*chats) error) error {
	p, err := l.stage(ctx)
	if err != nil {
		return err
	}
	defer p.server.kill()
	if err := p.start(ctx); err != nil {
		return err
	}
	defer p.stop()
	if _, err := p.link(ctx, count, linkedAtATime); err != nil {
		return fmt.Errorf("link the product's channels: %w", err)
	}
	b := l.newBaseline(p.server, p.dir)
	b.hasty, b.conns = true, 1
	if err := b.start(ctx); err != nil {
		return err
	}
	_, err = b.link(ctx, count, linkedAtATime)
	b.kill()
	if err != nil {
		return fmt.Errorf("link the baseline's devices: %w", err)
	}
	b.hasty, b.eager = false, true
	if err := b.start(ctx); err != nil {
		return err
	}
	defer b.stop()
	if _, err := b.do(wire.Command{Do: wire.Restore}); err != nil {
		return err
	}
	c := &chats{server: p.server, product: p, baseline: b}
	if err := c.begin(ctx, count); err != nil {
		return fmt.Errorf("begin the chats: %w", err)
	}
	return f(c)
}

// begin has each channel write to its contact, and the contact answer.
func (c *chats) begin(ctx context.Context, count int) error {
	all, err := c.product.channels(ctx)
	if err != nil {
		return err
	}
	for _, one := range all {
		c.channels = append(c.channels, &chat{account: one.PhoneNumber, contact: wire.Contact(one.PhoneNumber), id: one.ID})
	}
	slices.SortFunc(c.channels, func(x, y *chat) int { return strings.Compare(x.account, y.account) })
	for i := range count {
		account := wire.Number(wire.RawRow, i)
		c.raw = append(c.raw, &chat{account: account, contact: wire.Contact(account)})
	}
	for _, one := range c.all() {
		if err := c.server.off(ctx, one.account); err != nil {
			return err
		}
	}
	if err := c.post(ctx, 1); err != nil {
		return err
	}
	if _, err := c.baseline.do(wire.Command{Do: wire.Send, Count: 1, Text: words}); err != nil {
		return err
	}
	for _, one := range c.all() {
		if err := c.server.send(ctx, one.contact, post{To: one.account, Text: words}); err != nil {
			return err
		}
	}
	if _, err := c.baseline.do(wire.Command{Do: wire.Receive, Count: count}); err != nil {
		return err
	}
	if err := c.server.quiet(ctx); err != nil {
		return err
	}
	return c.skip(ctx)
}

func (c *chats) all() []*chat { return slices.Concat(c.channels, c.raw) }

// skip reads the product's events to their end.
func (c *chats) skip(ctx context.Context) error {
	for _, one := range c.channels {
		for {
			events, err := c.product.events(ctx, one, "", false)
			if err != nil {
				return err
			}
			if len(events) == 0 {
				break
			}
		}
	}
	return nil
}

// post posts count messages on each of the product's channels, one after the other
// on each and on all at once, and returns when WhatsApp has them.
func (c *chats) post(ctx context.Context, count int) error {
	group, posting := errgroup.WithContext(ctx)
	for _, one := range c.channels {
		group.Go(func() error {
			for range count {
				if _, err := c.product.post(posting, one, words); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return c.await(ctx, count, "message.status")
}

// await reads the channels' events of a kind, one channel after the other, until
// each has had them of count messages.
func (c *chats) await(ctx context.Context, count int, kind string) error {
	for _, one := range c.channels {
		for seen := map[string]bool{}; len(seen) < count; {
			events, err := c.product.events(ctx, one, kind, true)
			if err != nil {
				return err
			}
			for _, e := range events {
				if e.Data.Status.Status == "failed" {
					return fmt.Errorf("message %s failed", e.Data.Status.ID)
				}
				seen[e.Data.Message.ID+e.Data.Status.ID] = true
			}
		}
	}
	return nil
}
