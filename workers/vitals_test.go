package workers_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/workers"
)

// lines is a log in JSON, as metrics are made from it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// with returns the lines that say msg.
func (l *lines) with(t *testing.T, msg string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if fields["msg"] == msg {
			found = append(found, fields)
		}
	}
	return found
}

// The template of the installation on AWS makes its metrics and alarms from these
// lines, word for word: each pattern in it must find one.
func TestVitals_AreInTheLog(t *testing.T) {
	template, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	patterns := regexp.MustCompile(`\$\.msg = "([^"]+)"`).FindAllStringSubmatch(string(template), -1)
	if len(patterns) != 2 || !strings.Contains(string(template), "MetricValue: $.channels\n") {
		t.Fatalf("want two patterns in the template, and the number of channels, got %v", patterns)
	}
	inBubble(t, func(b *bundle) {
		var log lines
		logged := func(c *workers.Config) { c.Log = slog.New(slog.NewJSONHandler(&log, nil)) }
		registry := strategies.Registry{enlace.WhatsAppWeb: b.phone}
		dying := b.workerWith(registry, logged)
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		time.Sleep(5 * time.Minute)
		well := log.with(b.T, "worker is well")
		if len(well) < 5 || len(well) > 7 {
			b.Fatalf("want a line a minute, got %d in five", len(well))
		}
		if last := well[len(well)-1]; last["channels"] != 1.0 || last["worker"] == "" {
			b.Errorf("want one channel and the worker, got %v", last)
		}
		b.workerWith(registry, logged)
		dying.cable.cut.Store(true)
		time.Sleep(3 * lease)
		if buried := log.with(b.T, "worker buried"); len(buried) != 1 {
			b.Errorf("want one burial, got %v", buried)
		}
		for _, pattern := range patterns {
			if len(log.with(b.T, pattern[1])) == 0 {
				b.Errorf("want a line that says %q, as the template has it", pattern[1])
			}
		}
		before := len(log.with(b.T, "worker is well"))
		time.Sleep(5 * time.Minute)
		if got := len(log.with(b.T, "worker is well")) - before; got > 6 {
			b.Errorf("want nothing from the worker that has no store, got %d lines of two workers", got)
		}
	})
}
