package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

type sealCommand struct {
	AddKey sealAddKeyCommand `cmd:"" help:"Add a new key to the key file; it seals for processes that start from now on."`
	Rewrap sealRewrapCommand `cmd:"" help:"Wrap the data key of every channel anew, by the newest key, while channels run."`
}

type sealAddKeyCommand struct {
	placeFlags `embed:""`
}

func (c *sealAddKeyCommand) Run() error {
	names, err := c.names()
	if err != nil {
		return err
	}
	if names.Seal.Kind != places.File {
		return errors.New("--seal: a new key can be added to a key file, file:PATH; KMS rotates its keys by itself")
	}
	if err := seal.AddKey(names.Seal.Name); err != nil {
		return err
	}
	fmt.Printf("%s has a new key. It seals for processes that start from now on; then run enlace seal rewrap\n", names.Seal.Name)
	return nil
}

type sealRewrapCommand struct {
	placeFlags `embed:""`
}

func (c *sealRewrapCommand) Run(ctx context.Context, log *slog.Logger) error {
	names, err := c.names()
	if err != nil {
		return err
	}
	if err := mustBeThere(names.Store); err != nil {
		return err
	}
	opened, err := places.Open(ctx, names, places.Options{OpenSQLite: sqliteOpener(log), Log: log})
	if err != nil {
		return err
	}
	return errors.Join(rewrap(ctx, opened.Store, os.Stdout, log), opened.Close())
}

// rewrapTells is how often the log says how far it is.
const rewrapTells = 2 * time.Second

// rewrap wraps all data keys anew and prints what was done. It is an error if
// there are some that the keys at hand do not open.
func rewrap(ctx context.Context, st *store.Store, out io.Writer, log *slog.Logger) error {
	told := time.Now()
	done, err := st.Rewrap(ctx, func(done store.Rewrapped, known int) {
		if time.Since(told) >= rewrapTells {
			told = time.Now()
			log.Info("wrapping data keys anew", "channels", done.Channels(), "of", known)
		}
	})
	fmt.Fprintf(out, "channels: %d; data keys wrapped anew: %d, by the newest key already: %d, none yet: %d\n",
		done.Channels(), done.Wrapped, done.Newest, done.Keyless)
	if err != nil {
		return fmt.Errorf("not all channels were reached, run it again: %w", err)
	}
	if lost := done.Unreadable; len(lost) > 0 {
		shown := lost[:min(len(lost), 10)]
		return fmt.Errorf("%d data keys do not open with these keys and are as they were; name the key that wrapped them with --seal-from: %s", len(lost), strings.Join(shown, ", "))
	}
	return nil
}
