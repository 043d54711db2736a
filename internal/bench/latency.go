package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

const (
	calmChats = 5
	// calmPace is the time between two messages, of which each chat gets its turn.
	calmPace = 10 * time.Millisecond
	calmEach = 80
)

// latency is how long a message takes through a process that has little to do.
var latency = figure{"latency", func(ctx context.Context, l *lab) ([]row, error) {
	const against = "raw whatsmeow, server to handler"
	half := row{name: "received, server to held poll, p50", against: against, unit: "ms", aim: aim{bound: 3}}
	most := row{name: "received, server to held poll, p99", against: against, unit: "ms", aim: aim{bound: 3}}
	err := l.chatting(ctx, calmChats, func(c *chats) error {
		for i := range l.rounds + 1 {
			ours, err := c.calmProduct(ctx)
			if err != nil {
				return err
			}
			theirs, err := c.calmRaw(ctx)
			if err != nil {
				return err
			}
			if i > 0 { // the first round only warms both up
				half.add(quantile(ours, 0.5), quantile(theirs, 0.5))
				most.add(quantile(ours, 0.99), quantile(theirs, 0.99))
			}
		}
		return nil
	})
	return []row{half, most}, err
}}

// quantile is the value, in milliseconds, that a part of the times do not exceed.
func quantile(times []time.Duration, part float64) float64 {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(part*float64(len(sorted)-1)+0.5)].Seconds() * 1000
}

// calmProduct returns how long each message took to the answer of the held poll
// that brought it.
func (c *chats) calmProduct(ctx context.Context) ([]time.Duration, error) {
	var mu sync.Mutex
	var came []wire.Arrival
	group, polling := errgroup.WithContext(ctx)
	for _, one := range c.channels {
		group.Go(func() error {
			for n := 0; n < calmEach; {
				events, err := c.product.events(polling, one, "message.received", true)
				now := time.Now()
				if err != nil {
					return err
				}
				n += len(events)
				mu.Lock()
				for _, e := range events {
					came = append(came, wire.Arrival{ID: e.Data.Message.ID, At: now})
				}
				mu.Unlock()
			}
			return nil
		})
	}
	group.Go(func() error { return c.write(polling, c.channels) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return c.took(ctx, c.channels, came)
}

func (c *chats) calmRaw(ctx context.Context) ([]time.Duration, error) {
	if err := c.write(ctx, c.raw); err != nil {
		return nil, err
	}
	answer, err := c.baseline.do(wire.Command{Do: wire.Receive, Count: calmEach * len(c.raw)})
	if err != nil {
		return nil, err
	}
	return c.took(ctx, c.raw, answer.Arrivals)
}

// write has the contacts send in turns, at an even pace.
func (c *chats) write(ctx context.Context, chats []*chat) error {
	pace := time.NewTicker(calmPace)
	defer pace.Stop()
	for i := range calmEach * len(chats) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pace.C:
		}
		one := chats[i%len(chats)]
		if err := c.server.send(ctx, one.contact, post{To: one.account, Text: words}); err != nil {
			return err
		}
	}
	return nil
}

// took returns how long the messages were on their way.
func (c *chats) took(ctx context.Context, chats []*chat, came []wire.Arrival) ([]time.Duration, error) {
	sent := map[string]time.Time{}
	for _, one := range chats {
		times, err := c.server.sentAt(ctx, one.contact)
		if err != nil {
			return nil, err
		}
		for id, at := range times {
			sent[id] = at
		}
	}
	var times []time.Duration
	for _, a := range came {
		at, ok := sent[a.ID]
		if !ok {
			return nil, fmt.Errorf("message %s came and nobody has sent it", a.ID)
		}
		times = append(times, a.At.Sub(at))
	}
	return times, nil
}
