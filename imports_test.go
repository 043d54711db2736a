package enlace_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/enlacehq/enlace"

// importRule says what the packages that match from may not import. A pattern
// names a package, "./" one of ours; with /... also those below it.
type importRule struct {
	from    string
	to      []string
	but     []string // of from, those that may; and of to, those that may be imported
	through bool     // not by way of other packages of ours either
	why     string
}

// importRules keep the imports pointing one way:
// cmd → api → handlers → store, queue → enlace, and
// cmd → workers → strategies → store → enlace.
var importRules = []importRule{
	{
		from: ".", to: []string{"./..."},
		why: "the vocabulary imports nothing of ours",
	},
	{
		from: "./handlers/...", to: []string{"./api/...", "./workers/...", "./strategies/..."}, through: true,
		why: "the API runs without workers and knows no protocol",
	},
	{
		from: "./api/...", to: []string{"./workers/...", "./strategies/..."}, through: true,
		why: "the API runs without workers and knows no protocol",
	},
	{
		from: "./workers/...", to: []string{"./api/...", "./handlers/..."}, through: true,
		why: "workers answer no callers",
	},
	{
		from: "./strategies/...", to: []string{"./api/...", "./handlers/...", "./workers/...", "./queue/..."}, through: true,
		why: "a strategy knows its protocol and the store",
	},
	{
		from: "./store/...", to: []string{"./api/...", "./handlers/...", "./workers/...", "./strategies/...", "./queue/..."}, through: true,
		why: "the store is below all who use it",
	},
	{
		from: "./store/...", to: []string{"net/http"}, but: []string{"./store/dynamodb"},
		why: "the store knows no HTTP",
	},
	{
		from: "./store", to: []string{"./store/..."},
		why: "the domain knows no driver",
	},
	{
		from: "./queue", to: []string{"./store/...", "./queue/..."}, through: true,
		why: "the seam knows no driver",
	},
	{
		from: "./seal/...", to: []string{"./..."}, but: []string{"./seal/...", "./internal/newfile"},
		why: "sealing knows nothing of what it seals",
	},
	{
		from: "./...", to: []string{"github.com/aws/aws-lambda-go/..."}, but: []string{"./api", "./cmd/lambda", "./internal/..."},
		why: "the edge alone knows of Lambda",
	},
	{
		from: "./...", to: []string{"github.com/aws/aws-sdk-go-v2/...", "github.com/aws/smithy-go/..."},
		but: []string{"./store/dynamodb", "./queue/sqs", "./seal/kms", "./media/s3"},
		why: "only what speaks to AWS imports its SDK",
	},
	{
		from: "./...", to: []string{"go.mau.fi/..."},
		but: []string{"./strategies/socket", "./strategies/baileys", "./store/signal", "./whatsapptest/...", "./cmd/whatsapptest", "./internal/bench/..."},
		why: "whatsmeow stays behind the strategies",
	},
	{
		from: "./...", to: []string{"modernc.org/...", "database/sql/..."},
		but: []string{"./store/sqlite", "./queue/embedded", "./internal/bench/..."},
		why: "SQLite stays behind its drivers",
	},
	{
		from: "./...", to: []string{"./whatsapptest/..."},
		but: []string{"./whatsapptest/...", "./cmd/whatsapptest", "./cmd/enlace", "./internal/bench/..."},
		why: "any WhatsApp server will do: only the demo knows this one",
	},
	{
		from: "./whatsapptest/...", to: []string{"./..."}, but: []string{"./whatsapptest/..."}, through: true,
		why: "the test server is usable without the rest",
	},
}

func TestImportsPointOneWay(t *testing.T) {
	imports := readImports(t)
	for _, must := range []string{module, module + "/store", module + "/handlers", module + "/cmd/whatsapptest"} {
		if imports[must] == nil {
			t.Fatalf("want the imports of %s, found only packages %v", must, slices.Sorted(maps.Keys(imports)))
		}
	}
	for _, rule := range importRules {
		for _, pkg := range slices.Sorted(maps.Keys(imports)) {
			if !matches(pkg, rule.from) || matches(pkg, rule.but...) {
				continue
			}
			for _, chain := range reaches(imports, pkg, rule.through) {
				last := chain[len(chain)-1]
				if matches(last, rule.to...) && !matches(last, rule.but...) {
					t.Errorf("%s: %s", strings.Join(chain, " → "), rule.why)
				}
			}
		}
	}
}

// matches reports whether pkg matches one of the patterns.
func matches(pkg string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if ours, ok := strings.CutPrefix(pattern, "."); ok {
			pattern = module + ours
		}
		root, below := strings.CutSuffix(pattern, "/...")
		return pkg == root || below && strings.HasPrefix(pkg, root+"/")
	})
}

// reaches returns how pkg comes to each package that it imports; with through,
// also to those that the imported packages of ours import.
func reaches(imports map[string][]string, pkg string, through bool) [][]string {
	var chains [][]string
	seen := map[string]bool{pkg: true}
	for todo := [][]string{{pkg}}; len(todo) > 0; todo = todo[1:] {
		chain := todo[0]
		for _, next := range imports[chain[len(chain)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(chain), next)
			chains = append(chains, longer)
			if through {
				todo = append(todo, longer)
			}
		}
	}
	return chains
}

// readImports returns what each package of the module imports, outside its
// tests, on whatever system. It reads the files rather than asking the go
// command, so that the test runs again when one of them has changed.
func readImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if file != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Join(module, path.Dir(filepath.ToSlash(file)))
		list := imports[pkg]
		if list == nil {
			list = []string{}
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			list = append(list, imported)
		}
		slices.Sort(list)
		imports[pkg] = slices.Compact(list)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return imports
}
