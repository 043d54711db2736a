package store

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
)

// A cursor is the place of the last item of a page, bound to the query that it
// came from by a checksum: base64url of format, checksum, and the place's
// strings, each behind its length.
const cursorFormat = 1

// CursorAfter returns the cursor that goes on after last in the answer of q.
func CursorAfter(q Query, last Item) string {
	place := appendStrings(nil, last.PK, last.SK, last.Index.SK)
	raw := append([]byte{cursorFormat}, q.checksum(place)...)
	return base64.RawURLEncoding.EncodeToString(append(raw, place...))
}

// After returns where q's cursor goes on: after this key and, in an index
// query, this index key. ok is false without a cursor; a cursor that was not
// given out for this very query (limits apart) is ErrCursor.
func (q Query) After() (last Item, ok bool, err error) {
	if q.Cursor == "" {
		return Item{}, false, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || len(raw) < 9 || raw[0] != cursorFormat {
		return Item{}, false, ErrCursor
	}
	sum, place := raw[1:9], raw[9:]
	if string(sum) != string(q.checksum(place)) {
		return Item{}, false, ErrCursor
	}
	var parts [3]string
	for i := range parts {
		n, width := binary.Uvarint(place)
		if width <= 0 || n > uint64(len(place)-width) {
			return Item{}, false, ErrCursor
		}
		parts[i], place = string(place[width:width+int(n)]), place[width+int(n):]
	}
	last.Key = Key{PK: parts[0], SK: parts[1]}
	if q.Index {
		last.Index = Key{PK: q.PK, SK: parts[2]}
	}
	return last, true, nil
}

func (q Query) checksum(place []byte) []byte {
	kind := "table"
	if q.Index {
		kind = "index"
	}
	if q.Descending {
		kind += " descending"
	}
	hash := fnv.New64a()
	hash.Write(appendStrings(nil, kind, q.PK, q.Prefix, q.From, q.To))
	hash.Write(place)
	return hash.Sum(nil)
}

func appendStrings(b []byte, parts ...string) []byte {
	for _, s := range parts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}
