package socket

import (
	"time"

	"go.mau.fi/whatsmeow/appstate"
)

// shareWait is how long a session waits for the account's phone to share the keys
// of what it shares with its devices.
const shareWait = time.Minute

// catchUp reads what the account's phone shares with its devices, such as the
// account's name, if that was never read a minute after the login. whatsmeow
// acknowledges the keys before it stores them, so that a crash may have lost
// them, and the phone shares them once: missing ones are asked for.
func (s *session) catchUp() {
	if !s.calls.enter() {
		return
	}
	go func() {
		defer s.calls.leave()
		defer s.recovered(nil)
		wait(s.over, shareWait)
		if s.dead.Load() {
			return
		}
		if err := s.wa.FetchAppState(s.ctx, appstate.WAPatchCriticalBlock, false, true); err != nil {
			s.log.Debug("what the account shares is not read yet", "error", brief(err))
		}
	}()
}
