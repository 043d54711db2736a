//go:build !linux

package whatsapptest

import "net"

// hungUp says whether the end of a connection has arrived, read or not. Only
// Linux tells; elsewhere an end that is not read yet has not arrived.
func hungUp(c net.Conn) bool {
	p, ok := c.(*pipeEnd)
	return ok && p.other.Load()
}
