package engines

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// childVariable makes the test binary a program that starts engines and waits.
const childVariable = "ENLACE_ENGINES_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	os.Exit(Main(m))
}

func child() {
	e, err := Start(context.Background(), Options{SQS: true, KMS: true})
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString(e.SQS() + " " + e.KMS() + "\n")
	select {}
}

func call(t *testing.T, request *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", request.URL, response.Status, err, body)
	}
	return string(body)
}

func awsRequest(t *testing.T, url, service, target, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", target)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+AccessKeyID+"/20260101/"+Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	return request
}

func TestStart_EnginesDoWhatTheirServicesDo(t *testing.T) {
	e, err := Start(t.Context(), Options{DynamoDB: true, SQS: true, KMS: true, Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	for _, c := range []struct{ url, service, target, body, want string }{
		{e.DynamoDB(), "dynamodb", "DynamoDB_20120810.ListTables", "{}", "TableNames"},
		{e.SQS(), "sqs", "AmazonSQS.CreateQueue", `{"QueueName":"q"}`, e.SQS() + "/000000000000/q"},
		{e.KMS(), "kms", "TrentService.CreateKey", "{}", `"KeyId"`},
	} {
		if got := call(t, awsRequest(t, c.url, c.service, c.target, c.body)); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s in it", c.target, got, c.want)
		}
	}
	for _, want := range []string{"AWS_REGION=" + Region, "AWS_ENDPOINT_URL_DYNAMODB=" + e.DynamoDB(), "AWS_ENDPOINT_URL_SQS=" + e.SQS(), "AWS_ENDPOINT_URL_KMS=" + e.KMS()} {
		if !slices.Contains(e.Environ(), want) {
			t.Errorf("environment %q, want %s", e.Environ(), want)
		}
	}
}

func TestWait_AnEngineThatDiesIsAnError(t *testing.T) {
	e, err := Start(t.Context(), Options{KMS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Wait(over); err != nil {
		t.Errorf("Wait until its context ends: %v", err)
	}
	if err := e.kms.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	if err := e.Wait(ctx); err == nil || !strings.Contains(err.Error(), "moto") || !strings.Contains(err.Error(), "Running on") {
		t.Errorf("Wait: %v, want an error that names the engine and shows the end of its log", err)
	}
}

func TestShared_IsStartedOnceAndKept(t *testing.T) {
	var group sync.WaitGroup
	urls := make([]string, 4)
	for i := range urls {
		group.Go(func() { urls[i] = KMS(t) })
	}
	group.Wait()
	if urls[0] == "" || slices.ContainsFunc(urls, func(url string) bool { return url != urls[0] }) {
		t.Errorf("got %q, want one engine", urls)
	}
}

func TestStart_NamesWhatIsMissingAndHowToGetIt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for name, o := range map[string]Options{"java": {DynamoDB: true}, "python3": {KMS: true}} {
		o.Cache = t.TempDir()
		if _, err := Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "needs "+name) || !strings.Contains(err.Error(), "apt-get install") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "java"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	if _, err := Start(t.Context(), Options{SQS: true, Cache: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "needs mvn") {
		t.Errorf("without mvn: %v", err)
	}
}

func TestStart_AnEngineThatCannotServeShowsItsLog(t *testing.T) {
	broken := service{name: "broken", probe: "/", program: func(context.Context, *fetcher) (commandLine, error) {
		return func(int) []string { return []string{"sh", "-c", "echo no such luck; exit 3"} }, nil
	}}
	_, err := broken.start(t.Context(), &fetcher{})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("got %v", err)
	}
}

func TestOnce_FillsOnceAndAgainWhatWasLeftHalf(t *testing.T) {
	dir := t.TempDir()
	var fills atomic.Int32
	fill := func(dir string) error {
		fills.Add(1)
		return os.WriteFile(filepath.Join(dir, "a"), nil, 0o600)
	}
	half := func(dir string) error {
		return errors.Join(os.WriteFile(filepath.Join(dir, "left over"), nil, 0o600), errors.New("cut off"))
	}
	f := &fetcher{dir: dir, progress: io.Discard}
	if _, err := f.once("x", "x", "1", half); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Fatalf("a fetch that fails: %v", err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got, err := (&fetcher{dir: dir, progress: io.Discard}).once("x", "x", "1", fill)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(got, "a")); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(got, "left over")); err == nil {
				t.Error("what was left half is still there")
			}
		})
	}
	group.Wait()
	if n := fills.Load(); n != 1 {
		t.Errorf("filled %d times, want once", n)
	}
	if _, err := f.once("x", "x", "2", fill); err != nil || fills.Load() != 2 {
		t.Errorf("other versions: %v, filled %d times, want twice", err, fills.Load())
	}
}
