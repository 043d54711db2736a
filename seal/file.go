package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/enlacehq/enlace/internal/newfile"
)

// A key file is text, so that it can be kept in a vault as it is: a first line
// that names the format, then one line per key, oldest first:
//
//	enlace seal keys 1
//	<id, 16 hex digits> <key, 64 hex digits>
//
// The id is derived from the key, so that a damaged line shows. The last key
// wraps; all of them unwrap.
const (
	fileHeader   = "enlace seal keys 1"
	maxFileBytes = 64 * 1024
)

// The first byte of a wrapped data key: then the id of the key that wraps it,
// then the data key, sealed.
const (
	wrappedFormat = 1
	keyIDBytes    = 8
	wrapPlace     = "data key"
)

type keyID [keyIDBytes]byte

// fileHolder holds the keys of a key file in memory.
type fileHolder struct {
	newest keyID
	keys   map[keyID]*DataKey
}

var _ KeyHolder = (*fileHolder)(nil)

// OpenFile returns the key holder of the key file at path. An absent file is
// made, with a new key, readable by its owner alone; of several processes that
// start at once all get the same key. A file that others may read, or that is
// no key file, is refused. The file is read once; a later change is not seen.
func OpenFile(path string) (KeyHolder, error) {
	holder, err := readKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return holder, err
	}
	if err := createKeyFile(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("seal key file: %w", err)
	}
	return readKeyFile(path)
}

// ReadFile returns the key holder of the key file at path, which must be there:
// it is OpenFile for those who share a file that somebody else has made.
func ReadFile(path string) (KeyHolder, error) { return readKeyFile(path) }

// GenerateDataKey makes a data key, wrapped for scope by the newest key.
func (h *fileHolder) GenerateDataKey(ctx context.Context, scope string) (*DataKey, []byte, error) {
	raw := newRawKey()
	defer clear(raw)
	key, err := NewDataKey(raw)
	if err != nil {
		return nil, nil, err
	}
	wrapped, err := h.WrapDataKey(ctx, scope, key)
	return key, wrapped, err
}

// WrapDataKey is KeyHolder's.
func (h *fileHolder) WrapDataKey(_ context.Context, scope string, key *DataKey) ([]byte, error) {
	return key.WrapBy(func(raw []byte) ([]byte, error) {
		wrapped := append([]byte{wrappedFormat}, h.newest[:]...)
		return append(wrapped, h.keys[h.newest].Seal(raw, wrapPlace, scope)...), nil
	})
}

// Newest is KeyHolder's.
func (h *fileHolder) Newest(wrapped []byte) bool {
	return bytes.HasPrefix(wrapped, append([]byte{wrappedFormat}, h.newest[:]...))
}

// OpenDataKey unwraps a data key of scope.
func (h *fileHolder) OpenDataKey(_ context.Context, scope string, wrapped []byte) (*DataKey, error) {
	if len(wrapped) < 1+keyIDBytes || wrapped[0] != wrappedFormat {
		return nil, fmt.Errorf("%w: not a data key of a key file", ErrUnreadable)
	}
	id := keyID(wrapped[1 : 1+keyIDBytes])
	wrapper, ok := h.keys[id]
	if !ok {
		return nil, fmt.Errorf("%w: wrapped by key %x, which is not in the key file", ErrUnreadable, id)
	}
	raw, err := wrapper.Open(wrapped[1+keyIDBytes:], wrapPlace, scope)
	if err != nil {
		return nil, err
	}
	key, err := NewDataKey(raw)
	clear(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return key, nil
}

func readKeyFile(path string) (KeyHolder, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("seal key file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("seal key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("seal key file %s is not a file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("seal key file %s may be used by others (mode %04o): chmod 600 %s", path, mode, path)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("seal key file: %w", err)
	}
	defer clear(content)
	holder, err := parseKeyFile(content)
	if err != nil {
		return nil, fmt.Errorf("seal key file %s: %w", path, err)
	}
	return holder, nil
}

// parseKeyFile never puts a line into an error: it may hold a key.
func parseKeyFile(content []byte) (*fileHolder, error) {
	if len(content) > maxFileBytes {
		return nil, errors.New("too large for a key file")
	}
	if !bytes.HasSuffix(content, []byte("\n")) {
		return nil, errors.New("not a key file, or cut short")
	}
	lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
	if lines[0] != fileHeader {
		return nil, errors.New("not a key file of a version this program knows")
	}
	if len(lines) == 1 {
		return nil, errors.New("holds no key")
	}
	holder := &fileHolder{keys: make(map[keyID]*DataKey, len(lines)-1)}
	for i, line := range lines[1:] {
		id, key, err := parseKeyLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		holder.keys[id], holder.newest = key, id
	}
	return holder, nil
}

func parseKeyLine(line string) (keyID, *DataKey, error) {
	idText, rawText, found := strings.Cut(line, " ")
	id, idErr := hex.DecodeString(idText)
	raw, rawErr := hex.DecodeString(rawText)
	if !found || idErr != nil || rawErr != nil || len(id) != keyIDBytes || len(raw) != KeyBytes {
		return keyID{}, nil, errors.New("not an id and a key")
	}
	defer clear(raw)
	if keyID(id) != idOf(raw) {
		return keyID{}, nil, errors.New("damaged: the id is not that of the key")
	}
	key, err := NewDataKey(raw)
	return keyID(id), key, err
}

func idOf(raw []byte) keyID {
	sum := sha256.Sum256(append([]byte("enlace seal key id\x00"), raw...))
	return keyID(sum[:keyIDBytes])
}

// createKeyFile writes a file with one new key. Another process may be faster:
// fs.ErrExist. The file is durable before its key seals anything: what a lost
// key has sealed is lost too.
func createKeyFile(path string) error {
	raw := newRawKey()
	defer clear(raw)
	content := fmt.Appendf(nil, "%s\n%x %x\n", fileHeader, idOf(raw), raw)
	defer clear(content)
	return newfile.Create(path, content)
}
