package workers

import (
	"context"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
)

// settle decides what follows from the end of a session.
func (s *supervisor) settle(ctx context.Context, end strategies.End) error {
	now := time.Now()
	s.retry.ended(now)
	switch end.Cause {
	case strategies.CauseStopped:
		return nil // for a command, or by the lease: the next step sees
	case strategies.CauseRestart:
		if s.retry.restarts++; s.retry.restarts <= restartsMax {
			return nil
		}
		return s.refused(ctx, end, now)
	case strategies.CauseNetwork:
		if s.client.Linked() {
			return s.unreachable(ctx, enlace.ReasonNetwork, end, now)
		}
		return s.refused(ctx, end, now)
	case strategies.CauseServer:
		return s.refused(ctx, end, now)
	case strategies.CauseStore:
		return s.unreachable(ctx, enlace.ReasonServer, end, now)
	case strategies.CauseReplaced:
		return s.replaced(ctx, end, now)
	case strategies.CauseLoggedOut:
		if s.commandEndsIt(ctx) {
			return nil
		}
		if err := s.client.Forget(ctx); err != nil {
			return err
		}
		return s.owner.Inactive(ctx, enlace.ReasonLoggedOut)
	case strategies.CauseQRTimeout:
		return s.owner.Inactive(ctx, enlace.ReasonQRTimeout)
	case strategies.CausePairingTimeout:
		return s.owner.Inactive(ctx, enlace.ReasonPairingTimeout)
	case strategies.CauseTemporaryBan:
		until := end.Until.UTC().Truncate(time.Second)
		return s.owner.Failed(ctx, enlace.ReasonTemporaryBan, &until, lastError(end))
	default:
		return s.owner.Failed(ctx, failures[end.Cause], nil, lastError(end))
	}
}

// failures are the causes after which somebody must look at the channel.
var failures = map[strategies.Cause]enlace.Reason{
	strategies.CauseLocked:     enlace.ReasonLocked,
	strategies.CauseBanned:     enlace.ReasonBanned,
	strategies.CauseOutdated:   enlace.ReasonClientOutdated,
	strategies.CauseUnreadable: enlace.ReasonCredentialsUnreadable,
}

// unreachable tries again, for ever.
func (s *supervisor) unreachable(ctx context.Context, reason enlace.Reason, end strategies.End, now time.Time) error {
	s.retry.again(now)
	return s.reconnecting(ctx, reason, end, enlace.Reconnect{Attempt: s.retry.tries})
}

// refused tries again, up to the number of attempts that the worker allows.
func (s *supervisor) refused(ctx context.Context, end strategies.End, now time.Time) error {
	if s.retry.refusals++; s.retry.refusals > s.retry.max {
		return s.owner.Failed(ctx, enlace.ReasonReconnectExhausted, nil, lastError(end))
	}
	s.retry.again(now)
	return s.reconnecting(ctx, enlace.ReasonServer, end, enlace.Reconnect{Attempt: s.retry.refusals, Max: s.retry.max})
}

// replaced looks who it was: a new owner, or somebody outside who uses the same credentials.
func (s *supervisor) replaced(ctx context.Context, end strategies.End, now time.Time) error {
	if err := s.owner.StillOwner(ctx); err != nil {
		return err
	}
	if !s.retry.replacedNow(now) {
		return s.owner.Failed(ctx, enlace.ReasonReplaced, nil, lastError(end))
	}
	return s.reconnecting(ctx, enlace.ReasonServer, end, enlace.Reconnect{Attempt: len(s.retry.replaced), Max: replacedMax})
}

func (s *supervisor) reconnecting(ctx context.Context, reason enlace.Reason, end strategies.End, reconnect enlace.Reconnect) error {
	reconnect.NextAt = s.retry.next.UTC().Truncate(time.Millisecond)
	return s.owner.Reconnecting(ctx, reason, reconnect, lastError(end))
}

func lastError(end strategies.End) *enlace.LastError {
	code := end.Code
	if code == "" {
		code = end.Cause.String()
	}
	message := "the session ended: " + end.Cause.String()
	if end.Err != nil {
		message = end.Err.Error()
	}
	return &enlace.LastError{Code: code, Message: message}
}
