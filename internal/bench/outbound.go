package main

import (
	"context"
	"time"

	"github.com/enlacehq/enlace/internal/bench/wire"
)

// outEach is how many messages each channel sends in a round.
const outEach = 60

// outbound is how many messages a second many channels send.
var outbound = figure{"outbound", func(ctx context.Context, l *lab) ([]row, error) {
	r := row{
		name: "messages sent a second, 50 channels", against: "raw whatsmeow, 50 goroutines in `SendMessage`",
		unit: "1/s", aim: aim{bound: 0.8, atLeast: true},
		reason: "The POSTs are in it: each message is stored four times before WhatsApp's answer is told of, and the requests take CPU that the baseline has for itself.",
	}
	err := l.chatting(ctx, busyChats, func(c *chats) error {
		for _, one := range c.all() {
			if err := c.server.off(ctx, one.contact); err != nil {
				return err
			}
		}
		return c.turns(ctx, l.rounds, outEach, &r, nil, c.sendProduct, c.sendRaw)
	})
	return []row{r}, err
}}

// sendProduct returns how long it takes from the first POST until the API says of
// the last message that WhatsApp has it.
func (c *chats) sendProduct(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := c.post(ctx, outEach)
	return time.Since(began), err
}

func (c *chats) sendRaw(context.Context) (time.Duration, error) {
	began := time.Now()
	_, err := c.baseline.do(wire.Command{Do: wire.Send, Count: outEach, Text: words})
	return time.Since(began), err
}
