package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
)

// statuses are the HTTP statuses of the codes. A code has one status.
var statuses = map[enlace.Code]int{
	enlace.CodeInvalidRequest:       http.StatusBadRequest,
	enlace.CodeInvalidCursor:        http.StatusBadRequest,
	enlace.CodeUnauthorized:         http.StatusUnauthorized,
	enlace.CodeForbidden:            http.StatusForbidden,
	enlace.CodeNotFound:             http.StatusNotFound,
	enlace.CodeNoQR:                 http.StatusNotFound,
	enlace.CodeMessageNotFound:      http.StatusNotFound,
	enlace.CodeChannelNotActive:     http.StatusConflict,
	enlace.CodeNotCancellable:       http.StatusConflict,
	enlace.CodeIdempotencyKeyReused: http.StatusUnprocessableEntity,
	enlace.CodeUnsupportedByType:    http.StatusUnprocessableEntity,
	enlace.CodeRecipientIsSender:    http.StatusUnprocessableEntity,
	enlace.CodeMethodNotAllowed:     http.StatusMethodNotAllowed,
	enlace.CodeNotAcceptable:        http.StatusNotAcceptable,
	enlace.CodeRequestTimeout:       http.StatusRequestTimeout,
	enlace.CodeChannelActive:        http.StatusConflict,
	enlace.CodeNoPasskey:            http.StatusConflict,
	enlace.CodeCursorGone:           http.StatusGone,
	enlace.CodeBodyTooLarge:         http.StatusRequestEntityTooLarge,
	enlace.CodeUnsupportedMedia:     http.StatusUnsupportedMediaType,
	enlace.CodeTypeNotAvailable:     http.StatusUnprocessableEntity,
	enlace.CodeNotOnLambda:          http.StatusNotImplemented,
	enlace.CodeUnavailable:          http.StatusServiceUnavailable,
	enlace.CodeInternal:             http.StatusInternalServerError,
}

// codes are the codes of what the framework refuses by itself, by its status.
var codes = map[int]enlace.Code{
	http.StatusBadRequest:            enlace.CodeInvalidRequest,
	http.StatusUnprocessableEntity:   enlace.CodeInvalidRequest,
	http.StatusNotAcceptable:         enlace.CodeNotAcceptable,
	http.StatusRequestTimeout:        enlace.CodeRequestTimeout,
	http.StatusRequestEntityTooLarge: enlace.CodeBodyTooLarge,
	http.StatusUnsupportedMediaType:  enlace.CodeUnsupportedMedia,
}

// Problem is the body of every failure: RFC 9457, with a stable code.
type Problem struct {
	Title     string      `json:"title" doc:"The status in words." example:"Conflict"`
	Status    int         `json:"status" doc:"The HTTP status." example:"409"`
	Code      enlace.Code `json:"code" doc:"What went wrong, for programs; it never changes." example:"channel_active"`
	Detail    string      `json:"detail" doc:"What went wrong, for people." example:"channel ch_2x7c9k4m0q8v5t1w3z6y is active"`
	Errors    []Violation `json:"errors,omitempty" doc:"Of invalid_request: each thing that is wrong."`
	RequestID string      `json:"requestId,omitempty" doc:"Names the request in the server's log." example:"k3v9x1-2f"`

	cause error // of an internal problem: for the log, never shown
}

// Violation is one thing that is wrong with a request.
type Violation struct {
	Location string `json:"location,omitempty" doc:"Where." example:"body.type"`
	Message  string `json:"message" doc:"What is wrong." example:"expected required property type to be present"`
}

const problemType = "application/problem+json"

// Error, GetStatus and ContentType make a Problem an error of the framework.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is that of problems, whatever the caller accepts.
func (p *Problem) ContentType(string) string { return problemType }

