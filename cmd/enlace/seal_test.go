package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/internal/places"
	"github.com/enlacehq/enlace/store"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// linkedFolder makes a data folder with a channel that has credentials.
func linkedFolder(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	i := openFolder(t, "--data", dir)
	channel, err := i.Store.Connect(t.Context(), store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb})
	if err != nil {
		t.Fatal(err)
	}
	owner := claim(t, i, channel.ID)
	if err := owner.Accepted(t.Context(), enlace.Account{PhoneNumber: "15550100"}); err != nil {
		t.Fatal(err)
	}
	if err := owner.Release(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	return dir
}

func claim(t *testing.T, i *installation, channelID string) *store.Owner {
	t.Helper()
	heart := i.Store.NewHeart()
	if err := heart.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	by := store.Claimer{Worker: heart.ID(), Fresh: func() error { return nil }, Moved: i.Store.NewMoved(heart.ID())}
	owner, err := i.Store.Claim(t.Context(), by, channelID, "")
	if err != nil {
		t.Fatal(err)
	}
	return owner
}

// openFolder opens what a process with these flags would.
func openFolder(t *testing.T, args ...string) *installation {
	t.Helper()
	var c commands
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"worker"}, args...)); err != nil {
		t.Fatal(err)
	}
	names, err := c.Worker.names()
	if err != nil {
		t.Fatal(err)
	}
	i, err := openInstallation(context.Background(), names, retentionFlags{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	return i
}

// rewraps runs the command and wants what it prints.
func rewraps(t *testing.T, want string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	if err := rewrap(t.Context(), openFolder(t, args...).Store, &out, quiet); err != nil || out.String() != want {
		t.Errorf("rewrap printed %q, %v; want %q", out.String(), err, want)
	}
}

func TestSeal_AddKeyThenRewrap(t *testing.T) {
	dir := linkedFolder(t)
	rewraps(t, "channels: 1; data keys wrapped anew: 0, by the newest key already: 1, none yet: 0\n", "--data", dir)
	if err := run([]string{"seal", "add-key", "--data", dir}); err != nil {
		t.Fatal(err)
	}
	rewraps(t, "channels: 1; data keys wrapped anew: 1, by the newest key already: 0, none yet: 0\n", "--data", dir)
}

func TestSeal_FromOneKeyToAnother(t *testing.T) {
	dir := linkedFolder(t)
	old, newer := "file:"+filepath.Join(dir, "seal.key"), "file:"+filepath.Join(dir, "newer.key")

	var out bytes.Buffer
	err := rewrap(t.Context(), openFolder(t, "--data", dir, "--seal", newer).Store, &out, quiet)
	if err == nil || !strings.Contains(err.Error(), "1 data keys do not open") || !strings.Contains(err.Error(), "--seal-from") || !strings.Contains(err.Error(), "ch_") {
		t.Errorf("without the old key: %v", err)
	}
	rewraps(t, "channels: 1; data keys wrapped anew: 1, by the newest key already: 0, none yet: 0\n", "--data", dir, "--seal", newer, "--seal-from", old)
	i := openFolder(t, "--data", dir, "--seal", newer)
	channels, _, err := i.Store.Channels(t.Context(), "acme", "", 10)
	if err != nil || len(channels) != 1 {
		t.Fatalf("channels %v, %v", channels, err)
	}
	if claim(t, i, channels[0].ID).DataKey() == nil {
		t.Error("the new key alone does not open the channel's data key")
	}
}

func TestSeal_Refusals(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"is no data folder":            {"seal", "rewrap", "--data", dir},
		"no such file":                 {"seal", "add-key", "--data", dir},
		"KMS rotates its keys":         {"seal", "add-key", "--seal", "kms:arn:aws:kms:eu-west-1:1:key/2"},
		"--seal-from: want file:PATH":  {"seal", "rewrap", "--data", dir, "--seal-from", "vault"},
		"is no data folder: enlace se": {"jobs", "list", "--data", dir},
		"is not the URL of a queue":    {"jobs", "redrive", "--queue", "sqs:jobs"},
	} {
		if err := run(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}

func TestOpenSeal_AnOldKeyThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	names := places.Names{
		Store:    places.Store{Kind: places.SQLite, Name: filepath.Join(dir, "enlace.db")},
		Seal:     places.Seal{Kind: places.File, Name: filepath.Join(dir, "seal.key")},
		SealFrom: places.Seal{Kind: places.File, Name: filepath.Join(dir, "old.key")},
	}
	if _, err := places.OpenSeal(t.Context(), names, places.Options{}); err == nil || !strings.Contains(err.Error(), "ENLACE_SEAL_FROM") {
		t.Errorf("%v, want an error that names ENLACE_SEAL_FROM", err)
	}
}
