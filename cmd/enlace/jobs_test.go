package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/memory"
)

func TestJobs_ListsTheDeadAndSendsThemAgain(t *testing.T) {
	table := memory.New(memory.Options{})
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	jobs := embedded.New(table, embedded.Options{Now: func() time.Time { return now }})
	var out bytes.Buffer
	says := func(do func(context.Context) error, want ...string) {
		t.Helper()
		out.Reset()
		if err := do(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("want %q in %q", text, out.String())
			}
		}
	}
	list := func(ctx context.Context) error { return listDead(ctx, jobs, &out) }
	again := func(ctx context.Context) error { return redrive(ctx, jobs, &out) }

	says(list, "no dead jobs\n")
	if err := jobs.Send(t.Context(), enlace.Job{ChannelID: "ch_1"}); err != nil {
		t.Fatal(err)
	}
	deliveries, err := jobs.Receive(t.Context(), 1, 0)
	if err != nil || len(deliveries) != 1 {
		t.Fatalf("received %v, %v", deliveries, err)
	}
	if err := jobs.Bury(t.Context(), deliveries[0], "a\nreason"); err != nil {
		t.Fatal(err)
	}
	body, err := store.Encode(1, map[string]any{"body": `{"secret":"hunter2"}`})
	if err != nil {
		t.Fatal(err)
	}
	foreign := store.Item{Key: store.Key{PK: "QUEUE", SK: "JOB#0"}, Value: body}
	if err := table.Write(t.Context(), store.Put(foreign, store.Any)); err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Receive(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	says(list, "SINCE", "2026-11-24T08:00:00Z  1         ch_1     a reason\n", "-        not a job\n")
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("the body of what is no job is shown: %q", out.String())
	}
	says(again, "sent again: 1\n", "left dead, since they are no jobs: 1\n")
	if got, err := jobs.Receive(t.Context(), 2, 0); err != nil || len(got) != 1 || got[0].Job.ChannelID != "ch_1" {
		t.Errorf("received %+v, %v after the redrive, want ch_1", got, err)
	}
}