func problem(code enlace.Code, detail string) *Problem {
	status := statuses[code]
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// problemOf is the problem that an error from below is. What is not an
// enlace.Error is internal, or the store or the key service not answering.
func problemOf(err error) *Problem {
	var known *enlace.Error
	switch {
	case errors.As(err, &known) && statuses[known.Code] != 0 && known.Code != enlace.CodeInternal:
		return problem(known.Code, known.Message)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem(enlace.CodeUnavailable, "the request took too long")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return problem(enlace.CodeInvalidRequest, "the request's body ended early")
	case errors.Is(err, store.ErrUnavailable):
		return unavailable("the store does not answer; try again", err)
	case errors.Is(err, seal.ErrUnavailable):
		return unavailable("the key service does not answer; try again", err)
	case errors.Is(err, store.ErrUnknown):
		return unavailable("the store did not say whether it was done; look, or try again", err)
	default:
		p := problem(enlace.CodeInternal, "something went wrong here; the log has it under the request's id")
		p.cause = err
		return p
	}
}

func unavailable(detail string, cause error) *Problem {
	p := problem(enlace.CodeUnavailable, detail)
	p.cause = cause
	return p
}

// refused is the problem that the framework found with a request: status and
// message are its own, errs the details.
func refused(status int, message string, errs []error) *Problem {
	code, known := codes[status]
	if !known {
		code = enlace.CodeInternal
	}
	p := problem(code, message)
	if code == enlace.CodeInternal {
		p.cause = errors.Join(append([]error{errors.New(message)}, errs...)...)
		p.Detail = "something went wrong here; the log has it under the request's id"
		return p
	}
	for _, err := range errs {
		p.Errors = append(p.Errors, violation(err))
	}
	if len(p.Errors) > 0 {
		p.Detail = p.Errors[0].describe()
	}
	if code == enlace.CodeUnsupportedMedia {
		p.Detail, p.Errors = "bodies are JSON: send Content-Type: application/json", nil
	}
	return p
}

// violation leaves out the value: it may be a secret.
func violation(err error) Violation {
	if detailed, ok := err.(huma.ErrorDetailer); ok {
		detail := detailed.ErrorDetail()
		return Violation{Location: detail.Location, Message: detail.Message}
	}
	return Violation{Message: err.Error()}
}

func (v Violation) describe() string {
	if v.Location == "" {
		return v.Message
	}
	return v.Location + ": " + v.Message
}

// The framework asks a package variable how to make errors, and keeps more of
// its behaviour in others: they are set once, here, for the one API of a program.
func init() {
	huma.NewErrorWithContext = func(_ huma.Context, status int, message string, errs ...error) huma.StatusError {
		return newError(status, message, errs...)
	}
	huma.NewError = newError
	huma.DefaultArrayNullable = false // lists are never null
	huma.ValidateStrictCasing = true  // "Type" is not "type", but an unknown field
}

// newError is called with what a handler returned as the one error of a 500, and
// with the framework's own findings otherwise.
func newError(status int, message string, errs ...error) huma.StatusError {
	if status >= http.StatusInternalServerError && len(errs) == 1 && errs[0] != nil {
		return problemOf(errs[0])
	}
	return refused(status, message, errs)
}

// finish sees every answer before it is sent: it completes a problem, and takes
// from a 304 the type of a body that it does not have.
func (e *edge) finish(ctx huma.Context, status string, body any) (any, error) {
	r, w := humachi.Unwrap(ctx)
	if p, ok := body.(*Problem); ok {
		e.complete(w, r, p)
	}
	if status == notModified {
		w.Header().Del("Content-Type")
	}
	return body, nil
}

const notModified = "304"

// complete gives a problem its request's id, and its headers to the answer, and
// logs the cause, if nobody else would ever see it.
func (e *edge) complete(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.RequestID = w.Header().Get(requestIDHeader)
	w.Header().Set("Cache-Control", "no-store")
	if p.Code == enlace.CodeUnavailable && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", strconv.Itoa(retryUnavailable))
	}
	if p.cause != nil {
		e.log.Error("request failed", "request", p.RequestID, "method", r.Method, "path", r.URL.Path, "code", p.Code, "error", p.cause)
	}
}

// retryUnavailable is after how many seconds a store that did not answer is worth another try.
const retryUnavailable = 2

// write answers with a problem where no operation was reached.
func (e *edge) write(w http.ResponseWriter, r *http.Request, p *Problem) {
	e.complete(w, r, p)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		e.log.Debug("problem not sent", "request", p.RequestID, slog.Any("error", err))
	}
}
