// Command run runs the engines in the foreground, with a table, a queue and a key
// made on them, and prints the settings by which enlace uses them, as lines for a
// shell, and then "ready". It stops all of them when it is interrupted.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/internal/places"
)

// The names of what is made.
const (
	table = "enlace"
	queue = "enlace-jobs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, os.Stderr); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, progress io.Writer) error {
	fmt.Fprintln(progress, "starting DynamoDB Local, ElasticMQ and moto's server …")
	running, err := engines.Start(ctx, engines.Options{DynamoDB: true, SQS: true, KMS: true, Progress: progress})
	if err != nil {
		return err
	}
	defer running.Stop()
	settings, err := prepare(ctx, running)
	if err != nil {
		return err
	}
	for _, setting := range settings {
		fmt.Fprintln(out, "export "+setting)
	}
	fmt.Fprintln(out, "ready")
	return running.Wait(ctx)
}

// prepare makes table, queue and key, and returns all settings.
func prepare(ctx context.Context, running *engines.Engines) ([]string, error) {
	settings := running.Environ()
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		if err := os.Setenv(name, value); err != nil { // the SDK reads them
			return nil, err
		}
	}
	key, err := engines.NewKey(ctx, running.KMS())
	if err != nil {
		return nil, err
	}
	names := places.Names{
		Store: places.Store{Kind: places.DynamoDB, Name: table},
		Queue: places.Queue{Kind: places.SQS, Name: running.SQS() + "/000000000000/" + queue},
		Seal:  places.Seal{Kind: places.KMS, Name: key},
	}
	if _, err := places.Make(ctx, names, places.Options{}); err != nil {
		return nil, err
	}
	return append(settings, "ENLACE_STORE="+names.Store.String(), "ENLACE_QUEUE="+names.Queue.String(), "ENLACE_SEAL="+names.Seal.String()), nil
}
