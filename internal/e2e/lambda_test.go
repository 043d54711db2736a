package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/engines"
)

// lambdaTests are run with the API as a function, under AWS's emulator of Lambda,
// and workers beside it on the engines, all with no more rights than the template
// gives them.
var lambdaTests = map[string]func(*testing.T){
	"Story_QR":            TestStory_QR,
	"Story_TextsBothWays": TestStory_TextsBothWays,
	"Story_Passkey":       TestStory_Passkey,
	"Delete":              TestDelete_UnlinksAndForgets,
	"Refusals":            lambdaRefusals,
}

func TestLambda(t *testing.T) {
	t.Parallel()
	for name, test := range lambdaTests {
		t.Run(name, test)
	}
}

// What streams, and who has no key, is refused by the function; nothing that is
// asked of it ends its process.
func lambdaRefusals(t *testing.T) {
	t.Parallel()
	i := install(t, startWhatsApp(t))
	s := i.serve()
	c := s.connect("default")
	refused := s.call(http.StatusNotImplemented, http.MethodGet, path(c)+"/events", "", "Accept", "text/event-stream").problem(t)
	if refused.Code != enlace.CodeNotOnLambda || !strings.Contains(refused.Detail, "Prefer: wait") {
		t.Errorf("want not_on_lambda, and the way to do it, got %+v", refused)
	}
	s.call(http.StatusBadRequest, http.MethodPost, channels, "{\x00")
	s.call(http.StatusUnauthorized, http.MethodGet, channels, "", "Authorization", "Bearer none")
	c = s.untilQR(c)
	held := time.Now()
	a := s.call(http.StatusNotModified, http.MethodGet, path(c), "", "If-None-Match", fmt.Sprintf(`"%d"`, c.Version), "Prefer", "wait=20")
	if got, took := a.header.Get("Preference-Applied"), time.Since(held); got != "wait=5" || took > 15*time.Second {
		t.Errorf("want a hold of 5 s, got %q after %v", got, took)
	}
	if starts := strings.Count(s.out.String(), "Init Duration"); starts != 1 {
		t.Errorf("want one start of the function, got %d", starts)
	}
}

// emulate starts the function under the emulator, with what stands in for API
// Gateway before it, and returns its process and where the API is.
func (i *installation) emulate() (*process, string) {
	i.Helper()
	if err := buildFunction(); err != nil {
		i.Fatal(err)
	}
	emulator := engines.LambdaEmulator(i)
	invoke, runtime := freeAddr(i), freeAddr(i)
	p := start(i.TB, "serve", slices.Concat(i.env, roleOf(i, "ApiRole").settings(), []string{"AWS_LAMBDA_FUNCTION_TIMEOUT=28"}), emulator,
		"--runtime-interface-emulator-address", invoke, "--runtime-api-address", runtime, "--log-level", "error", functionBin())
	g := &gateway{TB: i.TB, function: "http://" + invoke + "/2015-03-31/functions/function/invocations"}
	front := httptest.NewServer(g)
	i.Cleanup(front.Close)
	eventually(i, "the function to answer", soon, func() bool {
		response, err := http.Get(front.URL + "/healthz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p, front.URL
}

func functionBin() string { return filepath.Join(filepath.Dir(enlaceBin), "bootstrap") }

// buildFunction builds the function as it is deployed: for Linux, static.
var buildFunction = sync.OnceValue(func() error {
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", functionBin(), "./cmd/lambda")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("the function does not build: %w\n%s", err, out)
	}
	return nil
})

// gateway is what API Gateway is to the function: it makes events of requests,
// as its HTTP APIs do in payload format 2.0, and answers of what comes back.
type gateway struct {
	testing.TB
	function string // where it is invoked

	turn sync.Mutex // the emulator takes one event at a time
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.turn.Lock()
	defer g.turn.Unlock()
	answer, err := g.invoke(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for name, value := range answer.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range answer.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	body := []byte(answer.Body)
	if answer.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(answer.Body); err != nil {
			g.Errorf("an answer that is not in base64: %v", err)
		}
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(body)
}

func (g *gateway) invoke(r *http.Request) (events.APIGatewayV2HTTPResponse, error) {
	var answer events.APIGatewayV2HTTPResponse
	event, err := eventOf(r)
	if err != nil {
		return answer, err
	}
	content, err := json.Marshal(event)
	if err != nil {
		return answer, err
	}
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, g.function, bytes.NewReader(content))
	if err != nil {
		return answer, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(got, &answer); err != nil || answer.StatusCode == 0 {
		return answer, fmt.Errorf("the function failed: %s", got)
	}
	return answer, nil
}

// eventOf is the event of a request: its path decoded, the lines of a header
// joined, cookies apart, and a body that is not said to be text in base64.
func eventOf(r *http.Request) (events.APIGatewayV2HTTPRequest, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return events.APIGatewayV2HTTPRequest{}, err
	}
	host, _, _ := strings.Cut(r.RemoteAddr, ":")
	event := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: "$default", RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Headers: map[string]string{"host": r.Host}, Body: string(body),
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			Stage: "$default", RouteKey: "$default", RequestID: "JKJaXmPLvHcESHA=", DomainName: r.Host,
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: host, UserAgent: r.UserAgent(),
			},
		},
	}
	for name, lines := range r.Header {
		if name == "Cookie" {
			event.Cookies = strings.Split(strings.Join(lines, "; "), "; ")
			continue
		}
		event.Headers[strings.ToLower(name)] = strings.Join(lines, ",")
	}
	if kind := r.Header.Get("Content-Type"); len(body) > 0 && !strings.HasPrefix(kind, "text/") && kind != "application/json" {
		event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return event, nil
}
