// Package openapi holds the generated descriptions of the HTTP API, for people
// who make clients: openapi.json (3.1) and openapi-3.0.json for older tools. A
// test keeps them in step with the code.
package openapi

//go:generate go run ./generate

// Version stands in the files as the version, so that they change with the API
// alone and not with every release.
const Version = "1"
