package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every flag is a variable, and stands in the page about configuration with its
// variable and its default; nothing else does.
func TestConfigurationPage_HasEveryFlag(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	parser, err := newParser(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	variables := []string{"ENLACE_OPENAPI_VERSION"} // named in a sentence
	var visit func(*kong.Node)
	visit = func(node *kong.Node) {
		for _, flag := range node.Flags {
			if flag.Name == "help" {
				continue
			}
			if len(flag.Envs) != 1 || !strings.HasPrefix(flag.Envs[0], "ENLACE_") {
				t.Errorf("%s --%s: want a variable ENLACE_…, got %v", node.Path(), flag.Name, flag.Envs)
				continue
			}
			variables = append(variables, flag.Envs[0])
			row := regexp.MustCompile("(?m)^\\| `" + flag.Envs[0] + "` \\| `--" + flag.Name + "` \\|.*$")
			rows := row.FindAllString(string(page), -1)
			if flag.Envs[0] == "ENLACE_OPENAPI_VERSION" {
				continue
			}
			if len(rows) == 0 {
				t.Errorf("%s --%s: want a row with `%s` and `--%s`", node.Path(), flag.Name, flag.Envs[0], flag.Name)
			}
			shown := func(row string) bool { return strings.Contains(row, "`"+flag.Default+"`") }
			if flag.Default != "" && !slices.ContainsFunc(rows, shown) {
				t.Errorf("%s --%s: want its default `%s` in the page, got %q", node.Path(), flag.Name, flag.Default, rows)
			}
		}
		for _, child := range node.Children {
			visit(child)
		}
	}
	visit(parser.Model.Node)
	for _, named := range regexp.MustCompile(`ENLACE_[A-Z_]+`).FindAllString(string(page), -1) {
		if !slices.Contains(variables, named) {
			t.Errorf("the page names %s, which no flag reads", named)
		}
	}
}
