package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
)

type keysCommand struct {
	Create keysCreateCommand `cmd:"" help:"Make a key and print it. It is shown this once."`
	List   keysListCommand   `cmd:"" help:"List the keys."`
	Delete keysDeleteCommand `cmd:"" help:"Revoke a key. Running processes take up to a minute to notice."`
}

// keyStore is the store whose keys are meant.
type keyStore struct {
	storeFlags `embed:""`
}

// with opens the store for do. It makes no data folder.
func (f keyStore) with(ctx context.Context, log *slog.Logger, do func(*store.Store) error) error {
	table, err := f.store()
	if err != nil {
		return err
	}
	if err := mustBeThere(table); err != nil {
		return err
	}
	opened, err := places.OpenStore(ctx, table, places.Options{OpenSQLite: sqliteOpener(log), Log: log})
	if err != nil {
		return err
	}
	return errors.Join(do(opened.Store), opened.Close())
}

type keysCreateCommand struct {
	keyStore `embed:""`

	Role    string   `help:"What the key may do: viewer, operator or admin; each may all that the one before it may." enum:"viewer,operator,admin" default:"operator"`
	Company []string `help:"A company that the key reaches; may be repeated. * is all of them." required:"" placeholder:"ID"`
	Name    string   `help:"For people: where the key is used."`
}

func (c keysCreateCommand) Run(ctx context.Context, log *slog.Logger) error {
	for _, company := range c.Company {
		all := company == store.AllCompanies && len(c.Company) == 1
		if !all && !enlace.ValidID(company) {
			return fmt.Errorf("--company: %q is not a company: 1 to 64 of A–Z, a–z, 0–9, _ and -, or * alone", company)
		}
	}
	return c.with(ctx, log, func(st *store.Store) error {
		token := store.NewToken()
		key := store.APIKey{Name: c.Name, Role: store.Role(c.Role), Companies: c.Company}
		if _, err := st.PutKey(ctx, token, key); err != nil {
			return err
		}
		fmt.Println(token)
		return nil
	})
}

type keysListCommand struct {
	keyStore `embed:""`
}

func (c keysListCommand) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, func(st *store.Store) error {
		keys, err := st.Keys(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tROLE\tCOMPANIES\tCREATED\tNAME")
		for _, key := range keys {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
				key.ID, key.Role, strings.Join(key.Companies, ","), key.CreatedAt.Format(time.RFC3339), key.Name)
		}
		return table.Flush()
	})
}

type keysDeleteCommand struct {
	keyStore `embed:""`

	ID string `arg:"" help:"The key's id, key_…"`
}

func (c keysDeleteCommand) Run(ctx context.Context, log *slog.Logger) error {
	return c.with(ctx, log, func(st *store.Store) error {
		return st.DeleteKey(ctx, c.ID)
	})
}
