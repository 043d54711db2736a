package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/enlacehq/enlace/store"
)

// The numbers by which a file is known: whose it is, and how its tables look.
const (
	applicationID = 0x656e6c63 // "enlc"
	schemaVersion = 1
)

// The table has rowids: rows are often 1–2 KB, which SQLite would spill out of
// the leaves of a table without. Value stands last, so that reading what a
// condition asks for does not walk over it.
var schema = []string{
	`CREATE TABLE items (
		pk TEXT NOT NULL, sk TEXT NOT NULL, version INTEGER NOT NULL,
		expires INTEGER, index_pk TEXT, index_sk TEXT, write_id TEXT NOT NULL, value BLOB)`,
	`CREATE UNIQUE INDEX items_key ON items (pk, sk)`,
	`CREATE INDEX items_index ON items (index_pk, index_sk, pk, sk, expires) WHERE index_pk IS NOT NULL`,
	`CREATE INDEX items_expires ON items (expires) WHERE expires IS NOT NULL`,
	fmt.Sprintf(`PRAGMA application_id = %d`, applicationID),
	fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion),
}

// prepareFile makes the file and its folder where they are missing. An existing
// file is never opened here: closing it again would drop the locks that other
// connections of this process hold on it.
func prepareFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("folder %s: %w", dir, reason(err))
	}
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder, not a database file", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist): // another process was faster
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	return file.Close()
}

// reason is err without the path that a message names anyway.
func reason(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// openSchema opens the writing connection and makes the tables where there are none.
func openSchema(ctx context.Context, path string, t tuning) (*conn, error) {
	c, err := openConn(path)
	if err != nil {
		return nil, explain(path, err)
	}
	err = retryBusy(ctx, t.busy, func() error { return makeSchema(c, path) })
	if err == nil && t.maxPages > 0 {
		err = c.run(fmt.Sprintf("PRAGMA max_page_count = %d", t.maxPages))
	}
	if err != nil {
		c.close()
		return nil, explain(path, err)
	}
	return c, nil
}

func makeSchema(c *conn, path string) error {
	// the checkpoint is the writer's to time; a cache of 2 MB is bound, not taken at once
	err := c.run("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 0",
		"PRAGMA journal_size_limit = 16777216", "PRAGMA cache_size = -2048", "PRAGMA busy_timeout = 0")
	if err != nil {
		return err
	}
	if err := c.run("BEGIN"); err != nil { // one look: another process may be making the tables
		return err
	}
	known, err := checkSchema(c, path)
	if err := errors.Join(err, c.run("ROLLBACK")); known || err != nil {
		return err
	}
	if err := c.run("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	known, err = checkSchema(c, path) // another process may have been faster
	if !known && err == nil {
		err = c.run(schema...)
	}
	if err == nil {
		err = c.run("COMMIT")
	}
	if err != nil {
		_ = c.run("ROLLBACK")
	}
	return err
}

// checkSchema reports whether the file holds the tables that this program
// knows, and false for an empty file.
func checkSchema(c *conn, path string) (known bool, err error) {
	application, err := c.number("PRAGMA application_id")
	if err != nil {
		return false, err
	}
	version, err := c.number("PRAGMA user_version")
	if err != nil {
		return false, err
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	switch {
	case err != nil:
		return false, err
	case application == 0 && version == 0 && tables == 0:
		return false, nil
	case application != applicationID:
		return false, fmt.Errorf("%s is a database, but not one of enlace", path)
	case version > schemaVersion:
		return false, fmt.Errorf("%s has schema %d, this program knows %d: %w", path, version, schemaVersion, store.ErrNewerSchema)
	}
	return true, nil
}

// retryBusy repeats f while another process is in the way, for as long as wait.
func retryBusy(ctx context.Context, wait time.Duration, f func() error) error {
	for deadline := time.Now().Add(wait); ; {
		err := f()
		if !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(busyPause()):
		}
	}
}
