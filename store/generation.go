package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/enlacehq/enlace"
)

type generationItem struct {
	Generation int64 `json:"generation"`
}

const generationSchema = 1

// loadGeneration returns the table's generation, writing the first into a new
// table. A table that was restored from a copy gets the next one, so that
// cursors which saw what the copy lacks are told so.
func loadGeneration(ctx context.Context, table Table) (int64, error) {
	item, err := table.Get(ctx, generationKey)
	if errors.Is(err, ErrNotFound) {
		value, err := Encode(generationSchema, generationItem{Generation: 1})
		if err != nil {
			return 0, err
		}
		err = table.Write(ctx, Put(Item{Key: generationKey, Value: value}, Absent))
		if err != nil && !isConflict(err) {
			return 0, fmt.Errorf("give the table its generation: %w", err)
		}
		item, err = table.Get(ctx, generationKey)
		if err != nil {
			return 0, fmt.Errorf("read the table's generation: %w", err)
		}
		return decodeGeneration(item)
	}
	if err != nil {
		return 0, fmt.Errorf("read the table's generation: %w", err)
	}
	return decodeGeneration(item)
}

func decodeGeneration(item Item) (int64, error) {
	var g generationItem
	if err := Decode(item.Value, generationSchema, &g); err != nil {
		return 0, fmt.Errorf("the table's generation: %w", err)
	}
	return g.Generation, nil
}

// Cursor is the place after event seq of a channel's log: "<generation>-<seq>".
func (s *Store) Cursor(seq int64) string {
	return strconv.FormatInt(s.generation, 10) + "-" + strconv.FormatInt(seq, 10)
}

// ParseCursor returns the number in a cursor, or in a bare sequence number, which
// belongs to the current generation. An empty cursor is 0. CodeInvalidCursor: it
// is neither; CodeCursorGone: it is of another generation.
func (s *Store) ParseCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	generation, digits, found := strings.Cut(cursor, "-")
	if !found {
		generation, digits = strconv.FormatInt(s.generation, 10), cursor
	}
	g, errG := parseDigits(generation)
	seq, errSeq := parseDigits(digits)
	if errG != nil || errSeq != nil {
		return 0, enlace.Errorf(enlace.CodeInvalidCursor, "after must be a cursor that an answer gave as next, or an event's number")
	}
	if g != s.generation {
		return 0, enlace.Errorf(enlace.CodeCursorGone, "this cursor is of another generation of the log; begin again without one")
	}
	return seq, nil
}

// parseDigits takes digits only: no sign, no space.
func parseDigits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}
