package whatsapptest

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"go.mau.fi/whatsmeow/types"
)

// nobodysCode is a country code that no country has: its numbers are not on
// WhatsApp unless they are put there.
const nobodysCode = "999"

// phone is an account and the phone it lives on. Its companions are devices.
// Guarded by Server.mu.
type phone struct {
	number string
	lid    string // the user part of its LID
	name   string // what others see as its owner's name
	signal *signalStore
	online bool
	absent bool // the number is not on WhatsApp
	silent bool // it answers nobody who asks for a message again

	devices    map[uint16]*device
	lastDevice uint16
	keyIndex   uint32           // of the last device linked
	watchers   map[watcher]bool // who knows the list of devices

	inbox, outbox *box
	kept          map[string]archived // messages by id, for those who ask again
	receipts      []Receipt
	chatStates    []ChatState
	queue         []*waiting // what has come while it is off
	held          []*waiting // what it has encrypted and not sent
	retries       map[string]int
	undecryptable int // ciphertexts

	passkey *passkey // set if linking a device takes one
}

// device is a companion linked to a phone. Guarded by Server.mu.
type device struct {
	phone        *phone
	id           uint16
	noise        [32]byte // the key that it logs in with
	identity     [32]byte
	registration uint32
	signed       signedPreKey
	preKeys      preKeys
	keyIndex     uint32
	platform     string
	linkedAt     time.Time
	queue        []*waiting // stanzas that it has not acknowledged
	history      bool       // it has been offered its phone's history
	conn         *conn      // nil while it is not connected
}

// cleanNumber takes a phone number with or without a plus sign and returns its
// digits; an Error if it cannot be one.
func cleanNumber(number string) (string, error) {
	digits := strings.TrimPrefix(number, "+")
	if len(digits) < 5 || len(digits) > 15 || digits[0] == '0' {
		return "", badRequest("bad_number", "a phone number is 5 to 15 digits and does not begin with 0")
	}
	for _, r := range digits {
		if r < '0' || r > '9' {
			return "", badRequest("bad_number", "a phone number is made of digits")
		}
	}
	return digits, nil
}

// phoneFor returns the phone of a number, which exists from then on.
func (s *Server) phoneFor(number string) (*phone, error) {
	digits, err := cleanNumber(number)
	if err != nil {
		return nil, err
	}
	if p := s.phones[digits]; p != nil {
		return p, nil
	}
	p, err := s.newPhone(digits)
	if err != nil {
		return nil, err
	}
	s.phones[digits], s.lids[p.lid] = p, p
	s.state.touch()
	return p, nil
}

func (s *Server) newPhone(number string) (*phone, error) {
	signal, err := newSignalStore(1 + rand.Uint32N(16380))
	if err != nil {
		return nil, err
	}
	return &phone{
		number:  number,
		lid:     s.newLID(number),
		name:    "Phone " + number[len(number)-4:],
		signal:  signal,
		online:  true,
		absent:  strings.HasPrefix(number, nobodysCode),
		devices: make(map[uint16]*device),
		inbox:   newBox(nil),
		outbox:  newBox(nil),
		kept:    make(map[string]archived),
		retries: make(map[string]int),
	}, nil
}

// newLID gives a number its LID: 15 digits that follow from it, so that they
// are the same at every server, and do not tell it.
func (s *Server) newLID(number string) string {
	for try := 0; ; try++ {
		sum := sha256.Sum256([]byte("lid/" + strconv.Itoa(try) + "/" + number))
		lid := strconv.FormatUint(100_000_000_000_000+binary.BigEndian.Uint64(sum[:])%900_000_000_000_000, 10)
		if s.lids[lid] == nil {
			return lid
		}
	}
}

func (p *phone) jid(device uint16) types.JID {
	return types.JID{User: p.number, Device: device, Server: types.DefaultUserServer}
}

func (p *phone) lidJID(device uint16) types.JID {
	return types.JID{User: p.lid, Device: device, Server: types.HiddenUserServer}
}

// freeDevice returns the number of the next device: one more than the last,
// beginning again at 1 after 250.
func (p *phone) freeDevice() (uint16, error) {
	id := p.lastDevice
	for range 250 {
		if id++; id > 250 {
			id = 1
		}
		if p.devices[id] == nil {
			return id, nil
		}
	}
	return 0, conflict("too_many_devices", "the phone has 250 linked devices")
}

// user returns the phone that a JID speaks of, by number or LID; nil if none.
func (s *Server) user(jid types.JID) *phone {
	switch jid.Server {
	case types.DefaultUserServer, types.LegacyUserServer:
		return s.phones[jid.User]
	case types.HiddenUserServer:
		return s.lids[jid.User]
	}
	return nil
}
