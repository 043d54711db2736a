package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/queue"
)

type jobsCommand struct {
	List    jobsListCommand    `cmd:"" help:"List the dead jobs, oldest first."`
	Redrive jobsRedriveCommand `cmd:"" help:"Send the dead jobs again."`
}

// jobQueue is the queue whose jobs are meant.
type jobQueue struct {
	queueFlags `embed:""`
}

// with opens the queue for do.
func (f jobQueue) with(ctx context.Context, log *slog.Logger, do func(queue.Queue) error) error {
	names := places.Names{Queue: f.Queue}
	if names.Queue.Kind == places.Embedded {
		var err error
		if names.Store, err = f.store(); err != nil {
			return err
		}
		if err := mustBeThere(names.Store); err != nil {
			return err
		}
	}
	opened, err := places.OpenQueue(ctx, names, places.Options{OpenSQLite: sqliteOpener(log), Log: log})
	if err != nil {
		return err
	}
	return errors.Join(do(opened.Queue), opened.Close())
}

type jobsListCommand struct {
	jobQueue `embed:""`
}

func (c jobsListCommand) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, func(jobs queue.Queue) error { return listDead(ctx, jobs, os.Stdout) })
}

// deadShown is how many dead jobs are listed at most.
const deadShown = 1000

// listDead prints the dead jobs. Of what is no job the body is not shown: nobody
// knows what it holds.
func listDead(ctx context.Context, jobs queue.Queue, out io.Writer) error {
	dead, err := jobs.Dead(ctx, deadShown)
	if err != nil {
		return err
	}
	if len(dead) == 0 {
		fmt.Fprintln(out, "no dead jobs")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SINCE\tRECEIVED\tCHANNEL\tREASON")
	for _, d := range dead {
		var job enlace.Job
		if err := json.Unmarshal([]byte(d.Body), &job); err != nil || !enlace.ValidID(job.ChannelID) {
			job.ChannelID = "-"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", d.At.Format(time.RFC3339), d.Received, job.ChannelID, strings.Join(strings.Fields(d.Reason), " "))
	}
	if len(dead) == deadShown {
		fmt.Fprintln(table, "… and perhaps more")
	}
	return table.Flush()
}

type jobsRedriveCommand struct {
	jobQueue `embed:""`
}

func (c jobsRedriveCommand) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, func(jobs queue.Queue) error { return redrive(ctx, jobs, os.Stdout) })
}

func redrive(ctx context.Context, jobs queue.Queue, out io.Writer) error {
	sent, left, err := jobs.Redrive(ctx)
	if sent > 0 || err == nil {
		fmt.Fprintf(out, "sent again: %d\n", sent)
	}
	if err != nil {
		return err
	}
	if left > 0 {
		fmt.Fprintf(out, "left dead, since they are no jobs: %d\n", left)
	}
	return nil
}
