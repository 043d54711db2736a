package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/store/dynamodb"
)

func readFile(t testing.TB, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The template's table is the one that the programs accept, and enlace setup makes.
func TestTemplate_TableIsAsTheProgramsNeedIt(t *testing.T) {
	t.Parallel()
	template := readFile(t, "template.yaml")
	for _, want := range []string{
		fmt.Sprintf("{AttributeName: %s, KeyType: HASH}", dynamodb.AttributePK),
		fmt.Sprintf("{AttributeName: %s, KeyType: RANGE}", dynamodb.AttributeSK),
		fmt.Sprintf("- IndexName: %s\n", dynamodb.IndexName),
		fmt.Sprintf("{AttributeName: %s, KeyType: HASH}", dynamodb.AttributeIndexPK),
		fmt.Sprintf("{AttributeName: %s, KeyType: RANGE}", dynamodb.AttributeIndexSK),
		"Projection: {ProjectionType: KEYS_ONLY}",
		fmt.Sprintf("TimeToLiveSpecification: {AttributeName: %s, Enabled: true}", dynamodb.AttributeTTL),
		"BillingMode: PAY_PER_REQUEST", "PointInTimeRecoveryEnabled: true",
		"${Table.Arn}/index/" + dynamodb.IndexName,
	} {
		if !strings.Contains(template, want) {
			t.Errorf("want %q in the template", want)
		}
	}
}

// A setting with a mistyped name would be silently without effect.
func TestTemplate_SettingsAreKnown(t *testing.T) {
	t.Parallel()
	page := readFile(t, "docs", "configuration.md")
	for _, file := range []string{"template.yaml", "deploy/sam-local.json", "Dockerfile", "docs/aws.md"} {
		names := regexp.MustCompile(`ENLACE_[A-Z_]+`).FindAllString(readFile(t, file), -1)
		if len(names) == 0 {
			t.Errorf("want settings in %s", file)
		}
		for _, name := range names {
			if name == engines.CacheVariable { // of the tests, not of the programs
				continue
			}
			if !strings.Contains(page, "| `"+name+"` |") {
				t.Errorf("%s: want a setting of the page on configuration, got %s", file, name)
			}
		}
	}
	_, function, _ := strings.Cut(readFile(t, "template.yaml"), "\n  Api:\n")
	for _, name := range regexp.MustCompile(`"([A-Z_]+)":`).FindAllStringSubmatch(readFile(t, "deploy", "sam-local.json"), -1) {
		if !strings.Contains(function, "\n          "+name[1]+": ") {
			t.Errorf("want %s among the function's variables: sam local passes no others on", name[1])
		}
	}
}
