package dynamodb_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/store/dynamodb"
)

// proxy stands before the engine and does to requests what a network or a busy
// engine may.
type proxy struct {
	testing.TB
	url    string
	engine string

	mu    sync.Mutex
	rule  func(request) fate
	asked []request
}

// request is one that came by.
type request struct {
	operation string // as "PutItem"
	body      string
}

// fate is what becomes of a request.
type fate struct {
	lost   bool   // it does not reach the engine
	status int    // the answer's, instead of the engine's
	body   string // of that answer
	cut    bool   // the connection ends without an answer
	hang   bool   // no answer comes
}

var (
	pass         = fate{}
	cutBefore    = fate{lost: true, cut: true}
	cutAfter     = fate{cut: true}
	hangBefore   = fate{lost: true, hang: true}
	hangAfter    = fate{hang: true}
	failedBefore = fate{lost: true, status: 500, body: awsError("InternalServerError")}
	failedAfter  = fate{status: 500, body: awsError("InternalServerError")}
	awayBefore   = fate{lost: true, status: 503, body: "away"}
	awayAfter    = fate{status: 503, body: "away"}
	throttled    = refusal("ProvisionedThroughputExceededException")
)

func awsError(code string) string {
	return `{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"so the test will have it"}`
}

// refusal is the answer of an engine that has done nothing.
func refusal(code string) fate { return fate{lost: true, status: 400, body: awsError(code)} }

func newProxy(t testing.TB) *proxy {
	t.Helper()
	p := &proxy{TB: t, engine: engines.DynamoDB(t)}
	server := httptest.NewServer(p)
	p.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

// behind returns a table behind a new proxy that lets everything pass.
func behind(t testing.TB, o dynamodb.Options) (*dynamodb.DB, *proxy) {
	t.Helper()
	p := newProxy(t)
	o.Endpoint = p.url
	return create(t, tableName(), o), p
}

// next makes these the fates of the next requests; all that follow pass.
func (p *proxy) next(fates ...fate) {
	p.set(func(request) fate {
		if len(fates) == 0 {
			return pass
		}
		first := fates[0]
		fates = fates[1:]
		return first
	})
}

func (p *proxy) set(rule func(request) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule, p.asked = rule, nil
}

// operations are those of the requests that came by since the last set or next.
func (p *proxy) operations() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, len(p.asked))
	for i, r := range p.asked {
		names[i] = r.operation
	}
	return strings.Join(names, " ")
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f := p.fateOf(request{operation, string(body)})
	var answer *http.Response
	if !f.lost {
		forward, err := http.NewRequest(r.Method, p.engine+r.URL.Path, bytes.NewReader(body))
		if err != nil {
			p.Error(err)
			return
		}
		forward.Header = r.Header.Clone()
		if answer, err = http.DefaultClient.Do(forward); err != nil {
			p.Error(err)
			return
		}
		defer answer.Body.Close()
	}
	switch {
	case f.hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.cut:
		panic(http.ErrAbortHandler)
	case f.status != 0:
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, f.body)
		return
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

func (p *proxy) fateOf(r request) fate {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r)
	if p.rule == nil {
		return pass
	}
	return p.rule(r)
}
