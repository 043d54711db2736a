package whatsapptest

import (
	"crypto/ecdh"
	"errors"
	"fmt"
	"time"

	grouprecord "go.mau.fi/libsignal/groups/state/record"
	"go.mau.fi/libsignal/state/record"
)

// savedState is the state file. Chat states that phones have seen, and files,
// are not kept.
type savedState struct {
	Schema int          `json:"schema"`
	Root   []byte       `json:"root"`
	Static []byte       `json:"static"`
	IDs    uint64       `json:"ids"`
	Phones []savedPhone `json:"phones"`
	Groups []savedGroup `json:"groups,omitempty"`
}

type savedPhone struct {
	Number        string              `json:"number"`
	LID           string              `json:"lid"`
	Name          string              `json:"name"`
	Signal        savedSignal         `json:"signal"`
	Offline       bool                `json:"offline,omitempty"`
	Absent        bool                `json:"absent,omitempty"`
	Silent        bool                `json:"silent,omitempty"`
	LastDevice    uint16              `json:"lastDevice,omitempty"`
	KeyIndex      uint32              `json:"keyIndex,omitempty"`
	Passkey       *savedPasskey       `json:"passkey,omitempty"`
	Devices       []savedDevice       `json:"devices,omitempty"`
	Inbox         []Message           `json:"inbox,omitempty"`
	Outbox        []Message           `json:"outbox,omitempty"`
	Kept          map[string]archived `json:"kept,omitempty"`
	Queue         []*waiting          `json:"queue,omitempty"`
	Held          []*waiting          `json:"held,omitempty"`
	Retries       map[string]int      `json:"retries,omitempty"`
	Undecryptable int                 `json:"undecryptable,omitempty"`
	Receipts      []Receipt           `json:"receipts,omitempty"`
	Watchers      []savedWatcher      `json:"watchers,omitempty"`
}

type savedWatcher struct {
	Number string `json:"number"`
	Device uint16 `json:"device"`
	Form   string `json:"form"`
}

type savedSignal struct {
	Identity     []byte                                     `json:"identity"`
	Registration uint32                                     `json:"registration"`
	Signed       []byte                                     `json:"signed"`
	PreKeys      map[uint32][]byte                          `json:"preKeys,omitempty"`
	NextPreKey   uint32                                     `json:"nextPreKey"`
	Sessions     map[string]*record.SessionStructure        `json:"sessions,omitempty"`
	SenderKeys   map[string]*grouprecord.SenderKeyStructure `json:"senderKeys,omitempty"`
}

type savedPasskey struct {
	ID  []byte `json:"id"`
	Key []byte `json:"key"`
}

type savedDevice struct {
	ID           uint16     `json:"id"`
	Noise        []byte     `json:"noise"`
	Identity     []byte     `json:"identity"`
	Registration uint32     `json:"registration"`
	Signed       []byte     `json:"signed"` // id, public key, signature
	PreKeys      []byte     `json:"preKeys,omitempty"`
	KeyIndex     uint32     `json:"keyIndex"`
	Platform     string     `json:"platform,omitempty"`
	LinkedAt     time.Time  `json:"linkedAt"`
	Queue        []*waiting `json:"queue,omitempty"`
	History      bool       `json:"history,omitempty"`
}

type savedGroup struct {
	ID      string                     `json:"id"`
	Subject string                     `json:"subject"`
	Members []string                   `json:"members"`
	Created int64                      `json:"created"`
	Keys    map[string]map[string]bool `json:"keys,omitempty"`
}

// saved is what is to be kept, under s.mu.
func (s *Server) saved() savedState {
	saved := savedState{Schema: stateSchema, Root: s.id.root.Bytes(), Static: s.id.static.Bytes(), IDs: s.ids}
	for _, p := range s.phones {
		saved.Phones = append(saved.Phones, p.saved())
	}
	for _, g := range s.groups {
		sg := savedGroup{ID: g.id, Subject: g.subject, Created: g.created, Keys: g.keys}
		for _, p := range g.members {
			sg.Members = append(sg.Members, p.number)
		}
		saved.Groups = append(saved.Groups, sg)
	}
	return saved
}

func (p *phone) saved() savedPhone {
	saved := savedPhone{
		Number: p.number, LID: p.lid, Name: p.name, Signal: p.signal.saved(),
		Offline: !p.online, Absent: p.absent, Silent: p.silent,
		LastDevice: p.lastDevice, KeyIndex: p.keyIndex, Passkey: p.passkey.saved(),
		Inbox: p.inbox.list, Outbox: p.outbox.list, Kept: p.kept, Queue: p.queue, Held: p.held,
		Retries: p.retries, Undecryptable: p.undecryptable, Receipts: p.receipts,
	}
	for w := range p.watchers {
		saved.Watchers = append(saved.Watchers, savedWatcher{w.device.phone.number, w.device.id, w.form})
	}
	for _, d := range p.devices {
		saved.Devices = append(saved.Devices, d.saved())
	}
	return saved
}

