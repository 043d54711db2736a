package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestOpenFile_MakesAKeyThatLasts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	first := openFile(t, path)
	key, wrapped, err := first.GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	sealed := key.Seal([]byte("secret"), "p", "s")

	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file has mode %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left in the folder: %v, want the key file alone", left)
	}
	again, err := openFile(t, path).OpenDataKey(t.Context(), "ch_1", wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := again.Open(sealed, "p", "s"); err != nil || string(opened) != "secret" {
		t.Errorf("opened %q, %v after reading the file again", opened, err)
	}
}

func TestOpenFile_ManyAtOnceAgreeOnOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	holders := make([]KeyHolder, 16)
	var group sync.WaitGroup
	for i := range holders {
		group.Go(func() { holders[i], _ = OpenFile(path) })
	}
	group.Wait()
	_, wrapped, err := openFile(t, path).GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	for i, holder := range holders {
		if holder == nil {
			t.Fatalf("opener %d failed", i)
		}
		if _, err := holder.OpenDataKey(t.Context(), "ch_1", wrapped); err != nil {
			t.Errorf("opener %d has another key: %v", i, err)
		}
	}
}

func TestFileHolder_AnotherScopeFileOrDamageDoesNotOpen(t *testing.T) {
	holder := openFile(t, filepath.Join(t.TempDir(), "seal.key"))
	_, wrapped, err := holder.GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, holder KeyHolder, scope string, wrapped []byte) {
		t.Helper()
		if _, err := holder.OpenDataKey(context.Background(), scope, wrapped); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v, want ErrUnreadable", what, err)
		}
	}
	refuse("another scope", holder, "ch_2", wrapped)
	refuse("another file", openFile(t, filepath.Join(t.TempDir(), "seal.key")), "ch_1", wrapped)
	for i := range wrapped {
		damaged := bytes.Clone(wrapped)
		damaged[i] ^= 1
		refuse(fmt.Sprintf("byte %d flipped", i), holder, "ch_1", damaged)
		refuse(fmt.Sprintf("cut to %d bytes", i), holder, "ch_1", wrapped[:i])
	}
}

func TestFileHolder_NewestWrapsAllUnwrap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	_, old, err := openFile(t, path).GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	raw := newRawKey()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(file, "%x %x\n", idOf(raw), raw)
	file.Close()

	holder := openFile(t, path)
	_, fresh, err := holder.GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	newID := idOf(raw)
	if !bytes.Equal(fresh[1:1+keyIDBytes], newID[:]) {
		t.Errorf("wrapped by %x, want the newest key %x", fresh[1:1+keyIDBytes], newID)
	}
	for _, wrapped := range [][]byte{old, fresh} {
		if _, err := holder.OpenDataKey(t.Context(), "ch_1", wrapped); err != nil {
			t.Errorf("key %x does not unwrap: %v", wrapped[1:1+keyIDBytes], err)
		}
	}
}

func TestOpenFile_RefusesWithOneClearLine(t *testing.T) {
	raw := newRawKey()
	good := fmt.Sprintf("%s\n%x %x\n", fileHeader, idOf(raw), raw)
	cases := map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"readable by others": {good, 0o644, "chmod 600"},
		"readable by group":  {good, 0o640, "chmod 600"},
		"empty":              {"", 0o600, "cut short"},
		"another file":       {"hello\n", 0o600, "not a key file"},
		"a newer format":     {strings.Replace(good, "keys 1", "keys 2", 1), 0o600, "not a key file of a version"},
		"no key":             {fileHeader + "\n", 0o600, "holds no key"},
		"cut short":          {good[:len(good)-2], 0o600, "cut short"},
		"a key too short":    {good[:len(good)-3] + "\n", 0o600, "line 2"},
		"a digit changed":    {changeLastDigit(good), 0o600, "line 2: damaged"},
		"endless":            {fileHeader + "\n" + strings.Repeat("x", maxFileBytes) + "\n", 0o600, "too large"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "seal.key")
			if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := OpenFile(path)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v, want %q and the path in it", err, test.want)
			}
			if text := err.Error(); strings.Contains(text, "\n") || strings.Contains(text, fmt.Sprintf("%x", raw[:8])) {
				t.Errorf("more than one line, or a key, in %q", text)
			}
			if after, _ := os.ReadFile(path); string(after) != test.content {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := OpenFile(t.TempDir()); err == nil {
		t.Error("a folder was taken for a key file")
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "no", "folder", "seal.key")); err == nil {
		t.Error("a key file was made in a folder that does not exist")
	}
}

func changeLastDigit(content string) string {
	digits := []byte(content)
	at := len(digits) - 2
	if digits[at] == '0' {
		digits[at] = '1'
	} else {
		digits[at] = '0'
	}
	return string(digits)
}

func openFile(t *testing.T, path string) KeyHolder {
	t.Helper()
	holder, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return holder
}
