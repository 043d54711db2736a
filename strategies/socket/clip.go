package socket

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// What a sender writes is as long as he likes: WhatsApp cannot look into it. An
// event that no table takes would end the session each time the message comes
// again, for ever. These bounds, in bytes as JSON, hold all that WhatsApp's own
// apps write, and an event within them fits an item.
const (
	maxBody  = 300 << 10 // of a text: 65,536 characters have at most 256 KiB
	maxField = 512       // of a name, an id, an emoji
)

// fit returns the data of an event with every string cut to what is stored of
// it; cut reports whether a text was.
func fit(data map[string]any) (fitting map[string]any, cut bool) {
	fitting = make(map[string]any, len(data))
	for key, value := range data {
		switch v := value.(type) {
		case string:
			limit := maxField
			if key == "body" {
				limit = maxBody
			}
			short := clip(v, limit)
			cut = cut || key == "body" && short != v
			fitting[key] = short
		case map[string]any:
			inner, innerCut := fit(v)
			cut = cut || innerCut
			fitting[key] = inner
		default:
			fitting[key] = value
		}
	}
	return fitting, cut
}

// clip returns as much of s, from its beginning, as is at most limit bytes long
// in JSON.
func clip(s string, limit int) string {
	const longest = 6 // bytes that one byte becomes: \u0000
	if len(s)*longest <= limit {
		return s
	}
	size := 0
	for i, r := range s {
		if size += jsonSize(r); size > limit {
			return s[:i]
		}
	}
	return s
}

func jsonSize(r rune) int {
	switch {
	case strings.ContainsRune("\"\\\b\f\n\r\t", r):
		return 2
	case r < ' ', r == utf8.RuneError, r == '\u2028', r == '\u2029':
		return 6
	}
	return utf8.RuneLen(r)
}

// encode returns v as JSON. Unlike json.Marshal it leaves <, > and & as they are,
// which would take six bytes each.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
