package main

import (
	"os"

	"github.com/enlacehq/enlace/api"
)

type openapiCommand struct {
	Version string `help:"The version of OpenAPI: 3.1 or 3.0." enum:"3.1,3.0" default:"3.1" env:"ENLACE_OPENAPI_VERSION"`
}

func (c openapiCommand) Run() error {
	newer, older, err := api.OpenAPI(version())
	if err != nil {
		return err
	}
	document := newer
	if c.Version == "3.0" {
		document = older
	}
	_, err = os.Stdout.Write(append(document, '\n'))
	return err
}