func (d *device) saved() savedDevice {
	signed := append(append(append([]byte(nil), d.signed.ID[:]...), d.signed.Public[:]...), d.signed.Signature[:]...)
	return savedDevice{
		ID: d.id, Noise: d.noise[:], Identity: d.identity[:], Registration: d.registration, Signed: signed,
		PreKeys: d.preKeys, KeyIndex: d.keyIndex, Platform: d.platform, LinkedAt: d.linkedAt, Queue: d.queue, History: d.history,
	}
}

func (s *signalStore) saved() savedSignal {
	saved := savedSignal{
		Identity: s.identity.Bytes(), Registration: s.registration, Signed: s.signed.Bytes(),
		PreKeys: make(map[uint32][]byte), NextPreKey: s.nextPreKey, Sessions: s.sessions, SenderKeys: s.senderKeys,
	}
	for id, key := range s.preKeys {
		saved.PreKeys[id] = key.Bytes()
	}
	return saved
}

// restore takes what has been kept.
func (s *Server) restore(saved savedState) error {
	s.ids = saved.IDs
	for _, sp := range saved.Phones {
		p, err := sp.restore()
		if err != nil {
			return err
		}
		s.phones[p.number], s.lids[p.lid] = p, p
	}
	for _, sp := range saved.Phones {
		for _, w := range sp.Watchers {
			if owner := s.phones[w.Number]; owner != nil && owner.devices[w.Device] != nil {
				s.phones[sp.Number].watch(owner.devices[w.Device], w.Form)
			}
		}
	}
	for _, sg := range saved.Groups {
		g := &group{id: sg.ID, subject: sg.Subject, created: sg.Created, keys: sg.Keys}
		if g.keys == nil {
			g.keys = make(map[string]map[string]bool)
		}
		for _, number := range sg.Members {
			if s.phones[number] == nil {
				return errors.New("a group has a member that is no phone")
			}
			g.members = append(g.members, s.phones[number])
		}
		s.groups[g.id] = g
	}
	return nil
}

func (saved savedPhone) restore() (*phone, error) {
	signal, err := saved.Signal.restore()
	if err != nil {
		return nil, err
	}
	p := &phone{
		number: saved.Number, lid: saved.LID, name: saved.Name, signal: signal,
		online: !saved.Offline, absent: saved.Absent, silent: saved.Silent,
		lastDevice: saved.LastDevice, keyIndex: saved.KeyIndex, devices: make(map[uint16]*device),
		inbox: newBox(saved.Inbox), outbox: newBox(saved.Outbox), kept: saved.Kept, queue: saved.Queue, held: saved.Held,
		retries: saved.Retries, undecryptable: saved.Undecryptable, receipts: saved.Receipts,
	}
	if p.kept == nil {
		p.kept = make(map[string]archived)
	}
	if p.retries == nil {
		p.retries = make(map[string]int)
	}
	if p.passkey, err = saved.Passkey.restore(); err != nil {
		return nil, err
	}
	for _, sd := range saved.Devices {
		d, err := sd.restore(p)
		if err != nil {
			return nil, err
		}
		p.devices[d.id] = d
	}
	return p, nil
}

func (saved savedDevice) restore(p *phone) (*device, error) {
	if len(saved.Noise) != 32 || len(saved.Identity) != 32 || len(saved.Signed) != 99 || len(saved.PreKeys)%preKeySize != 0 {
		return nil, errors.New("a device's keys have wrong lengths")
	}
	return &device{
		phone: p, id: saved.ID, noise: [32]byte(saved.Noise), identity: [32]byte(saved.Identity), registration: saved.Registration,
		signed: signedPreKey{
			ID: [3]byte(saved.Signed[:3]), Public: [32]byte(saved.Signed[3:35]), Signature: [64]byte(saved.Signed[35:]),
		},
		preKeys: saved.PreKeys, keyIndex: saved.KeyIndex, platform: saved.Platform, linkedAt: saved.LinkedAt,
		queue: saved.Queue, history: saved.History,
	}, nil
}

func (saved savedSignal) restore() (*signalStore, error) {
	store := &signalStore{
		registration: saved.Registration, nextPreKey: saved.NextPreKey, preKeys: make(map[uint32]*ecdh.PrivateKey),
		sessions: saved.Sessions, senderKeys: saved.SenderKeys,
	}
	if store.sessions == nil {
		store.sessions = make(map[string]*record.SessionStructure)
	}
	if store.senderKeys == nil {
		store.senderKeys = make(map[string]*grouprecord.SenderKeyStructure)
	}
	var err error
	if store.identity, err = savedKey(saved.Identity); err != nil {
		return nil, err
	}
	if store.signed, err = savedKey(saved.Signed); err != nil {
		return nil, err
	}
	for id, raw := range saved.PreKeys {
		if store.preKeys[id], err = savedKey(raw); err != nil {
			return nil, err
		}
	}
	return store, nil
}

func savedKey(raw []byte) (*ecdh.PrivateKey, error) {
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("a phone's key: %w", err)
	}
	return key, nil
}
