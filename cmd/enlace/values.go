package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// byteSize is a number of bytes, written with KiB, MiB or GiB or without.
type byteSize int64

// UnmarshalText reads a size.
func (s *byteSize) UnmarshalText(text []byte) error {
	number, unit := string(text), int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if before, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(before), size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("want a size such as 256MiB, got %q", text)
	case n < 1 || n > (1<<50)/unit:
		return errors.New("not a possible size: " + string(text))
	}
	*s = byteSize(n * unit)
	return nil
}
