// Command generate writes the descriptions of the HTTP API into the current folder.
package main

import (
	"fmt"
	"os"

	"github.com/enlacehq/enlace/api"
	"github.com/enlacehq/enlace/openapi"
)

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate() error {
	v31, v30, err := api.OpenAPI(openapi.Version)
	if err != nil {
		return err
	}
	if err := os.WriteFile("openapi.json", v31, 0o644); err != nil {
		return err
	}
	return os.WriteFile("openapi-3.0.json", v30, 0o644)
}
