package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/strategies"
)

// apiFlags are the settings of a process that serves the API.
type apiFlags struct {
	Addr string `help:"Where the API listens, HOST:PORT; port 0 is a free one." default:"127.0.0.1:8080"`
}

type apiCommand struct {
	placeFlags     `embed:""`
	retentionFlags `embed:""`
	apiFlags       `embed:""`
}

func (c *apiCommand) Run(ctx context.Context, log *slog.Logger) error {
	if err := c.retentionFlags.check(); err != nil {
		return err
	}
	names, err := c.names()
	if err != nil {
		return err
	}
	listener, err := listen(ctx, c.Addr)
	if err != nil {
		return err
	}
	i, err := openInstallation(ctx, names, c.retentionFlags, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	fmt.Printf("enlace listens on %s\n", urlOf(listener))
	return errors.Join(serveAPI(ctx, i, listener, log), i.Close())
}

// serveAPI serves the API of an installation until ctx ends.
func serveAPI(ctx context.Context, i *installation, listener net.Listener, log *slog.Logger) error {
	log.Info("serving", "addr", listener.Addr().String(), "store", i.names.Store.String(), "version", version())
	if keys, err := i.Store.Keys(ctx); err == nil && len(keys) == 0 {
		log.Warn("there is no API key, so that nobody is let in: enlace setup makes the first one")
	}
	return serveHTTP(ctx, listener, api.New(api.Config{
		Store: i.Store, Queue: i.Queue, Types: strategies.SocketTypes(),
		Log: log, Version: version(), Draining: ctx,
	}), log)
}

// shutdownTime bounds the wait for requests that are being served when a process
// stops. A worker takes 25 s at most, at the same time.
const shutdownTime = 20 * time.Second

// serveHTTP serves until ctx ends; then it answers what was asked.
func serveHTTP(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		log.Warn("requests were cut off", "error", err)
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listen says in words what mostly goes wrong.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program; choose another address", addr)
	}
	return listener, err
}

// urlOf is where a listener is reached from this machine.
func urlOf(listener net.Listener) string { return "http://" + listener.Addr().String() }
