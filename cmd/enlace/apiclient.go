package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// apiClient calls the API for one company.
type apiClient struct {
	base string // …/v1/companies/{companyId}
	key  string
}

const (
	callTime = time.Minute // more than a poll is held
	bodyMax  = 1 << 20
)

// do sends body, if there is one, as JSON and reads the answer into answer. An
// answer of 304 has nothing to read. What the API refuses is a *problemError.
func (c *apiClient) do(ctx context.Context, method, path string, body any, headers map[string]string, answer any) (status int, err error) {
	var content []byte
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	status, got, err := c.call(ctx, method, path, content, headers)
	if err != nil || status == http.StatusNotModified {
		return status, err
	}
	if err := json.Unmarshal(got, answer); err != nil {
		return status, fmt.Errorf("%s%s does not answer as enlace does: %w", c.base, path, err)
	}
	return status, nil
}

// text gets what is at path as plain text.
func (c *apiClient) text(ctx context.Context, path string) (string, error) {
	_, got, err := c.call(ctx, http.MethodGet, path, nil, map[string]string{"Accept": "text/plain"})
	return string(got), err
}

func (c *apiClient) call(ctx context.Context, method, path string, content []byte, headers map[string]string) (status int, got []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	got, err = io.ReadAll(io.LimitReader(response.Body, bodyMax))
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = parseProblem(response.StatusCode, got)
	}
	return response.StatusCode, got, err
}
