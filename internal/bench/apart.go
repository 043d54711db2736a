package main

import (
	"context"
	"fmt"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// apart is how long a message takes from the call of the API to the phone, when the
// process that takes it is not the one that sends it.
var apart = figure{"apart", func(ctx context.Context, l *lab) ([]row, error) {
	const against = "`enlace serve`, one process"
	half := row{name: "sent, POST to phone, API and worker apart, p50", against: against, unit: "ms", aim: aim{bound: 10}}
	most := row{name: "sent, POST to phone, API and worker apart, p99", against: against, unit: "ms", aim: aim{bound: 10}}
	for range l.rounds {
		two, err := l.sendTimes(ctx, 1)
		if err != nil {
			return nil, err
		}
		one, err := l.sendTimes(ctx, 0)
		if err != nil {
			return nil, err
		}
		half.add(quantile(two, 0.5), quantile(one, 0.5))
		most.add(quantile(two, 0.99), quantile(one, 0.99))
	}
	return []row{half, most}, nil
}}

// sendTimes returns how long each of many messages took from the beginning of its
// POST until the recipient's phone had decrypted it.
func (l *lab) sendTimes(ctx context.Context, workers int) ([]time.Duration, error) {
	var times []time.Duration
	err := l.running(ctx, workers, "20s", func(p *product) error {
		if _, err := p.link(ctx, calmChats, linkedAtATime); err != nil {
			return err
		}
		chats, err := p.strangers(ctx)
		if err != nil {
			return err
		}
		began := map[string]time.Time{}
		for i := range calmEach * len(chats) {
			now := time.Now()
			id, err := p.post(ctx, chats[i%len(chats)], words)
			if err != nil {
				return err
			}
			if i >= 2*len(chats) { // the first ones begin Signal sessions
				began[id] = now
			}
			time.Sleep(time.Until(now.Add(calmPace)))
		}
		times, err = p.arrived(ctx, chats, began)
		return err
	})
	return times, err
}

// running runs f with a product that has as many workers of its own, or serves when
// there are none.
func (l *lab) running(ctx context.Context, workers int, lease string, f func(*product) error) error {
	p, err := l.stage(ctx)
	if err != nil {
		return err
	}
	defer p.server.kill()
	p.apart, p.lease = workers, lease
	defer func() {
		if p.process != nil {
			p.kill()
		}
	}()
	if err := p.start(ctx); err != nil {
		return err
	}
	return f(p)
}

// strangers returns a chat of each channel with someone it has not written to yet.
// The accounts' own phones are off.
func (p *product) strangers(ctx context.Context) ([]*chat, error) {
	all, err := p.channels(ctx)
	if err != nil {
		return nil, err
	}
	var chats []*chat
	for _, one := range all {
		chats = append(chats, &chat{account: one.PhoneNumber, contact: wire.Contact(one.PhoneNumber), id: one.ID})
		if err := p.server.off(ctx, one.PhoneNumber); err != nil {
			return nil, err
		}
	}
	return chats, nil
}

// arrived waits until the phones have all messages, and returns how long they took.
func (p *product) arrived(ctx context.Context, chats []*chat, began map[string]time.Time) (times []time.Duration, err error) {
	err = eventually(ctx, func() (bool, error) {
		times = times[:0]
		for _, one := range chats {
			at, err := p.server.receivedAt(ctx, one.contact)
			if err != nil {
				return false, err
			}
			for id, came := range at {
				if posted, ok := began[id]; ok {
					times = append(times, came.Sub(posted))
				}
			}
		}
		return len(times) == len(began), nil
	})
	if err != nil {
		err = fmt.Errorf("%d of %d messages arrived: %w", len(times), len(began), err)
	}
	return times, err
}
