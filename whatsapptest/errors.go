package whatsapptest

import (
	"fmt"
	"net/http"
)

// Error is what the control API and its Go methods answer to what cannot be done.
type Error struct {
	Status  int    `json:"-"`       // the HTTP status
	Code    string `json:"code"`    // stable, for programs
	Message string `json:"message"` // for people
}

var _ error = (*Error)(nil)

func (e *Error) Error() string { return e.Message }

// badRequest is an Error 400.
func badRequest(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// notFound is an Error 404.
func notFound(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusNotFound, Code: code, Message: fmt.Sprintf(format, args...)}
}

// badGateway is an Error 502: a client did not play its part.
func badGateway(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadGateway, Code: code, Message: fmt.Sprintf(format, args...)}
}

// conflict is an Error 409.
func conflict(code, format string, args ...any) *Error {
	return &Error{Status: http.StatusConflict, Code: code, Message: fmt.Sprintf(format, args...)}
}
