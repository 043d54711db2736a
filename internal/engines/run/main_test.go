package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace/internal/places"
)

// Once it says that it is ready, the printed settings open a store, a queue and a
// seal that are fit for use; when it is interrupted all engines are gone.
func TestRun_PrintsSettingsThatWorkUntilItEnds(t *testing.T) {
	before := os.Environ()
	defer func() {
		os.Clearenv()
		for _, setting := range before {
			name, value, _ := strings.Cut(setting, "=")
			_ = os.Setenv(name, value)
		}
	}()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out, printed := io.Pipe()
	ran := make(chan error, 1)
	go func() {
		err := run(ctx, printed, os.Stderr)
		_ = printed.CloseWithError(io.EOF)
		ran <- err
	}()
	settings := map[string]string{}
	ready := false
	for lines := bufio.NewScanner(out); !ready && lines.Scan(); {
		line := lines.Text()
		if ready = line == "ready"; ready {
			break
		}
		setting, ok := strings.CutPrefix(line, "export ")
		name, value, set := strings.Cut(setting, "=")
		if !ok || !set {
			t.Errorf("want lines for a shell, got %q", line)
		}
		settings[name] = value
	}
	if !ready {
		t.Fatalf("it ended: %v", <-ran)
	}
	names, err := places.Parse(settings["ENLACE_STORE"], settings["ENLACE_QUEUE"], settings["ENLACE_SEAL"])
	if err != nil {
		t.Fatal(err)
	}
	opened, err := places.Open(t.Context(), names, places.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	interrupt()
	select {
	case err := <-ran:
		if err != nil {
			t.Errorf("want a good end, got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	for _, name := range []string{"AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL_KMS"} {
		response, err := http.Get(settings[name])
		if err == nil {
			_ = response.Body.Close()
			t.Errorf("%s: want nobody at %q any more", name, settings[name])
		}
	}
}
