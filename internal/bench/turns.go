package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// turns measures both sides of chats round after round, as messages a second of
// so many on each channel, into r. before, if not nil, makes a round ready. What
// the CPUs did goes into r's note.
func (c *chats) turns(ctx context.Context, rounds, each int, r *row, before func(context.Context) error, ours, theirs func(context.Context) (time.Duration, error)) error {
	total := float64(each * len(c.channels))
	for i := range rounds + 1 {
		if before != nil {
			if err := before(ctx); err != nil {
				return err
			}
		}
		product, productLoad, err := c.loaded(ctx, c.product.process, ours)
		if err != nil {
			return err
		}
		raw, rawLoad, err := c.loaded(ctx, c.baseline.process, theirs)
		if err != nil {
			return err
		}
		if i == 0 {
			continue // the first round only warms both up
		}
		r.add(total/product.Seconds(), total/raw.Seconds())
		r.note = fmt.Sprintf("of %d CPUs enlace took %.1f and the test server beside it %.1f; raw %.1f, and the server %.1f",
			runtime.NumCPU(), productLoad.client, productLoad.server, rawLoad.client, rawLoad.server)
	}
	return nil
}

// load is how many CPUs processes used on average.
type load struct{ client, server float64 }

func (c *chats) loaded(ctx context.Context, client *process, f func(context.Context) (time.Duration, error)) (time.Duration, load, error) {
	clientBefore, serverBefore, began := client.cpu(), c.server.cpu(), time.Now()
	took, err := f(ctx)
	if err != nil {
		return 0, load{}, err
	}
	all := time.Since(began).Seconds()
	used := func(now, before time.Duration) float64 { return (now - before).Seconds() / all }
	return took, load{used(client.cpu(), clientBefore), used(c.server.cpu(), serverBefore)}, nil
}

// cpu is the time that the process has spent on CPUs, 0 if it cannot be known.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	const tick = 10 * time.Millisecond
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}
