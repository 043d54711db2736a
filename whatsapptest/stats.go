package whatsapptest

import "encoding/hex"

// Stats are what the server has counted.
type Stats struct {
	// RootKey is the public key that clients must trust, in hex.
	RootKey string `json:"rootKey"`
	// Connections are the websockets open now.
	Connections int `json:"connections"`
	// Logins are the successful ones since the start.
	Logins int `json:"logins"`
	// Replaced are the logins that found an older connection of the same device.
	Replaced int `json:"replaced"`
	// Overlaps are those of them in which the older client showed itself alive
	// within a second of being told: two sessions lived at once.
	Overlaps int `json:"overlaps"`
	// Stanzas are those received from clients since the start.
	Stanzas int `json:"stanzas"`
	// Unacknowledged are the stanzas for clients that no client has acknowledged yet.
	Unacknowledged int `json:"unacknowledged"`
	// QRs are the sets of QR codes given out since the start.
	QRs int `json:"qrs"`
}

// counters are the Stats that cannot be derived.
type counters struct {
	logins, replaced, overlaps, stanzas, qrs int
}

// Stats returns what the server has counted until now.
func (s *Server) Stats() Stats {
	root := s.RootKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	var unacknowledged int
	for _, p := range s.phones {
		for _, d := range p.devices {
			unacknowledged += len(d.queue)
		}
	}
	return Stats{
		RootKey:     hex.EncodeToString(root[:]),
		Connections: len(s.conns),
		Logins:      s.stats.logins,
		Replaced:    s.stats.replaced,
		Overlaps:    s.stats.overlaps,
		Stanzas:     s.stats.stanzas,

		Unacknowledged: unacknowledged,
		QRs:            s.stats.qrs,
	}
}
