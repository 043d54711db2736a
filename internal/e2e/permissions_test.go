package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/enlacehq/enlace/internal/engines"
)

// role is a role of the installation's template, and what it lets a process do.
type role struct {
	testing.TB
	name    string
	actions []string
	index   bool // the table's index may be queried

	mu      sync.Mutex
	refused map[string]bool
}

// the prefixes of actions, by the first part of the header that names an operation.
var services = map[string]string{"DynamoDB_20120810": "dynamodb:", "AmazonSQS": "sqs:", "TrentService": "kms:"}

// parts are the actions that an operation asks for under another name than its own.
var parts = map[string][]string{
	"dynamodb:TransactWriteItems":      {"dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:ConditionCheckItem"},
	"sqs:SendMessageBatch":             {"sqs:SendMessage"},
	"sqs:DeleteMessageBatch":           {"sqs:DeleteMessage"},
	"sqs:ChangeMessageVisibilityBatch": {"sqs:ChangeMessageVisibility"},
}

var anAction = regexp.MustCompile(`(dynamodb|sqs|kms):[A-Z]\w+`)

// roleOf reads a role of the template.
func roleOf(t testing.TB, name string) *role {
	t.Helper()
	template, err := os.ReadFile(filepath.Join("..", "..", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(template), "\n  "+name+":\n")
	if !found {
		t.Fatalf("want a role %s in the template", name)
	}
	section = section[:regexp.MustCompile(`(?m)^  \S`).FindStringIndex(section)[0]]
	return &role{TB: t, name: name, actions: anAction.FindAllString(section, -1), index: strings.Contains(section, "/index/"), refused: map[string]bool{}}
}

// may returns whether the role has all that an operation asks for.
func (r *role) may(action string, body []byte) bool {
	if action == "dynamodb:Query" && bytes.Contains(body, []byte(`"IndexName"`)) && !r.index {
		return false
	}
	needed, ok := parts[action]
	if !ok {
		needed = []string{action}
	}
	for _, need := range needed {
		if !strings.Contains(" "+strings.Join(r.actions, " ")+" ", " "+need+" ") {
			return false
		}
	}
	return true
}

// settings brings a process to the engines as the role does to AWS: what the role
// does not allow is refused, and fails the test.
func (r *role) settings() []string {
	r.Helper()
	r.Cleanup(func() {
		for action := range r.refused {
			r.Errorf("%s: want no %s asked for, or the role to allow it", r.name, action)
		}
	})
	return []string{
		"AWS_ENDPOINT_URL_DYNAMODB=" + r.before(engines.DynamoDB(r)),
		"AWS_ENDPOINT_URL_SQS=" + r.before(engines.SQS(r)),
		"AWS_ENDPOINT_URL_KMS=" + r.before(engines.KMS(r)),
	}
}

// before puts the role before an engine and returns where.
func (r *role) before(engine string) string {
	r.Helper()
	to, err := url.Parse(engine)
	if err != nil {
		r.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to); p.Out.Host = p.In.Host }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		service, operation, _ := strings.Cut(request.Header.Get("X-Amz-Target"), ".")
		if action := services[service] + operation; !r.may(action, body) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.refused[action] = true
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"AccessDeniedException","message":"the role does not allow `+action+`"}`)
			return
		}
		proxy.ServeHTTP(w, request)
	}))
	r.Cleanup(front.Close)
	return front.URL
}

// The roles let nobody do more than they must: the API opens nothing that is
// sealed and receives no jobs, and nobody makes, changes or removes what is there.
func TestTemplate_RolesAreNoLargerThanTheyMustBe(t *testing.T) {
	t.Parallel()
	api, worker := roleOf(t, "ApiRole"), roleOf(t, "WorkerRole")
	for _, action := range []string{"kms:Decrypt", "kms:Encrypt", "sqs:ReceiveMessage", "sqs:DeleteMessage", "dynamodb:DescribeTable"} {
		if api.may(action, nil) {
			t.Errorf("want no %s for the API", action)
		}
	}
	if !api.may("kms:GenerateDataKey", nil) || !worker.may("kms:Decrypt", nil) {
		t.Error("want the API to seal and the worker to open, or this test reads nothing")
	}
	for _, r := range []*role{api, worker} {
		for _, action := range r.actions {
			if strings.Contains(action, "Create") || strings.Contains(action, "Table") && action != "dynamodb:DescribeTable" || strings.HasSuffix(action, "Queue") {
				t.Errorf("%s: want no %s", r.name, action)
			}
		}
	}
}
