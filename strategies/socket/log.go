package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"regexp"
	"strings"

	waBinary "go.mau.fi/whatsmeow/binary"
	waLog "go.mau.fi/whatsmeow/util/log"
)

// logger passes whatsmeow's messages on without what they tell of people: of
// their arguments only small numbers and the text of errors survive, and of that
// no number that could be a phone's. Debug messages are dropped; what whatsmeow
// calls an error is a warning here, because the session decides what it means.
type logger struct {
	log   *slog.Logger
	muted func() bool          // the session has ended: its last words are noise
	tap   func(*waBinary.Node) // sees each stanza received; only of the receiver's logger
}

var _ waLog.Logger = (*logger)(nil)

func (l *logger) Errorf(msg string, args ...any) { l.print(slog.LevelWarn, msg, args) }
func (l *logger) Warnf(msg string, args ...any)  { l.print(slog.LevelInfo, msg, args) }
func (l *logger) Infof(msg string, args ...any)  { l.print(slog.LevelDebug, msg, args) }

// Debugf drops the message. The receiver's debug messages carry every stanza,
// and this is the only place where whatsmeow shows some of them: a stream error
// or a failure of the 500s becomes no event with a code.
func (l *logger) Debugf(_ string, args ...any) {
	if l.tap == nil || len(args) != 1 {
		return
	}
	if node, ok := args[0].(*waBinary.Node); ok {
		l.tap(node)
	}
}

// Sub returns the logger of a part of whatsmeow.
func (l *logger) Sub(module string) waLog.Logger {
	sub := *l
	if module != "Recv" {
		sub.tap = nil
	}
	return &sub
}

func (l *logger) print(level slog.Level, msg string, args []any) {
	if l.muted() || !l.log.Enabled(context.Background(), level) {
		return
	}
	safe := make([]any, len(args))
	for i, arg := range args {
		safe[i] = harmless(arg)
	}
	l.log.Log(context.Background(), level, "whatsmeow: "+fmt.Sprintf(msg, safe...))
}

// shown prints as its text, whatever the verb.
type shown string

func (s shown) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s)) }

// harmless returns what may be printed of an argument.
func harmless(arg any) any {
	if err, ok := arg.(error); ok {
		return shown(scrub(err.Error()))
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.Bool:
		return arg
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); -1e4 < n && n < 1e4 {
			return arg
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v.Uint() < 1e4 {
			return arg
		}
	}
	return shown("…")
}

var longNumber = regexp.MustCompile(`[0-9]{5,}`)

// scrub takes numbers of five digits and more out of text, and all from the
// first stanza on: XML is somebody's data.
func scrub(text string) string {
	if i := strings.IndexByte(text, '<'); i >= 0 {
		text = text[:i] + "…"
	}
	return longNumber.ReplaceAllString(text, "#")
}

// briefLength is how much of an error's text is kept, in bytes.
const briefLength = 200

// brief returns err with a text that is short and tells nothing of people.
func brief(err error) error {
	if err == nil {
		return nil
	}
	var done *briefError
	if errors.As(err, &done) {
		return err
	}
	text := scrub(err.Error())
	if len(text) > briefLength {
		text = strings.ToValidUTF8(text[:briefLength], "") + "…"
	}
	return &briefError{text, err}
}

type briefError struct {
	text string
	err  error
}

func (e *briefError) Error() string { return e.text }
func (e *briefError) Unwrap() error { return e.err }
