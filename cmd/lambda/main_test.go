package main

import (
	"os/exec"
	"strings"
	"testing"
)

// What the function links makes its start slow: neither a client of WhatsApp nor
// SQLite may be among it, by whatever way.
func TestDependencies_AreThoseOfTheAPI(t *testing.T) {
	list := exec.Command("go", "list", "-deps", ".")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	linked := strings.Fields(string(out))
	found := map[string]bool{}
	for _, pkg := range linked {
		for _, unwanted := range []string{"go.mau.fi/", "modernc.org/", "database/sql", "testing", "github.com/enlacehq/enlace/workers", "github.com/enlacehq/enlace/whatsapptest", "github.com/alecthomas/kong"} {
			if pkg == unwanted || strings.HasPrefix(pkg, strings.TrimSuffix(unwanted, "/")+"/") {
				t.Errorf("want no %s in the function", pkg)
			}
		}
		found[pkg] = true
	}
	for _, wanted := range []string{"github.com/enlacehq/enlace/api", "github.com/aws/aws-lambda-go/lambda"} {
		if !found[wanted] {
			t.Errorf("want %s in the function, or this test looks at nothing", wanted)
		}
	}
}

func TestOpen_SaysInOneLineWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		variables map[string]string
		want      string
	}{
		{nil, "ENLACE_STORE: want"},
		{map[string]string{"ENLACE_STORE": "dynamodb:t", "ENLACE_SEAL": "kms:"}, "ENLACE_SEAL: want"},
		{map[string]string{"ENLACE_STORE": "sqlite:x", "ENLACE_SEAL": "file:x/y"}, ""},
		{map[string]string{"ENLACE_RETENTION": "1h"}, "ENLACE_RETENTION: at least 48h"},
		{map[string]string{"ENLACE_RETENTION": "soon"}, "ENLACE_RETENTION: at least 48h"},
		{map[string]string{"ENLACE_LOG_LEVEL": "loud"}, "ENLACE_LOG_LEVEL: want"},
	} {
		_, err := open(t.Context(), func(name string) string { return test.variables[name] })
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(oneLine(err), "\n") {
			t.Errorf("%v: want an error with %q, got %v", test.variables, test.want, err)
		}
	}
}
