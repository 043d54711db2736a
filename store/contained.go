package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// contained returns t with its panics as errors. What was being written then may
// be done or not: that is ErrUnknown, after which nobody goes on from what he
// knew before.
func contained(t Table, log *slog.Logger) Table {
	c := &containedTable{table: t, log: log}
	if waker, ok := t.(Waker); ok {
		return &wakingContained{c, waker}
	}
	return c
}

type containedTable struct {
	table Table
	log   *slog.Logger
}

type wakingContained struct {
	*containedTable
	Waker
}

var (
	_ Table = (*containedTable)(nil)
	_ Waker = (*wakingContained)(nil)
)

// errPanicked is not ErrUnavailable: trying again is not likely to help.
var errPanicked = errors.New("the table cannot be read")

// caught is deferred. A panic's value is not shown: it may hold anything.
func (c *containedTable) caught(err *error, means error) {
	p := recover()
	if p == nil {
		return
	}
	c.log.Error("panic in the table", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	*err = fmt.Errorf("%w: panic of type %T", means, p)
}

// Get is Table's.
func (c *containedTable) Get(ctx context.Context, key Key) (item Item, err error) {
	defer c.caught(&err, errPanicked)
	return c.table.Get(ctx, key)
}

// GetMany is Table's.
func (c *containedTable) GetMany(ctx context.Context, keys []Key) (items map[Key]Item, err error) {
	defer c.caught(&err, errPanicked)
	return c.table.GetMany(ctx, keys)
}

// Query is Table's.
func (c *containedTable) Query(ctx context.Context, q Query) (page Page, err error) {
	defer c.caught(&err, errPanicked)
	return c.table.Query(ctx, q)
}

// Write is Table's.
func (c *containedTable) Write(ctx context.Context, ops ...Op) (err error) {
	defer c.caught(&err, ErrUnknown)
	return c.table.Write(ctx, ops...)
}
