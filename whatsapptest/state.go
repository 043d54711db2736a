package whatsapptest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// stateSchema is the version of the state file's form.
const stateSchema = 1

// stateFile keeps track of what is in the state file.
type stateFile struct {
	path    string
	current atomic.Uint64 // the version in memory

	writing sync.Mutex
	kept    uint64 // the version in the file, guarded by writing
}

// touch says that the state in memory has changed.
func (f *stateFile) touch() { f.current.Add(1) }

func (f *stateFile) version() uint64 { return f.current.Load() }

// savedState is the state file.
type savedState struct {
	Schema int          `json:"schema"`
	Root   []byte       `json:"root"`
	Static []byte       `json:"static"`
	Phones []savedPhone `json:"phones"`
}

type savedPhone struct {
	Number     string        `json:"number"`
	LID        string        `json:"lid"`
	Identity   []byte        `json:"identity"`
	Offline    bool          `json:"offline,omitempty"`
	Absent     bool          `json:"absent,omitempty"`
	LastDevice uint16        `json:"lastDevice,omitempty"`
	KeyIndex   uint32        `json:"keyIndex,omitempty"`
	Passkey    *savedPasskey `json:"passkey,omitempty"`
	Devices    []savedDevice `json:"devices,omitempty"`
}

type savedPasskey struct {
	ID  []byte `json:"id"`
	Key []byte `json:"key"`
}

type savedDevice struct {
	ID           uint16    `json:"id"`
	Noise        []byte    `json:"noise"`
	Identity     []byte    `json:"identity"`
	Registration uint32    `json:"registration"`
	Signed       []byte    `json:"signed"` // id, public key, signature
	PreKeys      []byte    `json:"preKeys,omitempty"`
	Platform     string    `json:"platform,omitempty"`
	LinkedAt     time.Time `json:"linkedAt"`
}

// keepNow returns when the state as it is now is in the file.
func (s *Server) keepNow() error { return s.keep(s.state.version()) }

// keep returns when a version of the state, or a later one, is in the file. Many
// may wait: the one that writes writes for all. The file is replaced as a whole,
// so that a process killed at any moment leaves the old one or the new one.
func (s *Server) keep(version uint64) error {
	if s.state.path == "" {
		return nil
	}
	s.state.writing.Lock()
	defer s.state.writing.Unlock()
	if s.state.kept >= version {
		return nil
	}
	s.mu.Lock()
	version = s.state.version()
	raw, err := json.Marshal(s.saved())
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := replaceFile(s.state.path, raw); err != nil {
		return err
	}
	s.state.kept = version
	return nil
}

// replaceFile writes beside the file and renames. A kill is survived; a power
// failure may not be: this is no file to keep for years.
func replaceFile(path string, raw []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = tmp.Write(raw)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// load reads the state file, or makes a new state.
func (s *Server) load() error {
	var saved savedState
	if s.state.path != "" {
		raw, err := os.ReadFile(s.state.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			if err := json.Unmarshal(raw, &saved); err != nil {
				return fmt.Errorf("%s is no state file: %w", s.state.path, err)
			}
			if saved.Schema != stateSchema {
				return fmt.Errorf("%s has schema %d; this program knows %d", s.state.path, saved.Schema, stateSchema)
			}
		}
	}
	if s.opts.RootKey != nil {
		saved.Root = s.opts.RootKey
	}
	var err error
	if s.id, err = newIdentity(saved.Root, saved.Static); err != nil {
		return fmt.Errorf("%s: %w", s.state.path, err)
	}
	for _, sp := range saved.Phones {
		p, err := sp.restore()
		if err != nil {
			return fmt.Errorf("%s: %w", s.state.path, err)
		}
		s.phones[p.number], s.lids[p.lid] = p, p
	}
	if saved.Schema == 0 {
		s.state.touch()
	}
	return s.keepNow()
}

// saved copies what is to be kept, under s.mu.
func (s *Server) saved() savedState {
	saved := savedState{Schema: stateSchema, Root: s.id.root.Bytes(), Static: s.id.static.Bytes()}
	for _, p := range s.phones {
		saved.Phones = append(saved.Phones, p.saved())
	}
	return saved
}

func (p *phone) saved() savedPhone {
	saved := savedPhone{
		Number: p.number, LID: p.lid, Identity: p.identity.Bytes(), Offline: !p.online, Absent: p.absent,
		LastDevice: p.lastDevice, KeyIndex: p.keyIndex, Passkey: p.passkey.saved(),
	}
	for _, d := range p.devices {
		signed := append(append(append([]byte(nil), d.signed.ID[:]...), d.signed.Public[:]...), d.signed.Signature[:]...)
		saved.Devices = append(saved.Devices, savedDevice{
			ID: d.id, Noise: d.noise[:], Identity: d.identity[:], Registration: d.registration, Signed: signed,
			PreKeys: d.preKeys, Platform: d.platform, LinkedAt: d.linkedAt,
		})
	}
	return saved
}

func (saved savedPhone) restore() (*phone, error) {
	identity, err := privateKey(saved.Identity)
	if err != nil {
		return nil, fmt.Errorf("a phone's identity key: %w", err)
	}
	p := &phone{
		number: saved.Number, lid: saved.LID, identity: identity, online: !saved.Offline, absent: saved.Absent,
		lastDevice: saved.LastDevice, keyIndex: saved.KeyIndex, devices: make(map[uint16]*device),
	}
	if p.passkey, err = saved.Passkey.restore(); err != nil {
		return nil, err
	}
	for _, sd := range saved.Devices {
		if len(sd.Noise) != 32 || len(sd.Identity) != 32 || len(sd.Signed) != 99 || len(sd.PreKeys)%preKeySize != 0 {
			return nil, errors.New("a device's keys have wrong lengths")
		}
		p.devices[sd.ID] = &device{
			phone: p, id: sd.ID, noise: [32]byte(sd.Noise), identity: [32]byte(sd.Identity), registration: sd.Registration,
			signed: signedPreKey{
				ID: [3]byte(sd.Signed[:3]), Public: [32]byte(sd.Signed[3:35]), Signature: [64]byte(sd.Signed[35:]),
			},
			preKeys: sd.PreKeys, platform: sd.Platform, linkedAt: sd.LinkedAt,
		}
	}
	return p, nil
}
