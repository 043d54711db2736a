package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/enlacehq/enlace/internal/engines"
)

// The programs under test and the folder of all their logs, made once per run.
var enlaceBin, whatsappBin, logDir string

func TestMain(m *testing.M) {
	flag.Parse()
	// Most tests wait for something most of the time.
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "enlace-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	enlaceBin, whatsappBin = filepath.Join(dir, "enlace"), filepath.Join(dir, "whatsapptest")
	logDir = filepath.Join(dir, "logs")
	if err := os.Mkdir(logDir, 0o700); err != nil {
		return 1, err
	}
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./cmd/enlace", "./cmd/whatsapptest")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("the programs under test do not build: %w\n%s", err, out)
	}
	code = engines.Main(m)
	return code, secrets.searchLogs()
}

// lookAtSources looks at every file that the programs are built from, so that the
// go command runs the tests again, and does not repeat an old result, when one of
// them has changed. It notes only what is looked at while a test runs.
var lookAtSources = sync.OnceValue(func() error {
	return filepath.WalkDir(filepath.Join("..", ".."), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && len(entry.Name()) > 2 && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || strings.HasSuffix(path, "_test.go"):
			return nil
		case strings.HasSuffix(path, ".go") || strings.HasSuffix(path, ".mod"):
			_, err = os.Stat(path)
		}
		return err
	})
})

// secretStore knows what may stand in no log: everything secret that the tests
// saw, and the numbers of the phones.
type secretStore struct {
	mu    sync.Mutex
	known map[string]string // secret → what it is
}

var secrets = secretStore{known: map[string]string{}}

// add makes a secret of value, if it is long enough to be told from chance.
func (s *secretStore) add(what, value string) {
	if len(value) < 8 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[value] = what
}

// searchLogs looks for all secrets in all logs, and for what no log should have.
func (s *secretStore) searchLogs() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(logDir, "*"))
	if err != nil {
		return err
	}
	var found []string
	for _, file := range files {
		// What other commands print is their answer; of a server it is a log too.
		if name := filepath.Base(file); !strings.HasSuffix(name, ".log") && !strings.Contains(name, ".serve.") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for secret, what := range s.known {
			if i := bytes.Index(content, []byte(secret)); i >= 0 {
				found = append(found, fmt.Sprintf("%s stands in the log of %s: …%s", what, filepath.Base(file), around(content, i)))
			}
		}
		for _, bad := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
			if i := bytes.Index(content, []byte(bad)); i >= 0 {
				found = append(found, fmt.Sprintf("the log of %s has: …%s", filepath.Base(file), around(content, i)))
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return fmt.Errorf("FAIL: logs hold what they must not:\n%s", strings.Join(found, "\n"))
}

func around(content []byte, i int) []byte {
	return content[max(0, i-200):min(len(content), i+200)]
}
