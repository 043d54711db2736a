package e2e

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between programs and a server that they reach by TCP, and can lose
// the way: nothing passes any more, no connection is refused and none ends. When
// the way is found again, what was on it arrives after all, late.
type proxy struct {
	testing.TB
	listener net.Listener
	target   string

	mu   sync.Mutex
	open chan struct{} // closed while all passes
}

// startProxy starts a proxy to a base URL. It is gone when the test ends.
func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{TB: t, listener: listener, target: to.Host, open: make(chan struct{})}
	close(p.open)
	var serving sync.WaitGroup
	serving.Go(p.serve)
	t.Cleanup(func() {
		p.find()
		_ = listener.Close()
		serving.Wait()
	})
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// lose loses the way, until find.
func (p *proxy) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

func (p *proxy) find() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
	default:
		close(p.open)
	}
}

func (p *proxy) wait() {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	<-open
}

// serve carries connections until the listener is closed.
func (p *proxy) serve() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.carry(from)
	}
}

func (p *proxy) carry(from net.Conn) {
	defer from.Close()
	p.wait()
	to, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer to.Close()
	go p.copy(from, to)
	p.copy(to, from)
}

// copy carries one direction to its end, and closes the other end then.
func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		p.wait()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
