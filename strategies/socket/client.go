package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
)

// afterwards bounds what is stored when a session is over, in spite of a context
// that may have been cancelled.
const afterwards = 10 * time.Second

// client connects one channel.
type client struct {
	strategy *Strategy
	owner    owner
	log      *slog.Logger

	mu         sync.Mutex
	state      credentials // nil while unreadable is set
	unreadable error       // why the credentials cannot be read
	session    *session    // the one that runs, if any

	half bool // a device whose linking failed is still stored; Run's own
}

var _ strategies.Client = (*client)(nil)

func (s *Strategy) open(ctx context.Context, o owner) (*client, error) {
	c := &client{strategy: s, owner: o, log: s.log.With("channel", o.ChannelID())}
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// load reads the channel's state. What cannot be read is remembered, not returned.
func (c *client) load(ctx context.Context) error {
	state, err := c.strategy.openState(ctx, c.owner)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.state, c.unreadable = state, nil
	case isUnreadable(err):
		c.state, c.unreadable = nil, err
	default:
		return fmt.Errorf("load the channel's credentials: %w", err)
	}
	return nil
}

// Linked reports whether there are credentials, readable or not.
func (c *client) Linked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unreadable != nil || c.state.Paired()
}

// Run opens one session. A client that WhatsApp calls outdated is tried once
// more, if there is a newer version to present.
func (c *client) Run(ctx context.Context, observer strategies.Observer) strategies.End {
	version, err := c.strategy.versions.get(ctx)
	if err != nil {
		return strategies.End{Cause: strategies.CauseStopped}
	}
	end := c.connect(ctx, observer, version)
	if end.Cause != strategies.CauseOutdated {
		return end
	}
	c.log.Info("WhatsApp asks for a newer client", "version", version.String())
	version, err = c.strategy.versions.newer(ctx, version)
	switch {
	case ctx.Err() != nil:
		return strategies.End{Cause: strategies.CauseStopped}
	case err != nil:
		end.Err = err
		return end
	}
	return c.connect(ctx, observer, version)
}

// Forget removes the channel's credentials and Signal state.
func (c *client) Forget(ctx context.Context) error {
	c.mu.Lock()
	state := c.state
	c.mu.Unlock()
	if state != nil {
		return state.Forget(ctx)
	}
	if err := wipe(ctx, c.owner.Table(), c.owner.ChannelID()); err != nil {
		return err
	}
	return c.load(ctx)
}

// Close frees what the client holds.
func (c *client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != nil {
		c.state.Close()
	}
}

var (
	errNoPasskey  = enlace.Errorf(enlace.CodeNoPasskey, "WhatsApp asks this channel for no passkey now")
	errNotRunning = errors.New("the channel is not connected")
)

// running returns the session that runs, or nil.
func (c *client) running() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// AnswerPasskey passes on a WebAuthn answer. Errors: CodeNoPasskey when nothing
// was asked, CodeInvalidRequest when it is no answer, and WhatsApp's refusal,
// which also ends the session.
func (c *client) AnswerPasskey(ctx context.Context, response json.RawMessage) error {
	if s := c.running(); s != nil {
		return s.answerPasskey(ctx, response)
	}
	return errNoPasskey
}

// ConfirmPasskey says that the code which the channel shows is the phone's.
func (c *client) ConfirmPasskey(ctx context.Context) error {
	if s := c.running(); s != nil {
		return s.confirmPasskey(ctx)
	}
	return errNoPasskey
}

// Unlink removes the device from the account, and ends the session with CauseLoggedOut.
func (c *client) Unlink(ctx context.Context) error {
	if s := c.running(); s != nil {
		return s.unlink(ctx)
	}
	return errNotRunning
}
