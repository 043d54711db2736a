package whatsapptest

// ForgetSessions makes a phone lose its Signal sessions.
func (s *Server) ForgetSessions(number string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.phones[number].signal.sessions)
}

// TakePreKeys fetches bundles of a device until only left one-time prekeys are there.
func (s *Server) TakePreKeys(number string, device uint16, left int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.phones[number]
	for p.devices[device].preKeys.count() > left {
		if _, err := s.bundleOf(p, device); err != nil {
			return err
		}
	}
	return nil
}
