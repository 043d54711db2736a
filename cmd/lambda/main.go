// Command lambda is the API as an AWS Lambda function behind an HTTP API of API
// Gateway. It answers callers and owns no connection: that is what enlace worker
// does, on the same table and queue. So it links neither a client of WhatsApp nor
// SQLite, and starts quickly. It can seal for the workers, and open nothing.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

func main() {
	handler, err := open(context.Background(), os.Getenv)
	if err != nil {
		// The runtime shows what ended the process in the function's log.
		logger(slog.LevelError).Error("the function cannot start", "error", oneLine(err))
		os.Exit(1)
	}
	lambda.Start(handler)
}

// openTime bounds the start, which the platform ends after 10 s.
const openTime = 8 * time.Second

// open opens what the variables name, the same as those of enlace api. It makes
// nothing, and no key.
func open(ctx context.Context, variable func(string) string) (api.LambdaHandler, error) {
	level, retention := slog.LevelInfo, store.DefaultRetention
	if text := variable("ENLACE_LOG_LEVEL"); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return nil, fmt.Errorf("ENLACE_LOG_LEVEL: want debug, info, warn or error, got %q", text)
		}
	}
	if text := variable("ENLACE_RETENTION"); text != "" {
		var err error
		if retention, err = time.ParseDuration(text); err != nil || retention < store.MinRetention {
			return nil, fmt.Errorf("ENLACE_RETENTION: at least %v, got %q", store.MinRetention, text)
		}
	}
	names, err := places.Parse(variable("ENLACE_STORE"), variable("ENLACE_QUEUE"), variable("ENLACE_SEAL"))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	log := logger(level)
	opened, err := places.Open(ctx, names, places.Options{Unchecked: true, Retention: retention, Log: log})
	if err != nil {
		return nil, err
	}
	return api.NewLambda(api.Config{
		Store: opened.Store, Queue: opened.Queue, Types: strategies.SocketTypes(), Log: log, Version: version(),
	}), nil
}

func logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// version is the module's, as the go command stamped it into the binary.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
