package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"

	engine "modernc.org/sqlite"
)

// conn is one connection of the engine, used by one goroutine at a time. It is
// the driver's own: database/sql's pool and its conversions would cost half of
// a small write.
type conn struct {
	raw   driver.Conn
	stmts []driver.Stmt
}

func openConn(path string) (*conn, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_error_rc=1"} // a relative path would begin with a host
	raw, err := new(engine.Driver).Open(name.String())
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw}, nil
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	c.stmts = nil
	if c.raw == nil {
		return nil
	}
	raw := c.raw
	c.raw = nil
	return raw.Close()
}

// run executes statements that give no rows.
func (c *conn) run(queries ...string) error {
	for _, q := range queries {
		if _, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), q, nil); err != nil {
			return err
		}
	}
	return nil
}

// number returns the first column of the first row that q gives.
func (c *conn) number(q string) (int64, error) {
	rows, err := c.raw.(driver.QueryerContext).QueryContext(context.Background(), q, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(row); err != nil {
		return 0, err
	}
	n, _ := row[0].(int64)
	return n, nil
}

// stmt is a prepared statement; what its row holds lasts until the next use.
type stmt struct {
	raw interface {
		driver.StmtExecContext
		driver.StmtQueryContext
	}
	args []driver.NamedValue
	row  []driver.Value
}

func (c *conn) prepare(q string) (*stmt, error) {
	prepared, err := c.raw.(driver.ConnPrepareContext).PrepareContext(context.Background(), q)
	if err != nil {
		return nil, err
	}
	c.stmts = append(c.stmts, prepared)
	s := &stmt{}
	s.raw = prepared.(interface {
		driver.StmtExecContext
		driver.StmtQueryContext
	})
	return s, nil
}

func (s *stmt) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return s.args
}

// exec runs a statement that gives no rows. Statements are short and run to
// their end: a context would cost a goroutine each.
func (s *stmt) exec(args ...any) error {
	_, err := s.raw.ExecContext(context.Background(), s.bind(args))
	clear(s.args) // holds no caller's value longer than needed
	return err
}

// errStop ends each early.
var errStop = errors.New("no more rows wanted")

// each calls fn with every row, until it returns errStop or fails.
func (s *stmt) each(fn func(row []driver.Value) error, args ...any) (err error) {
	rows, err := s.raw.QueryContext(context.Background(), s.bind(args))
	clear(s.args)
	if err != nil {
		return err
	}
	defer func() {
		if e := rows.Close(); err == nil {
			err = e
		}
	}()
	if s.row == nil {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	defer clear(s.row)
	for {
		switch err := rows.Next(s.row); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		switch err := fn(s.row); {
		case err == errStop:
			return nil
		case err != nil:
			return err
		}
	}
}
