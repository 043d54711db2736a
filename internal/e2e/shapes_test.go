package e2e

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/sqlite"
)

// shape is how an installation is run.
type shape string

const (
	together shape = "together" // enlace serve on a data folder
	apart    shape = "apart"    // enlace api and two of enlace worker on a data folder
	engined  shape = "engines"  // the same on DynamoDB, SQS and KMS
	lambda   shape = "lambda"   // the same, with the API as a function
)

var shapeFlag = flag.String("shape", string(together), "how installations are run: together, apart, engines or lambda")

// apartTests are run with API and workers apart in every run of all tests; with
// -shape any test is that uses nothing of a data folder.
var apartTests = map[string]func(*testing.T){
	"Story_QR":             TestStory_QR,
	"Story_PairingCode":    TestStory_PairingCode,
	"Story_Passkey":        TestStory_Passkey,
	"Story_TextsBothWays":  TestStory_TextsBothWays,
	"Connect_LostJob":      TestConnect_LostJobStrandsNothing,
	"Connect_KilledAsked":  TestConnect_KilledWhileAsked,
	"Messages_Group":       TestMessages_Group,
	"Messages_ReadMarks":   TestMessages_ReadMarksAndTyping,
	"Crash_TrafficBothWay": TestCrash_TrafficBothWays,
	"Delete":               TestDelete_UnlinksAndForgets,
	"Logout":               TestLogout_UnlinksTheDevice,
}

func TestApart(t *testing.T) {
	t.Parallel()
	for name, test := range apartTests {
		t.Run(name, test)
	}
}

// enginesTests are run on the engines in every run of all tests; the rest with
// -shape engines.
var enginesTests = map[string]func(*testing.T){
	"Story_QR":            TestStory_QR,
	"Story_TextsBothWays": TestStory_TextsBothWays,
	"Connect_LostJob":     TestConnect_LostJobStrandsNothing,
	"Connect_Hundred":     TestConnect_HundredCallersGetOneChannelAndOneQRStream,
	"Delete":              TestDelete_UnlinksAndForgets,
}

// They run beside nobody else: the engines are slower than what they stand in for,
// and a machine that is full of other tests makes them miss heartbeats.
func TestEngines(t *testing.T) {
	for name, test := range enginesTests {
		t.Run(name, test)
	}
}

// shapeOf is the shape of the installations of a test.
func shapeOf(t testing.TB) shape {
	t.Helper()
	group, _, _ := strings.Cut(t.Name(), "/")
	switch {
	case group == "TestApart":
		return apart
	case strings.HasPrefix(group, "TestEngines"):
		return engined
	case group == "TestLambda":
		return lambda
	}
	switch s := shape(*shapeFlag); s {
	case together, apart, engined, lambda:
		return s
	}
	t.Fatalf("-shape: want together, apart, engines or lambda, got %q", *shapeFlag)
	return ""
}

// onAWS reports whether everything is kept on the engines.
func (s shape) onAWS() bool { return s == engined || s == lambda }

// workersApart is how many workers run beside an API.
const workersApart = 2

// setUp runs enlace setup and keeps the key that it prints where serve would.
func (i *installation) setUp() {
	i.Helper()
	p := i.run("setup", "setup")
	if code := p.exit(soon); code != 0 {
		i.Fatalf("enlace setup: want exit code 0, got %d: %s", code, p.log)
	}
	if err := os.MkdirAll(i.data, 0o700); err != nil {
		i.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.data, "admin.key"), []byte(p.out.String()), 0o600); err != nil {
		i.Fatal(err)
	}
}

// serveApart starts an API and its workers.
func (i *installation) serveApart() *server {
	i.Helper()
	if !i.isSetUp {
		i.setUp()
		i.isSetUp = true
	}
	s := &server{key: i.adminKey()}
	for range workersApart {
		s.workers = append(s.workers, i.worker())
	}
	if i.shape == lambda {
		s.process, s.url = i.emulate()
		return s
	}
	s.process = i.run("api", "api", "--addr", "127.0.0.1:0")
	s.url = s.after("enlace listens on ")
	return s
}

// worker starts a worker, which may do on AWS what its role in the template allows.
func (i *installation) worker() *process {
	i.Helper()
	env := i.env
	if i.shape == lambda {
		env = slices.Concat(env, roleOf(i, "WorkerRole").settings())
	}
	return start(i.TB, "worker", env, enlaceBin, "worker")
}

// run starts a command on the installation.
func (i *installation) run(name string, args ...string) *process {
	i.Helper()
	return start(i.TB, name, i.env, enlaceBin, args...)
}

// table is where the installation's table lies.
func (i *installation) table() places.Store {
	if i.shape.onAWS() {
		return places.Store{Kind: places.DynamoDB, Name: i.name}
	}
	return places.Store{Kind: places.SQLite, Name: filepath.Join(i.data, "enlace.db")}
}

// onStore opens the installation's table as one more process does.
func (i *installation) onStore(do func(context.Context, *store.Store) error) {
	i.Helper()
	opened, err := places.OpenStore(i.Context(), i.table(), places.Options{
		OpenSQLite: func(ctx context.Context, path string) (places.Table, error) {
			return sqlite.Open(ctx, path, sqlite.Options{})
		},
	})
	if err != nil {
		i.Fatal(err)
	}
	if err := do(i.Context(), opened.Store); err != nil {
		i.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		i.Fatal(err)
	}
}

func (i *installation) onTable(do func(context.Context, store.Table) error) {
	i.Helper()
	i.onStore(func(ctx context.Context, st *store.Store) error { return do(ctx, st.Table()) })
}
