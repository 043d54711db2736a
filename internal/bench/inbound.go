package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

const (
	busyChats = 50
	inEach    = 150 // messages that each channel receives in a round
)

// inbound is how many messages a second many channels receive.
var inbound = figure{"inbound", func(ctx context.Context, l *lab) ([]row, error) {
	r := row{
		name: "messages received a second, 50 channels", against: "raw whatsmeow, which acknowledges before its user stores",
		unit: "1/s", aim: aim{bound: 1, atLeast: true},
	}
	err := l.chatting(ctx, busyChats, func(c *chats) error {
		hold := func(ctx context.Context) error { return c.hold(ctx, inEach) }
		return c.turns(ctx, l.rounds, inEach, &r, hold, c.receiveProduct, c.receiveRaw)
	})
	return []row{r}, err
}}

// hold has the contacts encrypt messages, which they keep.
func (c *chats) hold(ctx context.Context, each int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, one := range c.all() {
		group.Go(func() error {
			for range each {
				if err := c.server.send(ctx, one.contact, post{To: one.account, Text: words, Hold: true}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// receiveProduct returns how long it takes from the release of the messages to all
// channels until they are read over HTTP and acknowledged.
func (c *chats) receiveProduct(ctx context.Context) (time.Duration, error) {
	return c.released(ctx, c.channels, func() error { return c.await(ctx, inEach, "message.received") })
}

// receiveRaw is the same until the handlers had them and they are acknowledged.
func (c *chats) receiveRaw(ctx context.Context) (time.Duration, error) {
	return c.released(ctx, c.raw, func() error {
		_, err := c.baseline.do(wire.Command{Do: wire.Receive, Count: inEach * len(c.raw)})
		return err
	})
}

// released lets the contacts send what they hold and returns how long it took
// until the client had it and the server its acknowledgements.
func (c *chats) released(ctx context.Context, chats []*chat, received func() error) (time.Duration, error) {
	began := time.Now()
	group, releasing := errgroup.WithContext(ctx)
	for _, one := range chats {
		group.Go(func() error { return c.server.release(releasing, one.contact) })
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	if err := received(); err != nil {
		return 0, err
	}
	err := c.server.quiet(ctx)
	return time.Since(began), err
}
