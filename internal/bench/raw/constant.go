package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"
)

// serveConstant answers every poll of a channel with a 304 that never changes:
// the least that a router and net/http can do for a request.
func serveConstant(addr string) error {
	router := chi.NewRouter()
	router.Get("/v1/companies/{companyId}/channels/{channelId}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"7"`)
		w.WriteHeader(http.StatusNotModified)
	})
	return http.ListenAndServe(addr, router) //nolint:gosec // a loopback address, for seconds
}
