package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/enlacehq/enlace/internal/newfile"
	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/sqlite"
)

// The files of a data folder.
const (
	databaseFile = "enlace.db"
	sealFile     = "seal.key"
	adminKeyFile = "admin.key"
	workersDir   = "workers"
	phonesFile   = "whatsapptest.json" // the demo's WhatsApp server
)

// installation is what the processes of an installation share, open.
type installation struct {
	*places.Places
	names places.Names
	dir   string // the data folder; empty where there is none, on AWS
}

// openInstallation opens all places, and makes what is missing of a data folder.
func openInstallation(ctx context.Context, names places.Names, retention retentionFlags, log *slog.Logger) (*installation, error) {
	i := &installation{names: names, dir: folderOf(names.Store)}
	if i.dir != "" {
		if err := makeFolder(i.dir); err != nil {
			return nil, err
		}
	}
	var err error
	i.Places, err = places.Open(ctx, names, places.Options{OpenSQLite: sqliteOpener(log), Retention: retention.Retention, Log: log})
	return i, err
}

// sqliteOpener returns how this program opens a database file.
func sqliteOpener(log *slog.Logger) func(context.Context, string) (places.Table, error) {
	return func(ctx context.Context, path string) (places.Table, error) {
		return sqlite.Open(ctx, path, sqlite.Options{Log: log})
	}
}

// folderOf is the data folder that a table lies in, if it lies in one.
func folderOf(table places.Store) string {
	if table.Kind != places.SQLite {
		return ""
	}
	return filepath.Dir(table.Name)
}

// makeFolder makes the data folder, readable by its owner alone.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// firstAdmin is the key that a new installation gets.
func firstAdmin() store.APIKey {
	return store.APIKey{Name: "first admin", Role: store.Admin, Companies: []string{store.AllCompanies}}
}

// adminKey makes an admin key for all companies if there is no key at all, and
// returns where it lies: the token itself is shown nowhere else. A start that was
// interrupted half-way is completed, and of several processes that start at once
// all agree on one key. place is empty when the folder has no such file any more,
// and where there is no folder.
func (i *installation) adminKey(ctx context.Context) (place string, err error) {
	if i.dir == "" {
		return "", nil
	}
	place = filepath.Join(i.dir, adminKeyFile)
	keys, err := i.Store.Keys(ctx)
	if err != nil {
		return "", err
	}
	if len(keys) > 0 {
		if _, err := os.Stat(place); err != nil {
			return "", nil
		}
		return place, nil
	}
	err = newfile.Create(place, []byte(store.NewToken()+"\n"))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("admin key: %w", err)
	}
	token, err := os.ReadFile(place)
	if err != nil {
		return "", fmt.Errorf("admin key: %w", err)
	}
	_, err = i.Store.PutKey(ctx, strings.TrimSpace(string(token)), firstAdmin())
	if err != nil {
		return "", fmt.Errorf("admin key in %s: %w", place, err)
	}
	return place, nil
}
