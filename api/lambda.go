package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/enlacehq/enlace"
)

// MaxLambdaHold caps Prefer: wait on Lambda, where a second of waiting costs as
// much as one of work: many short polls are cheaper than one that is held.
const MaxLambdaHold = 5 * time.Second

// LambdaHandler answers one event of an HTTP API of API Gateway, in its payload
// format 2.0. It returns no error: what goes wrong is an answer too.
type LambdaHandler func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// NewLambda returns the API as an AWS Lambda function. A hold ends after
// MaxLambdaHold, and what would stream is refused: an answer leaves the function whole.
func NewLambda(c Config) LambdaHandler {
	c = c.withDefaults()
	c.MaxHold = min(c.MaxHold, MaxLambdaHold)
	return onLambda(New(c), c.Log)
}

// onLambda returns next as a function.
func onLambda(next http.Handler, log *slog.Logger) LambdaHandler {
	f := &function{next: next, edge: &edge{log: log}}
	return func(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		w := newWhole()
		f.serve(ctx, w, event)
		return f.answer(event.RequestContext.HTTP.Method, w), nil
	}
}

type function struct {
	next http.Handler
	edge *edge
}

// serve has the event answered into w. No panic passes it: that would end the
// process.
func (f *function) serve(ctx context.Context, w *whole, event events.APIGatewayV2HTTPRequest) {
	r, err := request(ctx, event)
	if err != nil {
		f.refuse(w, r, problem(enlace.CodeInvalidRequest, err.Error()))
		return
	}
	defer f.recover(w, r)
	if streams(r) {
		f.refuse(w, r, problem(enlace.CodeNotOnLambda, "this installation does not stream: read …/events with Prefer: wait, which holds an answer until there is something in it"))
		return
	}
	f.next.ServeHTTP(w, r)
}

// recover answers 500 in place of all that was written before a panic.
func (f *function) recover(w *whole, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	*w = *newWhole()
	p := problem(enlace.CodeInternal, "something went wrong here; the log has it under the request's id")
	p.cause = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
	f.refuse(w, r, p)
}

func (f *function) refuse(w http.ResponseWriter, r *http.Request, p *Problem) {
	w.Header().Set(requestIDHeader, r.Header.Get(requestIDHeader))
	f.edge.write(w, r, p)
}

// streams reports whether a request asks for what does not end: a websocket, or
// events as a stream.
func streams(r *http.Request) bool {
	switch path := r.URL.Path; {
	case !strings.HasPrefix(path, "/v1/companies/"):
		return false
	case strings.HasSuffix(path, "/ws"):
		return true
	default:
		return strings.HasSuffix(path, "/events") && strings.Contains(r.Header.Get("Accept"), "text/event-stream")
	}
}

// request is the HTTP request that the event tells of. With an error it has no body.
func request(ctx context.Context, event events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	from, where := event.RequestContext, location(event)
	r := &http.Request{
		Method: from.HTTP.Method, URL: where, RequestURI: where.RequestURI(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody,
		RemoteAddr: net.JoinHostPort(from.HTTP.SourceIP, "0"), // the port is not told
	}
	for name, value := range event.Headers { // one value: what came on several lines is joined by commas
		r.Header.Set(name, value)
	}
	if len(event.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(event.Cookies, "; "))
	}
	if r.Host = r.Header.Get("Host"); r.Host == "" {
		r.Host = from.DomainName
	}
	r.Header.Del("Host")
	if !enlace.ValidID(r.Header.Get(requestIDHeader)) {
		r.Header.Set(requestIDHeader, requestID(ctx, from.RequestID))
	}
	body := []byte(event.Body)
	if event.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
			return r.WithContext(ctx), errors.New("the body is not in base64, as the event says it is")
		}
	}
	if len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return r.WithContext(ctx), nil
}

// requestID is the invocation's, under which the platform logs too.
func requestID(ctx context.Context, gateways string) string {
	if invocation, ok := lambdacontext.FromContext(ctx); ok {
		return invocation.AwsRequestID
	}
	return gateways
}

// location is the URL of the event. Its path comes encoded or, from some front
// ends, decoded already; and below the stage's name, unless that is the default.
func location(event events.APIGatewayV2HTTPRequest) *url.URL {
	raw := event.RawPath
	if stage := event.RequestContext.Stage; stage != "" && stage != "$default" {
		if below, ok := strings.CutPrefix(raw, "/"+stage); ok && strings.HasPrefix(below+"/", "/") {
			raw = below
		}
	}
	if !strings.HasPrefix(raw, "/") {
		raw = "/" + raw
	}
	path, err := url.PathUnescape(raw)
	if err != nil {
		path = raw
	}
	where := &url.URL{Path: path, RawPath: raw, RawQuery: event.RawQueryString}
	if encoded := (&url.URL{Path: path}).EscapedPath(); where.EscapedPath() != raw || encoded == raw {
		where.RawPath = "" // as net/http has it: only where the path does not say it
	}
	return where
}

// The platform takes answers of 6 MB. As a JSON string a text can grow to twice
// its size and more, in base64 by a third: what is larger than maxPlain bytes goes out so.
const (
	maxPlain  = 1 << 20
	maxAnswer = 6_000_000
)

// answer is what was written to w, as the answer to an event.
func (f *function) answer(method string, w *whole) events.APIGatewayV2HTTPResponse {
	if base64.StdEncoding.EncodedLen(w.body.Len()) > maxAnswer {
		p := problem(enlace.CodeInternal, "the answer is too large for this installation")
		p.cause = fmt.Errorf("an answer of %d bytes", w.body.Len())
		r := &http.Request{Method: method, URL: &url.URL{}, Header: http.Header{requestIDHeader: w.sent[requestIDHeader]}}
		w = newWhole()
		f.refuse(w, r, p)
	}
	w.WriteHeader(http.StatusOK) // unless there was one
	answer := events.APIGatewayV2HTTPResponse{StatusCode: w.status, Headers: map[string]string{}}
	for name, values := range w.sent {
		if name == "Set-Cookie" {
			answer.Cookies = values // the one header that cannot be joined
			continue
		}
		answer.Headers[name] = strings.Join(values, ", ")
	}
	body := w.body.Bytes()
	switch {
	case method == http.MethodHead, w.status == http.StatusNoContent, w.status == http.StatusNotModified:
	case len(body) > maxPlain || !utf8.Valid(body):
		answer.Body, answer.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	default:
		answer.Body = string(body)
	}
	return answer
}

// whole is an answer that is kept until it is complete.
type whole struct {
	header http.Header
	status int
	sent   http.Header // as it was when the status was written
	body   bytes.Buffer
}

var _ http.ResponseWriter = (*whole)(nil)

func newWhole() *whole { return &whole{header: http.Header{}} }

func (w *whole) Header() http.Header { return w.header }

func (w *whole) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *whole) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
