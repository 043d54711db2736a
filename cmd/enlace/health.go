package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthCommand is the health check of a container that has nothing in it but
// this program.
type healthCommand struct {
	HealthAddr string `help:"Where a worker answers, HOST:PORT." placeholder:"HOST:PORT"`
	Addr       string `help:"Where the API answers, HOST:PORT, if no worker is asked." default:"127.0.0.1:8080"`
}

// healthTime is how long a process that is well may take to say so.
const healthTime = 5 * time.Second

func (c healthCommand) Run(ctx context.Context) error {
	addr := c.HealthAddr
	if addr == "" {
		addr = c.Addr
	}
	url, err := localURL(addr, "/healthz")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, bodyMax)); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	fmt.Println("ok")
	return nil
}

// localURL is where a process of this machine that listens on addr is reached.
func localURL(addr, path string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + path, nil
}

// healthHandler answers as the API does to /healthz and /readyz, for a process
// that has no API. A store that is away makes a worker unready, not unwell:
// starting it again would not help. The context ends when the worker leaves.
func healthHandler(i *installation, leaving context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerHealth(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTime)
		defer cancel()
		switch {
		case leaving.Err() != nil:
			answerHealth(w, http.StatusServiceUnavailable, "leaving")
		case i.Store.Ping(ctx) != nil:
			answerHealth(w, http.StatusServiceUnavailable, "the store does not answer")
		default:
			answerHealth(w, http.StatusOK, "ok")
		}
	})
	return mux
}

// readyTime is how long a store may take to answer and still count as there.
const readyTime = 2 * time.Second

func answerHealth(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": text})
}
