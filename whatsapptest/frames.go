package whatsapptest

import (
	"context"
	"errors"
	"fmt"

	"github.com/coder/websocket"
)

// frameMax is the length of the longest frame, in bytes.
const frameMax = 1<<24 - 1

// errHeader says that a client opened with something else than "WA".
var errHeader = errors.New("the connection does not begin with a WhatsApp header")

// frameReader cuts the frames out of websocket messages: a message may carry a
// part of a frame, or several. A frame is its length, 3 bytes big-endian, and
// the bytes.
type frameReader struct {
	ws  *websocket.Conn
	buf []byte
}

// header reads what comes once before the first frame: an optional routing
// prefix, which is skipped, and the 4 bytes "WA", protocol and dictionary
// version, which are returned because Noise mixes them in.
func (r *frameReader) header() ([]byte, error) {
	if err := r.fill(4); err != nil {
		return nil, err
	}
	if r.buf[0] == 'E' && r.buf[1] == 'D' {
		if err := r.fill(7); err != nil {
			return nil, err
		}
		n := 7 + (int(r.buf[4])<<16 | int(r.buf[5])<<8 | int(r.buf[6]))
		if err := r.fill(n + 4); err != nil {
			return nil, err
		}
		r.buf = r.buf[n:]
	}
	header := r.buf[:4:4]
	if header[0] != 'W' || header[1] != 'A' {
		return nil, errHeader
	}
	r.buf = r.buf[4:]
	return header, nil
}

// next returns the next frame. The bytes are the caller's.
func (r *frameReader) next() ([]byte, error) {
	if err := r.fill(3); err != nil {
		return nil, err
	}
	n := int(r.buf[0])<<16 | int(r.buf[1])<<8 | int(r.buf[2])
	if err := r.fill(3 + n); err != nil {
		return nil, err
	}
	frame := r.buf[3 : 3+n : 3+n]
	r.buf = r.buf[3+n:]
	if len(r.buf) == 0 {
		r.buf = nil
	}
	return frame, nil
}

// fill reads messages until n bytes wait.
func (r *frameReader) fill(n int) error {
	for len(r.buf) < n {
		kind, data, err := r.ws.Read(context.Background())
		if err != nil {
			return err
		}
		if kind != websocket.MessageBinary {
			return fmt.Errorf("a websocket message of type %v", kind)
		}
		if len(r.buf) == 0 {
			r.buf = data
			continue
		}
		r.buf = append(r.buf, data...)
	}
	return nil
}

// framed puts the length before payload.
func framed(payload []byte) ([]byte, error) {
	if len(payload) > frameMax {
		return nil, fmt.Errorf("a frame of %d bytes", len(payload))
	}
	frame := make([]byte, 3, 3+len(payload))
	frame[0], frame[1], frame[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	return append(frame, payload...), nil
}
