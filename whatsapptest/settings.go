package whatsapptest

// Phone is what can be known of a phone.
type Phone struct {
	Number  string `json:"number"`
	JID     string `json:"jid"`
	LID     string `json:"lid"`
	Online  bool   `json:"online"`
	Absent  bool   `json:"absent"`
	Passkey bool   `json:"passkey"`
	// PasskeyCode is the code that the phone shows while a client is being linked
	// with a passkey; the client shows the same.
	PasskeyCode string `json:"passkeyCode,omitempty"`
}

// PhoneSettings change a phone; what is nil stays.
type PhoneSettings struct {
	// Passkey says whether a client must show the account's passkey to be linked.
	Passkey *bool `json:"passkey,omitempty"`
	// Absent takes the number off WhatsApp, as far as others can see.
	Absent *bool `json:"absent,omitempty"`
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
		Online: p.online, Absent: p.absent, Passkey: p.passkey != nil,
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
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.keepNow()
}
