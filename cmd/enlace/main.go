// Command enlace turns WhatsApp connections into state that is polled over HTTP:
// it serves the API, runs the workers that own the connections, and has what one
// needs beside them on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Log logFlags `embed:"" prefix:"log-"`

	Serve   serveCommand   `cmd:"" set:"data=data" help:"Serve the API and own the connections, in one process."`
	API     apiCommand     `cmd:"" name:"api" set:"data=data" help:"Serve the API alone."`
	Worker  workerCommand  `cmd:"" set:"data=data" help:"Own the connections alone."`
	Demo    demoCommand    `cmd:"" set:"data=data/demo" help:"Serve, with a WhatsApp server of its own to try it on: nothing leaves the machine."`
	Setup   setupCommand   `cmd:"" set:"data=data" help:"Make the table, the queue and the first API key, as far as they are missing."`
	Health  healthCommand  `cmd:"" help:"Ask a process on this machine whether it is well: exit code 0 if so."`
	Connect connectCommand `cmd:"" help:"Connect a channel through the API: draws the QR code here and waits until it is active."`
	Keys    keysCommand    `cmd:"" set:"data=data" help:"Make, list and delete API keys."`
	Jobs    jobsCommand    `cmd:"" set:"data=data" help:"List the connect jobs that were set aside as dead, and send them again."`
	Seal    sealCommand    `cmd:"" set:"data=data" help:"Change the key that seals what is stored."`
	Openapi openapiCommand `cmd:"" name:"openapi" help:"Print the description of the API."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "enlace: "+oneLine(err))
		os.Exit(1)
	}
}

func run(args []string) error {
	unsetEmpty(os.Environ())
	var c commands
	parser, err := newParser(&c)
	if err != nil {
		return err
	}
	command, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w (see enlace --help)", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(c.Log.logger())
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

func newParser(c *commands) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("enlace"),
		kong.Description("WhatsApp connections as state that is polled over HTTP.\n\nEvery flag can be given as a variable: --addr is ENLACE_ADDR."),
		kong.DefaultEnvars("ENLACE"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
}

// unsetEmpty unsets the variables of ours that are empty: that is how files and
// consoles that list all settings say "not set".
func unsetEmpty(environ []string) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "ENLACE_") && value == "" {
			_ = os.Unsetenv(name)
		}
	}
}

// oneLine is err's text on one line, as logs and people want it.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

type logFlags struct {
	Level  slog.Level `help:"The least level that is logged: debug, info, warn or error." default:"info" placeholder:"LEVEL"`
	Format string     `help:"The form of the log: text or json." enum:"text,json" default:"text"`
}

func (f logFlags) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: f.Level}
	if f.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
