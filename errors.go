package enlace

import (
	"errors"
	"fmt"
)

// Code is the stable name of an error, for programs.
type Code string

// The codes of errors that callers meet.
const (
	CodeInvalidRequest       Code = "invalid_request"    // the request does not say what it must
	CodeUnauthorized         Code = "unauthorized"       // no key, or not a valid one
	CodeForbidden            Code = "forbidden"          // a valid key whose role is too small
	CodeNotFound             Code = "not_found"          // no such thing for this caller
	CodeMethodNotAllowed     Code = "method_not_allowed" // the path exists, with other methods
	CodeNotAcceptable        Code = "not_acceptable"     // no representation that the caller accepts
	CodeRequestTimeout       Code = "request_timeout"    // the body did not come in time
	CodeBodyTooLarge         Code = "body_too_large"
	CodeUnsupportedMedia     Code = "unsupported_media_type"
	CodeChannelActive        Code = "channel_active"         // asked to connect what is connected
	CodeTypeNotAvailable     Code = "type_not_available"     // no strategy for the type in this program
	CodeNoQR                 Code = "no_qr"                  // the channel shows no QR code now
	CodeNoPasskey            Code = "no_passkey"             // the channel asks for no passkey now
	CodeMessageNotFound      Code = "message_not_found"      // no such message in this channel, or not kept any more
	CodeNotCancellable       Code = "not_cancellable"        // the message is on its way, or has ended
	CodeIdempotencyKeyReused Code = "idempotency_key_reused" // with another body
	CodeRecipientIsSender    Code = "recipient_is_sender"    // a channel does not write to its own number
	CodeUnsupportedByType    Code = "unsupported_by_type"    // channels of this type cannot do that
	CodeInvalidCursor        Code = "invalid_cursor"         // not a cursor
	CodeCursorGone           Code = "cursor_gone"            // a cursor of another generation, or past what is kept
	CodeNotOnLambda          Code = "not_on_lambda"          // a stream, where answers leave whole
	CodeUnavailable          Code = "unavailable"            // the store does not answer; try again
	CodeInternal             Code = "internal"
)

// Error is a failure that the caller may be told of. Everything else is internal
// and never shown.
type Error struct {
	Code    Code
	Message string // for people; one sentence, no secrets
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the Error in err's chain, or CodeInternal.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
