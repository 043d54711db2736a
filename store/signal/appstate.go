package signal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"

	wastore "go.mau.fi/whatsmeow/store"

	"github.com/enlacehq/enlace/store"
)

// App-state keys: few, each an item.

const (
	appKeyData        fieldNumber = 1
	appKeyFingerprint fieldNumber = 2
	appKeyTimestamp   fieldNumber = 3
	appKeyID          fieldNumber = 4
)

type appKey struct {
	id  []byte
	key wastore.AppStateSyncKey
}

func (k appKey) encode() []byte {
	var e encoder
	e.bytes(appKeyData, k.key.Data)
	e.bytes(appKeyFingerprint, k.key.Fingerprint)
	e.number(appKeyTimestamp, uint64(k.key.Timestamp))
	e.bytes(appKeyID, k.id)
	return e
}

func decodeAppKey(value []byte) (k appKey, err error) {
	k.key.Data, k.key.Fingerprint = []byte{}, []byte{}
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case appKeyData:
			k.key.Data = f.b
		case appKeyFingerprint:
			k.key.Fingerprint = f.b
		case appKeyTimestamp:
			k.key.Timestamp = int64(f.n)
		case appKeyID:
			k.id = f.b
		default:
			return false, nil
		}
		return true, nil
	})
	return k, err
}

func appKeySK(id []byte) string { return appKeyPrefix + part(hex.EncodeToString(id)) }

// putAppKey keeps a key, unless one of the same id is as new or newer.
func (c *Container) putAppKey(ctx context.Context, id []byte, key wastore.AppStateSyncKey) error {
	return c.retry(ctx, func() error {
		value, version, err := c.get(ctx, c.hotPK(), appKeySK(id))
		if err != nil {
			return err
		}
		if version > 0 {
			if known, err := decodeAppKey(value); err != nil || known.key.Timestamp >= key.Timestamp {
				return err
			}
		}
		return c.write(ctx, c.put(c.hotPK(), appKeySK(id), appKey{id, key}.encode(), version))
	})
}

func (c *Container) getAppKey(ctx context.Context, id []byte) (*wastore.AppStateSyncKey, error) {
	value, version, err := c.get(ctx, c.hotPK(), appKeySK(id))
	if err != nil || version == 0 {
		return nil, err
	}
	known, err := decodeAppKey(value)
	return &known.key, err
}

// appKeys returns all keys, the newest first.
func (c *Container) appKeys(ctx context.Context) (all []appKey, err error) {
	err = c.each(ctx, store.Query{PK: c.hotPK(), Prefix: appKeyPrefix}, func(item store.Item) (bool, error) {
		value, err := c.open(item)
		if err != nil {
			return false, err
		}
		k, err := decodeAppKey(value)
		all = append(all, k)
		return true, err
	})
	slices.SortStableFunc(all, func(a, b appKey) int { return int(b.key.Timestamp - a.key.Timestamp) })
	return all, err
}

func (c *Container) latestAppKey(ctx context.Context) ([]byte, error) {
	all, err := c.appKeys(ctx)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all[0].id, nil
}

// App state: for each collection its version, and the MACs of its mutations on a
// shelf. A collection that is begun anew gets a new shelf, so that no MAC of
// before can be met, even if wiping the old one is interrupted.

type appState struct {
	version    uint64 // 0: none
	hash       []byte
	generation uint64
}

const (
	stateNumber     fieldNumber = 1
	stateHash       fieldNumber = 2
	stateGeneration fieldNumber = 3
)

func (c *Container) appState(ctx context.Context, name string) (s appState, item int64, err error) {
	value, item, err := c.get(ctx, c.bulkPK(), versionPrefix+part(name))
	if err != nil {
		return s, 0, err
	}
	err = decode(value, func(number fieldNumber, f field) (bool, error) {
		switch number {
		case stateNumber:
			s.version = f.n
		case stateHash:
			s.hash = f.b
		case stateGeneration:
			s.generation = f.n
		default:
			return false, nil
		}
		return true, nil
	})
	return s, item, err
}

// changeAppState replaces a collection's state.
func (c *Container) changeAppState(ctx context.Context, name string, change func(*appState)) (before appState, err error) {
	err = c.retry(ctx, func() error {
		s, item, err := c.appState(ctx, name)
		if err != nil {
			return err
		}
		before = s
		change(&s)
		if s.version == before.version && s.generation == before.generation && bytes.Equal(s.hash, before.hash) {
			return nil
		}
		var e encoder
		e.number(stateNumber, s.version)
		e.bytes(stateHash, s.hash)
		e.number(stateGeneration, s.generation)
		return c.write(ctx, c.put(c.bulkPK(), versionPrefix+part(name), e, item))
	})
	return before, err
}

func (c *Container) putAppVersion(ctx context.Context, name string, version uint64, hash [128]byte) error {
	_, err := c.changeAppState(ctx, name, func(s *appState) { s.version, s.hash = version, hash[:] })
	return err
}

func (c *Container) getAppVersion(ctx context.Context, name string) (version uint64, hash [128]byte, err error) {
	s, _, err := c.appState(ctx, name)
	if err != nil || s.version == 0 {
		return 0, hash, err
	}
	if len(s.hash) != len(hash) {
		return 0, hash, fmt.Errorf("%s: %w", versionPrefix, errMalformed)
	}
	return s.version, [128]byte(s.hash), nil
}

func (c *Container) deleteAppVersion(ctx context.Context, name string) error {
	before, err := c.changeAppState(ctx, name, func(s *appState) {
		if s.version > 0 {
			*s = appState{generation: s.generation + 1}
		}
	})
	if err != nil || before.version == 0 {
		return err
	}
	return c.deleteAll(ctx, store.Query{PK: c.bulkPK(), Prefix: c.macs(name, before).prefix})
}

func (c *Container) macs(name string, s appState) shelf {
	return shelf{c, fmt.Sprintf("%s%s#%d#", macPrefix, part(name), s.generation)}
}

// A MAC's value on the shelf: the version that set it, 8 bytes, then the MAC.

func (c *Container) putMACs(ctx context.Context, name string, version uint64, mutations []wastore.AppStateMutationMAC) error {
	s, _, err := c.appState(ctx, name)
	if err != nil {
		return err
	}
	values := make(map[string][]byte, len(mutations))
	keys := make([]string, len(mutations))
	for i, mutation := range mutations {
		keys[i] = string(mutation.IndexMAC)
		values[keys[i]] = append(binary.BigEndian.AppendUint64(nil, version), mutation.ValueMAC...)
	}
	return c.macs(name, s).update(ctx, keys, func(key string, old []byte) []byte {
		if len(old) >= 8 && bytes.Compare(old[:8], values[key][:8]) > 0 {
			return old
		}
		return values[key]
	})
}

func (c *Container) deleteMACs(ctx context.Context, name string, indexMACs [][]byte) error {
	s, _, err := c.appState(ctx, name)
	if err != nil {
		return err
	}
	keys := make([]string, len(indexMACs))
	for i, mac := range indexMACs {
		keys[i] = string(mac)
	}
	return c.macs(name, s).update(ctx, keys, func(string, []byte) []byte { return nil })
}

func (c *Container) getMAC(ctx context.Context, name string, indexMAC []byte) ([]byte, error) {
	s, _, err := c.appState(ctx, name)
	if err != nil {
		return nil, err
	}
	value, err := c.macs(name, s).get(ctx, string(indexMAC))
	if err != nil || len(value) < 8 {
		return nil, err
	}
	return value[8:], nil
}
