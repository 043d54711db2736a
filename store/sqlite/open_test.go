//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/enlacehq/enlace/store"
)

func TestOpen_Modes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "odd name?#%.db")
	db := openTuned(t, path, Options{}, quick())
	if err := db.Write(t.Context(), putA("1", store.Absent)); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{dir: 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600}
	for name, mode := range want {
		info, err := os.Stat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", filepath.Base(name), info.Mode().Perm(), mode)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("the folder holds %v", entries)
	}
}

// wantRefused expects an error of one line that says what, and returns it.
func wantRefused(t *testing.T, path, what string) error {
	t.Helper()
	db, err := open(t.Context(), path, Options{}, quick())
	if err == nil {
		db.Close()
		t.Errorf("opened; want an error that says %q", what)
		return nil
	}
	if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), what) || strings.Count(err.Error(), path) > 1 {
		t.Errorf("%q, want one line that says %q", err, what)
	}
	return err
}

func TestOpen_Refusals(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	made := func(name string, statements ...string) string {
		path := filepath.Join(dir, name)
		db, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		db.Close()
		c, err := openConn(path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if err := c.run(statements...); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wantRefused(t, filepath.Join(dir, "no", "such", "enlace.db"), "no such file or directory")
	wantRefused(t, filepath.Join(file("file", ""), "enlace.db"), "not a directory")
	wantRefused(t, dir, "is a folder")
	wantRefused(t, file("text.db", strings.Repeat("no database ", 1000)), "is not a database file, or is corrupt")
	newer := made("newer.db", "PRAGMA user_version = 2")
	if err := wantRefused(t, newer, "has schema 2, this program knows 1"); !errors.Is(err, store.ErrNewerSchema) {
		t.Errorf("%v, want ErrNewerSchema", err)
	}
	wantRefused(t, made("foreign.db", "PRAGMA application_id = 7"), "not one of enlace")

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	locked := filepath.Join(dir, "locked.db")
	c, err := openConn(locked)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.run("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	if err := wantRefused(t, locked, "another process"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	if _, err := open(cancelled, locked, Options{}, quick()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}

// childOpen opens the table and writes to it.
func childOpen(path string) error {
	db, err := open(context.Background(), path, Options{}, quick())
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Write(context.Background(), putA("1", store.Any)); err != nil {
		return err
	}
	fmt.Println("written")
	return nil
}

// What a process without rights is told. Whoever tests as root starts it as nobody.
func TestOpen_WithoutRights(t *testing.T) {
	dir, err := os.MkdirTemp("", "enlace-rights")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	attr := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	path := filepath.Join(dir, "enlace.db")
	says := func(what string) {
		t.Helper()
		c := startChild(t, "open", path, attr)
		if got := c.line(); !strings.Contains(got, what) || c.line() != "" {
			t.Errorf("the child says %q, want one line with %q", got, what)
		}
	}
	mode := func(mode fs.FileMode, name string) {
		t.Helper()
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	mode(0o555, dir)
	says("permission denied")
	mode(0o777, dir)
	says("written")
	mode(0o555, dir)
	says("the file or its folder is read-only")
	mode(0o777, dir)
	mode(0o444, path)
	says("read-only")
	mode(0o000, path)
	says("may this user read and write it")
	mode(0o666, path)
	says("written")
}

// A file that is damaged in its middle says so when the damage is met, and
// never passes it off as absence.
func TestCorruptPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "enlace.db")
	db := openTuned(t, path, Options{}, quick())
	for n := range 200 {
		if err := db.Write(t.Context(), store.Put(store.Item{Key: store.Key{PK: "P", SK: fmt.Sprintf("%04d", n)}, Value: make([]byte, 500)}, store.Any)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 6 * 4096; i < len(content); i++ {
		content[i] = 0xa5
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db = openTuned(t, path, Options{}, quick())
	_, readErr := db.Query(t.Context(), store.Query{PK: "P"})
	writeErr := db.Write(t.Context(), store.Put(store.Item{Key: store.Key{PK: "P", SK: "0100"}, Value: make([]byte, 500)}, store.Any))
	for _, err := range []error{readErr, writeErr} {
		if err == nil || !strings.Contains(err.Error(), "is corrupt") || strings.Contains(err.Error(), "\n") ||
			errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUnknown) {
			t.Errorf("%v, want one line that says it is corrupt", err)
		}
	}
}
