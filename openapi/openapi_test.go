package openapi_test

import (
	"os"
	"testing"

	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/openapi"
)

func TestFiles_AreInStepWithTheCode(t *testing.T) {
	v31, v30, err := api.OpenAPI(openapi.Version)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]byte{"openapi.json": v31, "openapi-3.0.json": v30} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s is stale: run go generate ./openapi", file)
		}
	}
}
