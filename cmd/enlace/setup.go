package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
)

type setupCommand struct {
	placeFlags `embed:""`
}

// Run makes what is missing, and prints the first admin key on standard output:
// that one time, and nothing else there. What it did it says on standard error.
func (c *setupCommand) Run(ctx context.Context, log *slog.Logger) error {
	names, err := c.given()
	if err != nil {
		return err
	}
	if dir := folderOf(names.Store); dir != "" {
		if err := makeFolder(dir); err != nil {
			return err
		}
	}
	options := places.Options{OpenSQLite: sqliteOpener(log), Log: log}
	steps, err := places.Make(ctx, names, options)
	for _, step := range steps {
		fmt.Fprintln(os.Stderr, step)
	}
	if err != nil {
		return err
	}
	opened, err := places.OpenStore(ctx, names.Store, options)
	if err != nil {
		return err
	}
	return errors.Join(makeFirstKey(ctx, opened.Store), opened.Close())
}

func makeFirstKey(ctx context.Context, st *store.Store) error {
	token := store.NewToken()
	made, err := st.FirstKey(ctx, token, firstAdmin())
	switch {
	case errors.Is(err, store.ErrUnknown):
		return fmt.Errorf("%w; enlace keys create --role admin --company '*' makes a key in any case", err)
	case err != nil:
		return err
	case !made:
		fmt.Fprintln(os.Stderr, "first admin key: was made before; enlace keys create makes more")
		return nil
	}
	fmt.Fprintln(os.Stderr, "first admin key: made; it is shown this once")
	fmt.Println(token)
	return nil
}
