package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/enlacehq/enlace/internal/newfile"
)

// addingSuffix names the file in which a new version of a key file is made.
const addingSuffix = ".adding"

// AddKey adds a new key to the key file at path: holders that open the file from
// now on wrap by it, and still open what its older keys have wrapped. Holders that
// are open do not know it. The file is changed whole or not at all.
func AddKey(path string) error {
	if _, err := readKeyFile(path); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("seal key file: %w", err)
	}
	defer clear(content)
	raw := newRawKey()
	defer clear(raw)
	longer := fmt.Appendf(slices.Clip(content), "%x %x\n", idOf(raw), raw)
	defer clear(longer)
	if len(longer) > maxFileBytes {
		return fmt.Errorf("seal key file %s is full: remove old keys that wrap nothing any more", path)
	}
	return replaceKeyFile(path, content, longer)
}

// replaceKeyFile puts a new version in the place of the old one, unless somebody
// else has done so meanwhile. The file that is made first keeps others out.
func replaceKeyFile(path string, old, content []byte) error {
	adding := path + addingSuffix
	err := newfile.Create(adding, content)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: a key is being added, or was not to the end; then remove that file", adding)
	}
	if err != nil {
		return fmt.Errorf("seal key file: %w", err)
	}
	now, err := os.ReadFile(path)
	defer clear(now)
	if err == nil && !slices.Equal(now, old) {
		err = errors.New("it was changed meanwhile")
	}
	if err == nil {
		err = os.Rename(adding, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("seal key file %s: %w", path, err), os.Remove(adding))
	}
	return newfile.SyncDir(filepath.Dir(path))
}
