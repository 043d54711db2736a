package main

import (
	"context"
	"errors"
	"log/slog"
)

// role is a part of a process's work: it runs until ctx ends, and returns nil if
// it ended well.
type role func(ctx context.Context) error

// runTogether runs roles, the first one first, until ctx ends or one of them does,
// and returns when all have ended.
func runTogether(ctx context.Context, log *slog.Logger, roles ...role) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, len(roles))
	for _, run := range roles {
		go func() { defer stop(); ended <- run(ctx) }()
	}
	<-ctx.Done()
	log.Info("stopping")
	var err error
	for range roles {
		err = errors.Join(err, <-ended)
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}
