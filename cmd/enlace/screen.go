package main

import (
	"fmt"
	"os"
	"strings"
)

// screen shows one thing after the other. On a terminal a QR code is replaced by
// what follows, and is light on dark whatever the terminal's colours are.
type screen struct {
	terminal bool
	last     string
	lines    int // that the next thing replaces
}

// show prints a line, unless it is there already.
func (s *screen) show(line string) {
	if line == s.last {
		return
	}
	s.erase()
	fmt.Println(line)
	s.last = line
}

// showQR prints a QR code, made of blocks for the light modules, below a title.
func (s *screen) showQR(title, picture string) {
	if title == s.last {
		return
	}
	s.erase()
	rows := strings.Split(strings.TrimSuffix(picture, "\n"), "\n")
	fmt.Println(title)
	for _, row := range rows {
		if s.terminal {
			row = "\x1b[97;40m" + row + "\x1b[0m" // bright white on black
		}
		fmt.Println(row)
	}
	s.last, s.lines = title, 1+len(rows)
}

func (s *screen) erase() {
	if s.terminal && s.lines > 0 {
		fmt.Printf("\x1b[%dA\x1b[J", s.lines)
	}
	s.lines = 0
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
