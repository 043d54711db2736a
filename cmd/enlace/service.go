package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/signal"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/workers"
)

// serviceFlags are the settings of a process that serves the API and owns channels.
type serviceFlags struct {
	Addr string    `help:"Where the API listens, HOST:PORT; port 0 is a free one." default:"127.0.0.1:8080"`
	Data string    `help:"The data folder. Several processes on one machine may share it." default:"${data}"`
	Seal sealPlace `help:"Where the key lies that seals what is stored: file:PATH. By default a file in the data folder." placeholder:"file:PATH"`

	Lease                time.Duration `help:"How long a silent worker is waited for before its channels are taken over." default:"20s"`
	ReconnectDelay       time.Duration `help:"The base of the growing delay between the sessions of a channel." default:"2s"`
	MaxReconnectAttempts int           `help:"How often a channel that WhatsApp refuses is tried before it is an error." default:"10"`
	SendRate             float64       `help:"How many messages a second a channel sends at most, in uneven steps; 0 is as fast as WhatsApp takes them." default:"0"`
	SignalCache          byteSize      `help:"Memory for the encryption state of all channels." default:"256MiB"`
	Retention            time.Duration `help:"How long events are kept, at least 48h." default:"720h"`
}

// leastLease leaves a heartbeat, a quarter of it, time for a slow disk.
const leastLease = time.Second

func (f *serviceFlags) check() error {
	switch {
	case f.Lease < leastLease:
		return fmt.Errorf("--lease: at least %v, got %v", leastLease, f.Lease)
	case f.ReconnectDelay < time.Millisecond:
		return fmt.Errorf("--reconnect-delay: at least 1ms, got %v", f.ReconnectDelay)
	case f.MaxReconnectAttempts < 1:
		return fmt.Errorf("--max-reconnect-attempts: at least 1, got %d", f.MaxReconnectAttempts)
	case f.SendRate < 0:
		return fmt.Errorf("--send-rate: not below 0, got %v", f.SendRate)
	case f.Retention < store.MinRetention:
		return fmt.Errorf("--retention: at least %v, got %v", store.MinRetention, f.Retention)
	case f.Data == "":
		return errors.New("--data: the name of a folder is missing")
	}
	return nil
}

// service is the API and a worker on one data folder, in one process.
type service struct {
	flags    serviceFlags
	log      *slog.Logger
	listener net.Listener
	folder   *folder
	adminKey string // where it lies, if it does
	types    strategies.Registry
}

// newService listens and opens the data folder; requests are served by run.
func newService(ctx context.Context, flags serviceFlags, endpoint socket.Endpoint, log *slog.Logger) (*service, error) {
	if err := flags.check(); err != nil {
		return nil, err
	}
	s := &service{flags: flags, log: log}
	if endpoint.URL != nil {
		log.Warn("connecting to another server in place of WhatsApp", "server", endpoint.URL.Redacted())
	}
	sockets := socket.New(socket.Options{
		Endpoint: endpoint, Budget: signal.NewBudget(int64(flags.SignalCache)), Log: log,
	})
	s.types = strategies.Registry{enlace.WhatsAppWeb: sockets, enlace.WhatsAppBaileys: sockets}

	var err error
	if s.listener, err = listen(ctx, flags.Addr); err != nil {
		return nil, err
	}
	if err := s.openFolder(ctx); err != nil {
		return nil, errors.Join(err, s.listener.Close())
	}
	return s, nil
}

func (s *service) openFolder(ctx context.Context) error {
	path := s.flags.Data
	if err := makeFolder(path); err != nil {
		return err
	}
	sealPath := string(s.flags.Seal)
	if sealPath == "" {
		sealPath = filepath.Join(path, sealFile)
	}
	keys, err := seal.OpenFile(sealPath)
	if err != nil {
		return err
	}
	s.folder, err = openFolder(ctx, path, folderOptions{keys: keys, retention: s.flags.Retention, log: s.log})
	if err != nil {
		return err
	}
	if s.adminKey, err = s.folder.adminKey(ctx); err != nil {
		return errors.Join(err, s.folder.close())
	}
	return nil
}

// url is where the API is reached from this machine.
func (s *service) url() string { return "http://" + s.listener.Addr().String() }

// shutdownTime bounds the wait for requests that are being served when the
// service stops. The worker takes 25 s at most, at the same time.
const shutdownTime = 20 * time.Second

// claimsAtOnce is how many channels a worker claims at a time: the folder's file
// commits them together.
const claimsAtOnce = 16

// run serves until ctx ends; then it answers what was asked, hands its channels
// over and returns nil.
func (s *service) run(ctx context.Context) error {
	locks, err := workers.NewLocks(filepath.Join(s.folder.path, workersDir))
	if err != nil {
		return errors.Join(err, s.listener.Close(), s.folder.close())
	}
	worker := workers.New(workers.Config{
		Store: s.folder.store, Queue: s.folder.queue, Strategies: s.types, Locks: locks,
		Lease: s.flags.Lease, ReconnectDelay: s.flags.ReconnectDelay, MaxReconnectAttempts: s.flags.MaxReconnectAttempts,
		SendRate: s.flags.SendRate, ClaimsAtOnce: claimsAtOnce,
		Log: s.log,
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { defer stop(); worked <- worker.Run(ctx) }() // channels come back while the API is made
	server := &http.Server{
		Handler: api.New(api.Config{
			Store: s.folder.store, Queue: s.folder.queue, Types: s.types.Types(),
			Log: s.log, Version: version(), Draining: ctx,
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() { defer stop(); served <- server.Serve(s.listener) }()
	s.log.Info("serving", "addr", s.listener.Addr().String(), "data", s.folder.path, "version", version())
	<-ctx.Done()
	s.log.Info("stopping")
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		s.log.Warn("requests were cut off", "error", err)
		_ = server.Close()
	}
	if err = <-served; errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	err = errors.Join(err, <-worked, s.folder.close())
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// listen says in words what mostly goes wrong.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program; choose another address", addr)
	}
	return listener, err
}
