package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/strategies/socket"
	"github.com/enlacehq/enlace/whatsapptest"
)

// A service that linked a channel and was stopped has left nothing running.
func TestService_LeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	phones, err := whatsapptest.New(whatsapptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, stopPhones := context.WithCancel(t.Context())
	defer stopPhones()
	served := make(chan error, 1)
	go func() { served <- phones.Serve(serving, listener) }()

	folder := folderFlags{Data: t.TempDir()}
	table, err := folder.inFolder()
	if err != nil {
		t.Fatal(err)
	}
	names := places.Names{Store: table, Queue: places.Queue{Kind: places.Embedded}, Seal: sealBeside(table)}
	flags := serviceFlags{
		apiFlags: apiFlags{Addr: "127.0.0.1:0"},
		workerFlags: workerFlags{
			Lease: 2 * time.Second, ReconnectDelay: 100 * time.Millisecond, MaxReconnectAttempts: 3, SignalCache: 1 << 20,
		},
		retentionFlags: retentionFlags{Retention: 48 * time.Hour},
	}
	endpoint := socket.Endpoint{URL: &url.URL{Scheme: "ws", Host: listener.Addr().String(), Path: "/ws/chat"}, RootKey: phones.RootKey()}
	running, stop := context.WithCancel(t.Context())
	defer stop()
	service, err := newService(running, names, flags, endpoint, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- service.run(running) }()

	key, err := os.ReadFile(filepath.Join(folder.Data, adminKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	client := &apiClient{base: service.url() + "/v1/companies/acme", key: strings.TrimSpace(string(key))}
	var c enlace.Channel
	if _, err := client.do(t.Context(), http.MethodPost, "/channels", map[string]string{"type": "WHATSAPP_WEB"}, nil, &c); err != nil {
		t.Fatal(err)
	}
	path := "/channels/" + c.ID
	for deadline := time.Now().Add(30 * time.Second); c.Status != enlace.Active; {
		if time.Now().After(deadline) {
			shown, _ := json.Marshal(c)
			t.Fatalf("want the channel active, got %s", shown)
		}
		if c.QR != nil {
			if _, err := phones.Scan(t.Context(), "14155550177", c.QR.Code); err != nil {
				t.Fatal(err)
			}
			c.QR = nil
		}
		next := enlace.Channel{}
		status, err := client.do(t.Context(), http.MethodGet, path, nil, map[string]string{"If-None-Match": fmt.Sprintf("%q", fmt.Sprint(c.Version)), "Prefer": "wait=5"}, &next)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusOK {
			c = next
		}
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("want the service to end well, got %v", err)
	}
	stopPhones()
	if err := <-served; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}
