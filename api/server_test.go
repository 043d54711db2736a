package api_test

import (
	"net/http/httptest"
)

// serve puts the API behind a real server.
func (b *bundle) serve() *httptest.Server {
	server := httptest.NewServer(b.handler)
	b.Cleanup(server.Close)
	return server
}
