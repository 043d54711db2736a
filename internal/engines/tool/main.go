// Command tool runs one of AWS's tools that are programs in Python, with the
// arguments that follow: tool sam validate --lint. It fetches them first.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/enlacehq/enlace/internal/engines"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: tool sam|cfn-lint ARGUMENT …")
	}
	path, err := engines.Tool(ctx, args[0], os.Stderr)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Nothing is told to anybody, and a region is only a name where nothing is asked of AWS.
	cmd.Env = append([]string{"AWS_DEFAULT_REGION=us-east-1"}, append(os.Environ(), "SAM_CLI_TELEMETRY=0")...)
	return cmd.Run()
}
