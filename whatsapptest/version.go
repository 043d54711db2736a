package whatsapptest

import (
	"fmt"
	"net/http"
)

// Version is what the server knows about client versions.
type Version struct {
	// Revision is the client_revision that the version page names.
	Revision uint32 `json:"revision"`
	// Minimum refuses clients of a lower revision with failure 405; 0 refuses none.
	Minimum uint32 `json:"minimum"`
}

// SetVersion changes the revision that the version page names, and the lowest
// that may connect from now on.
func (s *Server) SetVersion(v Version) error {
	if v.Revision == 0 {
		return badRequest("bad_version", "a revision is a positive number")
	}
	s.mu.Lock()
	s.revision, s.lowest = v.Revision, v.Minimum
	s.mu.Unlock()
	return nil
}

// Version returns the revisions in force.
func (s *Server) Version() Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Version{Revision: s.revision, Minimum: s.lowest}
}

// versionPage is the page that clients read the current revision from.
func (s *Server) versionPage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html><title>whatsapptest</title><script>{\"client_revision\":%d,\"test\":true}</script>\n", s.Version().Revision)
}
