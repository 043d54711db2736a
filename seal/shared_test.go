package seal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/seal/sealtest"
)

func TestFileHolder(t *testing.T) {
	sealtest.Run(t, func(t testing.TB) seal.KeyHolder {
		holder, err := seal.OpenFile(filepath.Join(t.TempDir(), "seal.key"))
		if err != nil {
			t.Fatal(err)
		}
		return holder
	})
}

func TestAddKey_TheNewKeyWrapsTheOldOneOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	before, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, wrapped, err := before.GenerateDataKey(t.Context(), "ch_1")
	if err != nil {
		t.Fatal(err)
	}
	if !before.Newest(wrapped) {
		t.Error("the only key is not the newest")
	}
	if err := seal.AddKey(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v; want 0600", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left in the folder: %v, want the key file alone", left)
	}
	after, err := seal.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if after.Newest(wrapped) {
		t.Error("the old key passes for the newest")
	}
	if _, err := after.OpenDataKey(t.Context(), "ch_1", wrapped); err != nil {
		t.Errorf("the old key does not open any more: %v", err)
	}
	again, err := after.WrapDataKey(t.Context(), "ch_1", key)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Newest(again) {
		t.Error("wrapped by another key than the newest")
	}
	if _, err := before.OpenDataKey(t.Context(), "ch_1", again); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("opened without the new key: %v, want ErrUnreadable", err)
	}
}

func TestAddKey_RefusesWhatIsNoKeyFile(t *testing.T) {
	dir := t.TempDir()
	if err := seal.AddKey(filepath.Join(dir, "none")); err == nil {
		t.Error("a key was added to a file that does not exist")
	}
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := seal.AddKey(other); err == nil {
		t.Error("a key was added to another file")
	}
	path := filepath.Join(dir, "seal.key")
	if _, err := seal.OpenFile(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".adding", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if err := seal.AddKey(path); err == nil {
		t.Error("a key was added while another is being added")
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the file was changed")
	}
}

// brokenHolder fails to open with err.
type brokenHolder struct {
	seal.KeyHolder
	err error
}

func (b brokenHolder) OpenDataKey(context.Context, string, []byte) (*seal.DataKey, error) {
	return nil, b.err
}

func TestWithOlder_AnOutageOfEitherIsNoLostKey(t *testing.T) {
	lost, away := brokenHolder{err: seal.ErrUnreadable}, brokenHolder{err: seal.ErrUnavailable}
	for _, test := range []struct {
		newest, older brokenHolder
		want          error
	}{{lost, lost, seal.ErrUnreadable}, {lost, away, seal.ErrUnavailable}, {away, lost, seal.ErrUnavailable}, {away, away, seal.ErrUnavailable}} {
		_, err := seal.WithOlder(test.newest, test.older).OpenDataKey(t.Context(), "ch_1", nil)
		if !errors.Is(err, test.want) {
			t.Errorf("%v, then %v: got %v, want %v", test.newest.err, test.older.err, err, test.want)
		}
	}
}
