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
	"time"

	"github.com/enlacehq/enlace/internal/newfile"
	"github.com/enlacehq/enlace/queue"
	"github.com/enlacehq/enlace/queue/embedded"
	"github.com/enlacehq/enlace/seal"
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

// folder is an open data folder. Any number of processes may have it open.
type folder struct {
	path  string
	db    *sqlite.DB
	store *store.Store
	queue queue.Queue
}

type folderOptions struct {
	keys      seal.KeyHolder // nil is enough where no channel is touched
	retention time.Duration
	log       *slog.Logger
}

// openFolder opens the data folder at path and makes what is missing of it.
func openFolder(ctx context.Context, path string, o folderOptions) (*folder, error) {
	db, err := sqlite.Open(ctx, filepath.Join(path, databaseFile), sqlite.Options{Log: o.log})
	if err != nil {
		return nil, err
	}
	table := store.Retrying(db)
	st, err := store.Open(ctx, table, store.Options{Keys: o.keys, Retention: o.retention, Log: o.log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &folder{path: path, db: db, store: st, queue: embedded.New(table, embedded.Options{})}, nil
}

func (f *folder) close() error { return f.db.Close() }

// makeFolder makes the data folder, readable by its owner alone.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}

// adminKey makes an admin key for all companies if there is no key at all, and
// returns where it lies: the token itself is shown nowhere else. A start that was
// interrupted half-way is completed, and of several processes that start at once
// all agree on one key. place is empty when the folder has no such file any more.
func (f *folder) adminKey(ctx context.Context) (place string, err error) {
	place = filepath.Join(f.path, adminKeyFile)
	keys, err := f.store.Keys(ctx)
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
	_, err = f.store.PutKey(ctx, strings.TrimSpace(string(token)), store.APIKey{
		Name: "first admin", Role: store.Admin, Companies: []string{store.AllCompanies},
	})
	if err != nil {
		return "", fmt.Errorf("admin key in %s: %w", place, err)
	}
	return place, nil
}
