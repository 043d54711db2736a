package api

import (
	"crypto/rand"
	"fmt"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/go-chi/chi/v5"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/handlers"
)

const requestIDHeader = "X-Request-Id"

// outermost wraps everything: no panic passes it, every request has an id, and
// no body that is too large is read.
func (e *edge) outermost(next http.Handler) http.Handler {
	ids := newRequestIDs()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h[requestIDHeader] = []string{ids.of(r)}
		h["X-Content-Type-Options"] = []string{"nosniff"}
		defer e.recover(w, r)
		if r.ContentLength > handlers.MaxBody {
			e.write(w, r, problem(enlace.CodeBodyTooLarge, fmt.Sprintf("a request body has at most %d bytes", handlers.MaxBody)))
			return
		}
		joinLines(r.Header, "If-None-Match")
		joinLines(r.Header, "Prefer")
		joinLines(r.Header, "Accept")
		plainMediaType(r.Header)
		next.ServeHTTP(w, r)
	})
}

// recover turns a panic into a 500. It never panics again: where the API runs
// inside a function runtime that would end the process.
func (e *edge) recover(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	p := problem(enlace.CodeInternal, "something went wrong here; the log has it under the request's id")
	p.cause = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
	e.write(w, r, p)
}

// joinLines makes one line of a list header that came on several, so that
// whoever reads the first reads all.
func joinLines(h http.Header, name string) {
	if lines := h[name]; len(lines) > 1 {
		h[name] = []string{strings.Join(lines, ", ")}
	}
}

// plainMediaType takes parameters and upper case from the type of a body, in
// which whoever reads it would see another type.
func plainMediaType(h http.Header) {
	given := h.Get("Content-Type")
	if given == "" || given == "application/json" {
		return
	}
	if mediaType, _, err := mime.ParseMediaType(given); err == nil {
		h.Set("Content-Type", mediaType)
	}
}

// requestIDs gives a request its name in logs and problems: the caller's, if it
// sent one that can be an identifier, or one that is unique for as long as logs live.
type requestIDs struct {
	process string
	count   atomic.Uint64
}

func newRequestIDs() *requestIDs {
	return &requestIDs{process: strings.ToLower(rand.Text()[:8]) + "-"}
}

func (ids *requestIDs) of(r *http.Request) string {
	if id := r.Header.Get(requestIDHeader); id != "" && enlace.ValidID(id) {
		return id
	}
	return ids.process + strconv.FormatUint(ids.count.Add(1), 36)
}

func (e *edge) unknownPath(w http.ResponseWriter, r *http.Request) {
	e.write(w, r, problem(enlace.CodeNotFound, "there is nothing at this path"))
}

var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// wrongMethod tells which methods the path has.
func (e *edge) wrongMethod(w http.ResponseWriter, r *http.Request) {
	routes, path := chi.RouteContext(r.Context()).Routes, r.URL.EscapedPath()
	var allowed []string
	for _, method := range methods {
		as := method
		if method == http.MethodHead {
			as = http.MethodGet // answered like GET
		}
		if routes.Match(chi.NewRouteContext(), as, path) {
			allowed = append(allowed, method)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	e.write(w, r, problem(enlace.CodeMethodNotAllowed, "this path has the methods "+strings.Join(allowed, ", ")))
}
