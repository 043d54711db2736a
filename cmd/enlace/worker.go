package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store/signal"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/workers"
)

// workerFlags are the settings of a process that owns channels.
type workerFlags struct {
	Lease                time.Duration `help:"How long a silent worker is waited for before its channels are taken over." default:"20s"`
	ReconnectDelay       time.Duration `help:"The base of the growing delay between the sessions of a channel." default:"2s"`
	MaxReconnectAttempts int           `help:"How often a channel that WhatsApp refuses is tried before it is an error." default:"10"`
	SendRate             float64       `help:"How many messages a second a channel sends at most, in uneven steps; 0 is as fast as WhatsApp takes them." default:"0"`
	MaxChannels          int           `help:"How many channels the worker owns at most; 0 is as many as there are." default:"0"`
	RebalanceEvery       time.Duration `help:"How often a worker with far more channels than its share gives a live one away; 0 is never." default:"5s"`
	SignalCache          byteSize      `help:"Memory for the encryption state of all channels." default:"256MiB"`
}

// leastLease leaves a heartbeat, a quarter of it, time for a slow disk.
const leastLease = time.Second

func (f *workerFlags) check() error {
	switch {
	case f.Lease < leastLease:
		return fmt.Errorf("--lease: at least %v, got %v", leastLease, f.Lease)
	case f.ReconnectDelay < time.Millisecond:
		return fmt.Errorf("--reconnect-delay: at least 1ms, got %v", f.ReconnectDelay)
	case f.MaxReconnectAttempts < 1:
		return fmt.Errorf("--max-reconnect-attempts: at least 1, got %d", f.MaxReconnectAttempts)
	case f.SendRate < 0:
		return fmt.Errorf("--send-rate: not below 0, got %v", f.SendRate)
	case f.MaxChannels < 0:
		return fmt.Errorf("--max-channels: not below 0, got %d", f.MaxChannels)
	case f.RebalanceEvery < 0:
		return fmt.Errorf("--rebalance-every: not below 0, got %v", f.RebalanceEvery)
	}
	return nil
}

// whatsappFlags name the server in WhatsApp's place.
type whatsappFlags struct {
	WhatsappURL     string `help:"Connect to this server in place of WhatsApp: ws://HOST:PORT/PATH." placeholder:"URL"`
	WhatsappRootKey string `help:"The public key that signs that server's certificates, 64 hex digits." placeholder:"HEX"`
}

func (f whatsappFlags) endpoint() (socket.Endpoint, error) {
	endpoint, err := socket.ParseEndpoint(f.WhatsappURL, f.WhatsappRootKey)
	if err != nil {
		return socket.Endpoint{}, fmt.Errorf("--whatsapp-url, --whatsapp-root-key: %w", err)
	}
	return endpoint, nil
}

type workerCommand struct {
	placeFlags     `embed:""`
	retentionFlags `embed:""`
	workerFlags    `embed:""`
	whatsappFlags  `embed:""`

	HealthAddr string `help:"Where the worker answers what enlace health asks, HOST:PORT; nowhere by default." placeholder:"HOST:PORT"`
}

func (c *workerCommand) Run(ctx context.Context, log *slog.Logger) error {
	endpoint, err := c.endpoint()
	if err := errors.Join(err, c.workerFlags.check(), c.retentionFlags.check()); err != nil {
		return err
	}
	names, err := c.names()
	if err != nil {
		return err
	}
	var health net.Listener
	if c.HealthAddr != "" {
		if health, err = listen(ctx, c.HealthAddr); err != nil {
			return err
		}
		defer health.Close()
	}
	i, err := openInstallation(ctx, names, c.retentionFlags, log)
	if err != nil {
		return err
	}
	worker, err := newWorker(i, c.workerFlags, endpoint, log)
	if err != nil {
		return errors.Join(err, i.Close())
	}
	roles := []role{worker.Run}
	if health != nil {
		roles = append(roles, func(ctx context.Context) error { return serveHTTP(ctx, health, healthHandler(i, ctx), log) })
	}
	log.Info("working", "store", i.names.Store.String(), "version", version())
	return errors.Join(runTogether(ctx, log, roles...), i.Close())
}

// claimsAtOnce is how many channels a worker claims at a time where the store is
// a file, which commits them together.
const claimsAtOnce = 16

// newWorker returns a worker of an installation; nothing happens before its Run.
func newWorker(i *installation, flags workerFlags, endpoint socket.Endpoint, log *slog.Logger) (*workers.Worker, error) {
	config := workers.Config{
		Store: i.Store, Queue: i.Queue, Strategies: newStrategies(flags, endpoint, log),
		Lease: flags.Lease, ReconnectDelay: flags.ReconnectDelay, MaxReconnectAttempts: flags.MaxReconnectAttempts,
		SendRate: flags.SendRate, MaxChannels: flags.MaxChannels, RebalanceEvery: flags.RebalanceEvery, Log: log,
	}
	if i.names.Store.Kind == places.SQLite {
		locks, err := workers.NewLocks(filepath.Join(i.dir, workersDir))
		if err != nil {
			return nil, err
		}
		config.Locks, config.ClaimsAtOnce = locks, claimsAtOnce
	}
	return workers.New(config), nil
}

func newStrategies(flags workerFlags, endpoint socket.Endpoint, log *slog.Logger) strategies.Registry {
	if endpoint.URL != nil {
		log.Warn("connecting to another server in place of WhatsApp", "server", endpoint.URL.Redacted())
	}
	sockets := socket.New(socket.Options{Endpoint: endpoint, Budget: signal.NewBudget(int64(flags.SignalCache)), Log: log})
	registry := strategies.Registry{}
	for _, channelType := range strategies.SocketTypes() {
		registry[channelType] = sockets
	}
	return registry
}
