package whatsapptest

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp says whether the end of a connection has arrived, read or not. A busy
// server may not have read it when the client is back already.
func hungUp(c net.Conn) bool {
	if p, ok := c.(*pipeEnd); ok {
		return p.other.Load()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	var gone bool
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}
