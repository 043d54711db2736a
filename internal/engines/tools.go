package engines

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Tool returns the path of one of AWS's tools that are programs in Python, sam or
// cfn-lint. They are fetched, all in the versions that belong together, when they
// are missing; progress is told so.
func Tool(ctx context.Context, name string, progress io.Writer) (string, error) {
	python, err := toolPython(ctx, progress)
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(python), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("engines: no such tool: %w", err)
	}
	return path, nil
}

func toolPython(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := cacheDir("")
	if err != nil {
		return "", err
	}
	f := &fetcher{dir: cache, progress: progress}
	return f.python(ctx, "AWS SAM", "tools", tools)
}

// LambdaEmulator returns the path of AWS's emulator of the Lambda runtime for this
// machine, which comes with sam. It runs a function's bootstrap, one event after
// the other, without Docker.
func LambdaEmulator(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), fetchPatience)
	defer cancel()
	path, err := FindLambdaEmulator(ctx, os.Stderr)
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// FindLambdaEmulator is LambdaEmulator outside of tests; progress is told when
// something is fetched.
func FindLambdaEmulator(ctx context.Context, progress io.Writer) (string, error) {
	python, err := toolPython(ctx, progress)
	if err != nil {
		return "", err
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	environment := filepath.Dir(filepath.Dir(python))
	found, err := filepath.Glob(filepath.Join(environment, "lib", "python*", "site-packages", "samcli", "local", "rapid", "aws-lambda-rie-"+arch))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("engines: want one Lambda emulator for %s in %s, got %v, %v", runtime.GOARCH, environment, found, err)
	}
	return found[0], nil
}
