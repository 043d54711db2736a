package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/enlacehq/enlace/store"
)

// pageBytes ends a page early, so that one of large items does not fill the memory.
const pageBytes = 4 << 20

const columns = "pk, sk, version, expires, index_pk, index_sk, write_id, value"

// The queries; the verb is for the order. Any BLOB sorts behind every TEXT, so
// that an upper bound may be noBound.
const (
	live       = " AND (expires IS NULL OR expires > ?)"
	tableQuery = "SELECT " + columns + " FROM items WHERE pk = ? AND sk >= ? AND sk < ?" + live + " ORDER BY sk %s LIMIT ?"
	indexQuery = "SELECT index_sk, pk, sk FROM items WHERE index_pk = ? AND (index_sk, pk, sk) > (?, ?, ?) AND (index_sk, pk, sk) < (?, ?, ?)" + live +
		" ORDER BY index_sk %[1]s, pk %[1]s, sk %[1]s LIMIT ?"
)

var noBound = []byte{}

// reader is a connection that only reads.
type reader struct {
	conn                   *conn
	get                    *stmt
	table, tableDescending *stmt
	index, indexDescending *stmt
}

func openReader(path string) (*reader, error) {
	c, err := openConn(path)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: c}
	if err := r.prepare(); err != nil {
		c.close()
		return nil, err
	}
	return r, nil
}

func (r *reader) prepare() error {
	// busy can only be a recovery after a crash, or the last close by another process
	if err := r.conn.run("PRAGMA busy_timeout = 5000", "PRAGMA query_only = 1", "PRAGMA cache_size = -512"); err != nil {
		return err
	}
	for _, p := range []struct {
		stmt **stmt
		sql  string
	}{
		{&r.get, "SELECT " + columns + " FROM items WHERE pk = ? AND sk = ?" + live},
		{&r.table, fmt.Sprintf(tableQuery, "ASC")},
		{&r.tableDescending, fmt.Sprintf(tableQuery, "DESC")},
		{&r.index, fmt.Sprintf(indexQuery, "ASC")},
		{&r.indexDescending, fmt.Sprintf(indexQuery, "DESC")},
	} {
		var err error
		if *p.stmt, err = r.conn.prepare(p.sql); err != nil {
			return err
		}
	}
	return nil
}

// read runs f with a reader of its own.
func (db *DB) read(ctx context.Context, f func(r *reader, now int64) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-db.closing:
		return db.errClosed()
	default:
	}
	var r *reader
	select {
	case r = <-db.readers:
	case <-db.closing:
		return db.errClosed()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { db.readers <- r }()
	if err := f(r, db.now().Unix()); err != nil {
		return fmt.Errorf("sqlite: %w", db.explain(err))
	}
	return nil
}

// Get is store.Table's.
func (db *DB) Get(ctx context.Context, key store.Key) (store.Item, error) {
	if err := store.CheckKey(key); err != nil {
		return store.Item{}, err
	}
	var item store.Item
	err := db.read(ctx, func(r *reader, now int64) (err error) {
		item, err = r.find(key, now)
		return err
	})
	switch {
	case err != nil:
		return store.Item{}, err
	case item.Version == 0:
		return store.Item{}, store.ErrNotFound
	}
	return item, nil
}

// GetMany is store.Table's.
func (db *DB) GetMany(ctx context.Context, keys []store.Key) (map[store.Key]store.Item, error) {
	for _, key := range keys {
		if err := store.CheckKey(key); err != nil {
			return nil, err
		}
	}
	found := make(map[store.Key]store.Item, len(keys))
	err := db.read(ctx, func(r *reader, now int64) error {
		for _, key := range keys {
			item, err := r.find(key, now)
			if err != nil {
				return err
			}
			if item.Version != 0 {
				found[key] = item
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// find returns the item at key, at version 0 when there is none.
func (r *reader) find(key store.Key, now int64) (item store.Item, err error) {
	err = r.get.each(func(row []driver.Value) error {
		item = decode(row)
		return nil
	}, key.PK, key.SK, now)
	return item, err
}

// decode makes an item of a row of columns.
func decode(row []driver.Value) store.Item {
	var item store.Item
	item.PK, _ = row[0].(string)
	item.SK, _ = row[1].(string)
	item.Version, _ = row[2].(int64)
	expires, _ := row[3].(int64)
	item.Expires = store.ExpiryTime(expires)
	item.Index.PK, _ = row[4].(string)
	item.Index.SK, _ = row[5].(string)
	item.WriteID, _ = row[6].(string)
	item.Value, _ = row[7].([]byte)
	return item
}

// Query is store.Table's.
func (db *DB) Query(ctx context.Context, q store.Query) (store.Page, error) {
	if err := q.Check(); err != nil {
		return store.Page{}, err
	}
	after, goOn, err := q.After()
	if err != nil {
		return store.Page{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Page{}, err
	}
	if q.Index && db.late != nil {
		return db.queryLate(q)
	}
	var page store.Page
	err = db.read(ctx, func(r *reader, now int64) error {
		if q.Index {
			return r.queryIndex(&page, q, after, goOn, now)
		}
		return r.queryTable(&page, q, after, goOn, now)
	})
	if err != nil {
		return store.Page{}, err
	}
	return page, nil
}

func (r *reader) queryTable(page *store.Page, q store.Query, after store.Item, goOn bool, now int64) error {
	from, to := q.Bounds()
	upper := bound(to)
	stmt := r.table
	switch {
	case q.Descending:
		stmt = r.tableDescending
		if goOn {
			upper = after.SK
		}
	case goOn:
		from = after.SK + "\x00" // the least that sorts behind it
	}
	size := 0
	return stmt.each(func(row []driver.Value) error {
		if len(page.Items) == q.PageLimit() || size > pageBytes {
			page.Cursor = store.CursorAfter(q, page.Items[len(page.Items)-1])
			return errStop
		}
		item := decode(row)
		size += len(item.Value)
		page.Items = append(page.Items, item)
		return nil
	}, q.PK, from, upper, now, int64(q.PageLimit()+1))
}

func (r *reader) queryIndex(page *store.Page, q store.Query, after store.Item, goOn bool, now int64) error {
	from, to := q.Bounds()
	lower, upper := store.Item{Index: store.Key{SK: from}}, store.Item{}
	upperSK := bound(to)
	stmt := r.index
	switch {
	case q.Descending:
		stmt = r.indexDescending
		if goOn {
			upper, upperSK = after, after.Index.SK
		}
	case goOn:
		lower = after
	}
	return stmt.each(func(row []driver.Value) error {
		if len(page.Items) == q.PageLimit() {
			page.Cursor = store.CursorAfter(q, page.Items[len(page.Items)-1])
			return errStop
		}
		item := store.Item{Index: store.Key{PK: q.PK}}
		item.Index.SK, _ = row[0].(string)
		item.PK, _ = row[1].(string)
		item.SK, _ = row[2].(string)
		page.Items = append(page.Items, item)
		return nil
	}, q.PK, lower.Index.SK, lower.PK, lower.SK, upperSK, upper.PK, upper.SK, now, int64(q.PageLimit()+1))
}

func bound(to string) any {
	if to == "" {
		return noBound
	}
	return to
}
