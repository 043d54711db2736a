package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// upgraded answers every request with one end of a pipe.
type upgraded struct{ far net.Conn }

func (u *upgraded) RoundTrip(*http.Request) (*http.Response, error) {
	near, far := net.Pipe()
	u.far = far
	return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: near}, nil
}

// dialedWire returns a wire, its connection and the server's end of it.
func dialedWire(t *testing.T, fresh func() error, stale func(error)) (*wire, io.ReadWriteCloser, net.Conn) {
	t.Helper()
	var base upgraded
	w := newWire(&base, fresh, stale)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://web.whatsapp.com/ws/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	rwc := resp.Body.(io.ReadWriteCloser)
	t.Cleanup(func() {
		rwc.Close()
		base.far.Close()
	})
	return w, rwc, base.far
}

func alwaysFresh() error { return nil }

func TestWire_CloseWaitsForTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, rwc, far := dialedWire(t, alwaysFresh, nil)
		w.ready.give()
		handled := make(chan struct{})
		go func() {
			buf := make([]byte, 10)
			for {
				if _, err := rwc.Read(buf); err != nil {
					return
				}
				time.Sleep(300 * time.Millisecond) // a frame that somebody must take
				close(handled)
			}
		}()
		if _, err := far.Write([]byte("frame")); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		w.close()
		select {
		case <-handled:
		default:
			t.Error("closed with a frame in the reader's hands")
		}
		within(t, "closed", time.Since(begin), 300*time.Millisecond, 0)
		if _, err := rwc.Write([]byte("x")); !errors.Is(err, errShut) {
			t.Errorf("a write after close: %v, want %v", err, errShut)
		}
	})
}

func TestWire_CloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := dialedWire(t, alwaysFresh, nil)
		begin := time.Now()
		w.close()
		within(t, "closed", time.Since(begin), closeWait, 0)
	})
}

func TestWire_DialsOnceAndNotAfterItsEnd(t *testing.T) {
	w, _, _ := dialedWire(t, alwaysFresh, nil)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://web.whatsapp.com/ws/chat", nil)
	if _, err := w.RoundTrip(req); !errors.Is(err, errShut) {
		t.Errorf("a second connection: %v, want %v", err, errShut)
	}
	w = newWire(&upgraded{}, alwaysFresh, nil)
	w.close()
	if _, err := w.RoundTrip(req); !errors.Is(err, errShut) {
		t.Errorf("a connection after the end: %v, want %v", err, errShut)
	}
}

func TestConn_StaleLeaseKeepsWritesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := error(nil)
		told := make(chan error, 10)
		_, rwc, far := dialedWire(t, func() error { return lease }, func(err error) { told <- err })
		go io.Copy(io.Discard, far)
		if _, err := rwc.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		lease = errTest
		if _, err := rwc.Write([]byte("x")); !errors.Is(err, errStale) {
			t.Errorf("a write without a lease: %v, want %v", err, errStale)
		}
		lease = nil
		if _, err := rwc.Write([]byte("x")); err == nil {
			t.Error("a write after the lease was once lost went through")
		}
		synctest.Wait()
		if len(told) != 1 || !errors.Is(<-told, errTest) {
			t.Error("the lease's loss was not told once")
		}
	})
}

// TestConn_EndBeforeAnAnswer has the connection end at each moment of a handshake.
func TestConn_EndBeforeAnAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		ask, answer bool
		broken      bool // a broken frame is read before the end
	}{
		"before a word":      {false, false, false},
		"after the question": {true, false, true},
		"after the answer":   {true, true, false},
		"answer to nothing":  {false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, rwc, far := dialedWire(t, alwaysFresh, nil)

			buf := make([]byte, 100)
			if tc.ask {
				go far.Read(make([]byte, 10))
				if _, err := rwc.Write([]byte("hello")); err != nil {
					t.Fatal(err)
				}
			}
			if tc.answer {
				go far.Write([]byte("hello"))
				if n, err := rwc.Read(buf); err != nil || string(buf[:n]) != "hello" {
					t.Fatalf("read %q, %v", buf[:n], err)
				}
			}
			far.Close()
			if tc.broken {
				if n, err := rwc.Read(buf); err != nil || !bytes.Equal(buf[:n], brokenFrame) {
					t.Fatalf("read %x, %v; want a broken frame", buf[:n], err)
				}
			}
			w.ready.give()
			n, err := rwc.Read(buf)
			if n != 0 || !errors.Is(err, io.EOF) {
				t.Errorf("read %x, %v; want the end", buf[:n], err)
			}
			if !w.lost.wasGiven() {
				t.Error("the connection is not known to be lost")
			}
		})
	}
}

func TestConn_EndWaitsForTheDialToReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, rwc, far := dialedWire(t, alwaysFresh, nil)
		ended := make(chan error, 1)
		go func() {
			_, err := rwc.Read(make([]byte, 10))
			ended <- err
		}()
		far.Close()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("read %v while the dial had not returned", err)
		default:
		}
		w.ready.give()
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("read %v, want the end", err)
		}
	})
}
