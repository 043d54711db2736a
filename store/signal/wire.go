package signal

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Values are sequences of numbered fields in the wire form of protocol buffers:
// each a number or bytes, absent when zero or empty. A field that this program
// does not know is an error, because writing the value back would drop it.

type fieldNumber = protowire.Number

var errMalformed = errors.New("malformed value")

type encoder []byte

func (e *encoder) number(field fieldNumber, n uint64) {
	if n != 0 {
		*e = protowire.AppendVarint(protowire.AppendTag(*e, field, protowire.VarintType), n)
	}
}

func (e *encoder) bytes(field fieldNumber, b []byte) {
	if len(b) > 0 {
		e.element(field, b)
	}
}

func (e *encoder) text(field fieldNumber, s string) {
	if s != "" {
		*e = protowire.AppendString(protowire.AppendTag(*e, field, protowire.BytesType), s)
	}
}

// element writes b even when it is empty: an element of a list, or a value that
// may be present and empty.
func (e *encoder) element(field fieldNumber, b []byte) {
	*e = protowire.AppendBytes(protowire.AppendTag(*e, field, protowire.BytesType), b)
}

func (e *encoder) truth(field fieldNumber, yes bool) {
	if yes {
		e.number(field, 1)
	}
}

// field is one decoded field: its number in n, or its bytes in b, which stay
// part of the decoded value.
type field struct {
	n uint64
	b []byte
}

// decode calls take for each field of value in order. take returns false for a
// field that it does not know.
func decode(value []byte, take func(number fieldNumber, f field) (known bool, err error)) error {
	for len(value) > 0 {
		number, kind, length := protowire.ConsumeTag(value)
		if length < 0 {
			return errMalformed
		}
		value = value[length:]
		var f field
		switch kind {
		case protowire.VarintType:
			f.n, length = protowire.ConsumeVarint(value)
		case protowire.BytesType:
			f.b, length = protowire.ConsumeBytes(value)
		default:
			length = -1
		}
		if length < 0 {
			return errMalformed
		}
		value = value[length:]
		known, err := take(number, f)
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("%w: unknown field %d", errMalformed, number)
		}
	}
	return nil
}
