package socket

import (
	"context"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow"
	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types"
)

// unlink asks WhatsApp to remove the device. It does not go through whatsmeow's
// Logout, which would also delete the device and drop the connection while
// WhatsApp may be closing it.
func (s *session) unlink(ctx context.Context) error {
	id, _ := s.notes.known()
	if id.IsEmpty() || !s.wa.IsLoggedIn() || !s.calls.enter() {
		return errNotRunning
	}
	defer s.calls.leave()
	ctx, cancel := s.joined(ctx)
	defer cancel()
	_, err := s.wa.DangerousInternals().SendIQ(ctx, whatsmeow.DangerousInfoQuery{
		Namespace: "md",
		Type:      "set",
		To:        types.ServerJID,
		NoRetry:   true,
		Content: []waBinary.Node{{
			Tag:   "remove-companion-device",
			Attrs: waBinary.Attrs{"jid": id, "reason": "user_initiated"},
		}},
	})
	var ended *whatsmeow.DisconnectedError
	if errors.As(err, &ended) && ended.Node != nil && streamErrorCode(ended.Node) == "401" {
		return nil // removed, and the session ended before the answer came
	}
	if err != nil {
		return fmt.Errorf("unlink the device: %w", brief(err))
	}
	s.post(unlinked{})
	return nil
}

// unlinked is the step that follows unlink.
type unlinked struct{}

// joined returns a context that ends with ctx or with the session.
func (s *session) joined(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
