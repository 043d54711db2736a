package socket

import (
	"errors"
	"time"

	waBinary "go.mau.fi/whatsmeow/binary"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace/strategies"
)

// banUnknown is how long a temporary ban is taken to last when WhatsApp does not say.
const banUnknown = time.Hour

// sees looks at each stanza that whatsmeow received, before whatsmeow acts on it:
// with which it refuses or ends a session, and why. whatsmeow's own events are
// not enough: it has none for some of these stanzas, and when the connection
// ends right after one, as it should, it may drop the stanza unhandled.
func (s *session) sees(node *waBinary.Node) {
	var end strategies.End
	switch node.Tag {
	case "failure":
		end = s.failure(node)
	case "stream:error":
		end = streamError(node)
	default:
		return
	}
	s.refused.Store(&end)
	select {
	case s.refusal <- struct{}{}:
	default:
	}
}

// refusedBy goes on from a session's end as WhatsApp announced it.
func (s *session) refusedBy(end strategies.End) {
	switch end.Cause {
	case strategies.CauseRestart:
		s.again()
		return
	case strategies.CauseLoggedOut, strategies.CauseLocked, strategies.CauseBanned:
		if !s.isLinked { // there is no device that could have been unlinked
			end.Cause, end.Err = strategies.CauseServer, errors.New("WhatsApp links no device now")
		}
	}
	s.end(end)
}

// failure translates WhatsApp's refusal of a login.
func (s *session) failure(node *waBinary.Node) strategies.End {
	ag := node.AttrGetter()
	end := strategies.End{Code: ag.OptionalString("reason")}
	switch events.ConnectFailureReason(ag.OptionalInt("reason")) {
	case events.ConnectFailureLoggedOut:
		end.Cause, end.Err = strategies.CauseLoggedOut, errors.New("the device was unlinked")
	case events.ConnectFailureMainDeviceGone:
		end.Cause, end.Err = strategies.CauseLocked, errors.New("WhatsApp locked the account's devices")
	case events.ConnectFailureUnknownLogout:
		end.Cause, end.Err = strategies.CauseBanned, errors.New("WhatsApp refuses the account")
	case events.ConnectFailureTempBanned:
		why := events.TempBanReason(ag.OptionalInt("code"))
		lasts := time.Duration(ag.OptionalInt("expire")) * time.Second
		if lasts <= 0 {
			lasts = banUnknown
		}
		end.Cause, end.Until = strategies.CauseTemporaryBan, s.now().Add(lasts)
		end.Err = errors.New("the account is banned for a time, " + why.String())
	case events.ConnectFailureClientOutdated:
		end.Cause, end.Err = strategies.CauseOutdated, errNoNewerVersion
	default:
		end.Cause, end.Err = strategies.CauseServer, errors.New("WhatsApp refuses the connection")
	}
	return end
}

// streamError translates WhatsApp's end of a session that it had accepted.
func streamError(node *waBinary.Node) strategies.End {
	end := strategies.End{Code: streamErrorCode(node)}
	conflict := node.GetChildByTag("conflict")
	switch kind := conflict.AttrGetter().OptionalString("type"); {
	case end.Code == "515":
		end.Cause = strategies.CauseRestart
	case end.Code == "401" && kind == "device_removed":
		end.Cause, end.Err = strategies.CauseLoggedOut, errors.New("the device was unlinked")
	case kind == "replaced":
		end.Cause, end.Err = strategies.CauseReplaced, errors.New("another connection uses the same credentials")
	default:
		end.Cause, end.Err = strategies.CauseServer, errors.New("WhatsApp ended the connection")
	}
	return end
}

// streamErrorCode returns the number of a stream error, or the word it has instead.
func streamErrorCode(node *waBinary.Node) string {
	if code := node.AttrGetter().OptionalString("code"); code != "" {
		return code
	}
	children := node.GetChildren()
	if len(children) == 0 {
		return ""
	}
	if word := children[0].AttrGetter().OptionalString("type"); word != "" {
		return word
	}
	return children[0].Tag
}
