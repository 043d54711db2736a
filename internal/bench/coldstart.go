package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/store/dynamodb"
)

// coldEach is how often each function is started in a round; the median counts.
const coldEach = 5

// coldStart is how long the API as a function takes to its first answer.
var coldStart = figure{"cold start", func(ctx context.Context, l *lab) ([]row, error) {
	r := row{name: "cold start of the function", against: "an empty Go function", unit: "ms", aim: aim{bound: 10}}
	emulator, err := engines.FindLambdaEmulator(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	dir, err := l.fresh()
	if err != nil {
		return nil, err
	}
	ours, empty := filepath.Join(dir, "function"), filepath.Join(dir, "empty")
	for to, program := range map[string]string{ours: "./cmd/lambda", empty: "./internal/bench/empty"} {
		build := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc", "-o", to, program)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", program, err, out)
		}
	}
	running, err := engines.Start(ctx, engines.Options{DynamoDB: true, Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	defer running.Stop()
	env := append(running.Environ(), "ENLACE_STORE=dynamodb:bench",
		"ENLACE_QUEUE=sqs:https://sqs.us-east-1.amazonaws.com/000000000000/bench",
		"ENLACE_SEAL=kms:arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000")
	if err := makeTable(ctx, running.Environ(), "bench"); err != nil {
		return nil, err
	}
	for range l.rounds {
		var times [2][]float64
		for range coldEach {
			for i, function := range []string{ours, empty} {
				took, err := firstAnswer(ctx, dir, emulator, function, env)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", filepath.Base(function), err)
				}
				times[i] = append(times[i], took.Seconds()*1000)
			}
		}
		r.add(median(times[0]), median(times[1]))
	}
	return []row{r}, nil
}}

func makeTable(ctx context.Context, settings []string, name string) error {
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if err := os.Setenv(key, value); err != nil { // the SDK reads them
			return err
		}
	}
	db, err := dynamodb.Open(ctx, name, dynamodb.Options{})
	if err != nil {
		return err
	}
	return db.Create(ctx)
}

// firstAnswer starts the emulator anew and returns how long its first event takes.
func firstAnswer(ctx context.Context, dir, emulator, function string, env []string) (time.Duration, error) {
	invoke, err := freeAddr()
	if err != nil {
		return 0, err
	}
	runtime, err := freeAddr()
	if err != nil {
		return 0, err
	}
	p, err := start(ctx, dir, emulator, append(env, "AWS_LAMBDA_FUNCTION_TIMEOUT=28"), []string{
		"--runtime-interface-emulator-address", invoke, "--runtime-api-address", runtime, "--log-level", "error", function,
	})
	if err != nil {
		return 0, err
	}
	defer p.stop()
	err = eventually(ctx, func() (bool, error) {
		conn, err := net.Dial("tcp", invoke)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		return 0, err
	}
	const event = `{"version":"2.0","routeKey":"$default","rawPath":"/healthz","rawQueryString":"","headers":{},` +
		`"requestContext":{"http":{"method":"GET","path":"/healthz"},"requestId":"1","stage":"$default"},"isBase64Encoded":false}`
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+invoke+"/2015-03-31/functions/function/invocations", strings.NewReader(event))
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var answer struct {
		StatusCode int `json:"statusCode"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answered %d", answer.StatusCode)
	}
	return time.Since(began), nil
}
