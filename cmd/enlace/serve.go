package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/workers"
)

// serviceFlags are the settings of a process that serves the API and owns channels.
type serviceFlags struct {
	apiFlags       `embed:""`
	workerFlags    `embed:""`
	retentionFlags `embed:""`
}

func (f *serviceFlags) check() error {
	return errors.Join(f.workerFlags.check(), f.retentionFlags.check())
}

type serveCommand struct {
	placeFlags    `embed:""`
	serviceFlags  `embed:""`
	whatsappFlags `embed:""`
}

func (c *serveCommand) Run(ctx context.Context, log *slog.Logger) error {
	endpoint, err := c.endpoint()
	if err != nil {
		return err
	}
	names, err := c.names()
	if err != nil {
		return err
	}
	service, err := newService(ctx, names, c.serviceFlags, endpoint, log)
	if err != nil {
		return err
	}
	fmt.Printf("enlace listens on %s\n", service.url())
	if service.adminKey != "" {
		fmt.Printf("admin API key in %s\n", service.adminKey)
	}
	return service.run(ctx)
}

// service is the API and a worker of one installation, in one process.
type service struct {
	*installation
	log      *slog.Logger
	listener net.Listener
	worker   *workers.Worker
	adminKey string // where it lies, if it does
}

// newService listens and opens the installation; requests are served by run.
func newService(ctx context.Context, names places.Names, flags serviceFlags, endpoint socket.Endpoint, log *slog.Logger) (*service, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	listener, err := listen(ctx, flags.Addr)
	if err != nil {
		return nil, err
	}
	s := &service{listener: listener, log: log}
	if s.installation, err = openInstallation(ctx, names, flags.retentionFlags, log); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	s.adminKey, err = s.installation.adminKey(ctx)
	if err == nil {
		s.worker, err = newWorker(s.installation, flags.workerFlags, endpoint, log)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close(), s.Close())
	}
	return s, nil
}

// url is where the API is reached from this machine.
func (s *service) url() string { return urlOf(s.listener) }

// run serves until ctx ends; then it answers what was asked, hands its channels
// over and returns nil.
func (s *service) run(ctx context.Context) error {
	serve := func(ctx context.Context) error { return serveAPI(ctx, s.installation, s.listener, s.log) }
	return errors.Join(runTogether(ctx, s.log, s.worker.Run, serve), s.Close()) // channels come back while the API is made
}
