package engines

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

// shared are the engines of a test process, each started when first asked for.
var shared struct {
	mu      sync.Mutex
	running bool // Main is on the stack
	started map[string]*sharedEngine
}

type sharedEngine struct {
	once    sync.Once
	process *process
	err     error
	users   sync.Map // the tests that use it
}

// Main runs the tests of a package that asks for engines, and stops those that were
// started: func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }.
func Main(m *testing.M) int {
	shared.mu.Lock()
	shared.running, shared.started = true, map[string]*sharedEngine{}
	shared.mu.Unlock()
	defer func() {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		for _, engine := range shared.started {
			if engine.process != nil {
				engine.process.stop()
			}
		}
		shared.running, shared.started = false, nil
	}()
	return m.Run()
}

// DynamoDB returns the base URL of the test process's DynamoDB Local. All tests
// share it: each has a table of its own name.
func DynamoDB(tb testing.TB) string {
	tb.Helper()
	return use(tb, dynamoDBLocal)
}

// SQS returns the base URL of the test process's ElasticMQ. All tests share it:
// each makes queues of its own names.
func SQS(tb testing.TB) string {
	tb.Helper()
	return use(tb, elasticMQ)
}

// KMS returns the base URL of the test process's moto server. All tests share it:
// each makes a key of its own.
func KMS(tb testing.TB) string {
	tb.Helper()
	return use(tb, moto)
}

// fetchPatience is how long the first use on a machine may take.
const fetchPatience = 10 * time.Minute

func use(tb testing.TB, s service) string {
	tb.Helper()
	engine := engineOf(s)
	if engine == nil {
		tb.Fatal("engines: TestMain must call engines.Main")
	}
	engine.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchPatience)
		defer cancel()
		var cache string
		if cache, engine.err = cacheDir(""); engine.err == nil {
			engine.process, engine.err = s.start(ctx, &fetcher{dir: cache, progress: os.Stderr})
		}
	})
	if engine.err != nil {
		tb.Fatal(engine.err)
	}
	if _, known := engine.users.LoadOrStore(tb, true); known {
		return engine.process.endpoint()
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("end of the log of %s:\n%s", s.name, engine.process.log.end())
		}
	})
	return engine.process.endpoint()
}

func engineOf(s service) *sharedEngine {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.running {
		return nil
	}
	engine := shared.started[s.name]
	if engine == nil {
		engine = &sharedEngine{}
		shared.started[s.name] = engine
	}
	return engine
}
