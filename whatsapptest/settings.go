package whatsapptest

import "math/rand/v2"

// Phone is what can be known of a phone.
type Phone struct {
	Number  string `json:"number"`
	JID     string `json:"jid"`
	LID     string `json:"lid"`
	Name    string `json:"name"`
	Online  bool   `json:"online"`
	Absent  bool   `json:"absent"`
	Silent  bool   `json:"silent"`
	Passkey bool   `json:"passkey"`
	// PasskeyCode is the code that the phone shows while a client is being linked
	// with a passkey; the client shows the same.
	PasskeyCode string `json:"passkeyCode,omitempty"`
	// Undecryptable is how many ciphertexts the phone could not decrypt. It asks
	// for them again.
	Undecryptable int `json:"undecryptable"`
}

// PhoneSettings change a phone; what is nil stays.
type PhoneSettings struct {
	// Passkey says whether a client must show the account's passkey to be linked.
	Passkey *bool `json:"passkey,omitempty"`
	// Absent takes the number off WhatsApp, as far as others can see.
	Absent *bool `json:"absent,omitempty"`
	// Silent makes the phone leave those unanswered who ask for a message again:
	// receivers that cannot decrypt it, and the own devices.
	Silent *bool `json:"silent,omitempty"`
	// Name is what others see as the owner's name.
	Name *string `json:"name,omitempty"`
}

// Phone returns a phone. Every number is one.
func (s *Server) Phone(number string) (Phone, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return Phone{}, err
	}
	return s.public(p), nil
}

func (s *Server) public(p *phone) Phone {
	out := Phone{
		Number: p.number, JID: p.jid(0).String(), LID: p.lidJID(0).String(),
		Name: p.name, Online: p.online, Absent: p.absent, Silent: p.silent, Passkey: p.passkey != nil,
		Undecryptable: p.undecryptable,
	}
	for c := range s.conns {
		if c.pairing != nil && c.pairing.phone == p && c.pairing.passkey != nil {
			out.PasskeyCode = c.pairing.passkey.code
		}
	}
	return out
}

// SetPhone changes a phone's settings and returns it.
func (s *Server) SetPhone(number string, set PhoneSettings) (Phone, error) {
	s.mu.Lock()
	p, err := s.setPhone(number, set)
	s.mu.Unlock()
	if err != nil {
		return Phone{}, err
	}
	return p, s.keepNow()
}

func (s *Server) setPhone(number string, set PhoneSettings) (Phone, error) {
	p, err := s.phoneFor(number)
	if err != nil {
		return Phone{}, err
	}
	if set.Absent != nil {
		p.absent = *set.Absent
	}
	if set.Silent != nil {
		p.silent = *set.Silent
	}
	if set.Name != nil {
		p.name = *set.Name
	}
	if set.Passkey != nil && *set.Passkey != (p.passkey != nil) {
		p.passkey = nil
		if *set.Passkey {
			if p.passkey, err = newPasskey(); err != nil {
				return Phone{}, err
			}
		}
	}
	s.state.touch()
	return s.public(p), nil
}

// SetOnline switches a phone off, or on again: what came meanwhile waits for it.
func (s *Server) SetOnline(number string, online bool) error {
	s.mu.Lock()
	p, err := s.phoneFor(number)
	if err == nil && p.online != online {
		p.online = online
		s.state.touch()
		s.catchUp(p)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}

// Reinstall makes a phone one that has just been set up with the same number:
// it has new keys and no Signal sessions, its linked devices are gone, and those
// who have written to it hear that its identity has changed.
func (s *Server) Reinstall(number string) error {
	s.mu.Lock()
	err := s.reinstall(number)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}

func (s *Server) reinstall(number string) error {
	p, err := s.phoneFor(number)
	if err != nil {
		return err
	}
	signal, err := newSignalStore(1 + rand.Uint32N(16380))
	if err != nil {
		return err
	}
	for _, d := range p.sorted() {
		s.unlink(d)
	}
	p.signal, p.held = signal, nil
	s.state.touch()
	for w := range p.watchers {
		if w.device.phone != p {
			s.notify(w.device, party{p, 0}.in(w.form), "encrypt", element("identity", nil, nil))
		}
	}
	for _, g := range s.groups {
		delete(g.keys, p.number)
		g.forgets(party{p, 0})
	}
	return nil
}
