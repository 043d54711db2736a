package e2e

import (
	"crypto/rand"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/enlacehq/enlace/internal/engines"
)

// installOnEngines is install, on the engines whatever the shape of the others.
func installOnEngines(t testing.TB, w *whatsApp, settings ...string) *installation {
	t.Helper()
	i := &installation{TB: t, shape: engined, data: filepath.Join(tempDir(t), "data")}
	i.env = append(w.env(), "ENLACE_DATA="+i.data)
	i.env = append(append(i.env, i.onEngines()...), settings...)
	return i
}

// What is wrong with a place on AWS is said at start, in one line, by API and
// worker alike, and the line names what to do.
func TestStart_PlacesOnAWS(t *testing.T) {
	t.Parallel()
	w := startWhatsApp(t)
	i := installOnEngines(t, w)
	i.setUp()
	noIndex := "no-index-" + strings.ToLower(rand.Text())
	createTable(t, noIndex)
	queues := engines.SQS(t) + "/000000000000/"

	var starting sync.WaitGroup
	defer starting.Wait()
	for _, test := range []struct {
		setting string
		why     []string
	}{
		{"ENLACE_STORE=dynamodb:no-such-table", []string{"ENLACE_STORE", `no such table "no-such-table"`, "enlace setup"}},
		{"ENLACE_STORE=dynamodb:" + noIndex, []string{"ENLACE_STORE", noIndex, "no index", "enlace setup"}},
		{"ENLACE_QUEUE=sqs:" + queues + "none", []string{"ENLACE_QUEUE", queues + "none", "no such queue", "enlace setup"}},
		{"ENLACE_QUEUE=sqs:jobs", []string{"ENLACE_QUEUE", "not the URL of a queue"}},
		{"ENLACE_SEAL=kms:arn:aws:kms:us-east-1:123456789012:key/none", []string{"ENLACE_SEAL", "key/none"}},
		{"ENLACE_SEAL=kms:mine", []string{"ENLACE_SEAL", "not the ARN"}},
		{"ENLACE_SEAL=file:/no/such/file", []string{"/no/such/file", "enlace setup"}},
		{"AWS_REGION=", []string{"ENLACE_STORE", "AWS_REGION"}},
		{"AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:1", []string{"ENLACE_STORE", "127.0.0.1:1"}},
		{"AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1", []string{"ENLACE_QUEUE"}},
		{"AWS_ENDPOINT_URL_KMS=http://127.0.0.1:1", []string{"ENLACE_SEAL"}},
	} {
		for _, args := range [][]string{{"api", "--addr", "127.0.0.1:0"}, {"worker"}} {
			env := append(append([]string{}, i.env...), test.setting)
			p := start(t, args[0], env, enlaceBin, args...)
			starting.Go(func() { p.refuses(test.why...) })
		}
	}
}

// createTable makes a table with enlace's key and nothing else.
func createTable(t testing.TB, name string) {
	t.Helper()
	body := `{"TableName":"` + name + `","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"S"},{"AttributeName":"SK","AttributeType":"S"}],
		"KeySchema":[{"AttributeName":"PK","KeyType":"HASH"},{"AttributeName":"SK","KeyType":"RANGE"}]}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, engines.DynamoDB(t), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810.CreateTable")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+engines.AccessKeyID+"/20260101/"+engines.Region+"/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("create table: %s %s %v", response.Status, answer, err)
	}
}

// Several set up one installation at once: all succeed, one prints the key, and
// what they made serves.
func TestSetup_OnAWS(t *testing.T) {
	t.Parallel()
	i := installOnEngines(t, startWhatsApp(t))
	runs := []*process{i.run("setup", "setup"), i.run("setup", "setup"), i.run("setup", "setup")}
	var keys []string
	for _, p := range runs {
		if code := p.exit(soon); code != 0 {
			t.Fatalf("setup: want exit code 0, got %d: %s", code, p.log)
		}
		if key := strings.TrimSpace(p.out.String()); key != "" {
			rememberKey(key)
			keys = append(keys, key)
		}
	}
	if len(keys) != 1 {
		t.Fatalf("want one key printed, got %d", len(keys))
	}
	again := i.run("setup", "setup")
	if code := again.exit(soon); code != 0 || again.out.String() != "" || strings.Contains(again.log.String(), ": made") {
		t.Errorf("want nothing made and exit code 0, got %d: %s", code, again.log)
	}
	worker := i.run("worker", "worker")
	api := i.run("api", "api", "--addr", "127.0.0.1:0")
	s := &server{process: api, workers: []*process{worker}, url: api.after("enlace listens on "), key: keys[0]}
	s.untilQR(s.connect("default"))

	create := i.run("keys", "keys", "create", "--company", "acme", "--role", "viewer")
	if code := create.exit(soon); code != 0 {
		t.Fatalf("keys create: want exit code 0, got %d: %s", code, create.log)
	}
	s.key = strings.TrimSpace(create.out.String())
	rememberKey(s.key)
	s.call(http.StatusOK, http.MethodGet, channels, "")
	s.stop()
}
