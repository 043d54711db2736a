// Package socket connects channels as devices that are linked to an account, the
// way WhatsApp Web does, on whatsmeow. A session is one connection: it shows the
// codes that link a device, logs a linked one in, and ends with the reason why,
// at the latest when WhatsApp has been silent for too long; it never connects
// again by itself. What it learns is recorded before WhatsApp hears that it was
// received, and what cannot be recorded ends the session first.
package socket

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/signal"
	"github.com/enlacehq/enlace/strategies"
)

// Options are what a Strategy needs. The zero value connects to WhatsApp.
type Options struct {
	// Endpoint is the server to connect to.
	Endpoint Endpoint
	// Transport carries all requests; nil is one that all channels share.
	Transport http.RoundTripper
	// Budget bounds the memory of all channels' Signal state; nil bounds each channel's own.
	Budget *signal.Budget
	Times  Times
	Log    *slog.Logger
	Now    func() time.Time
}

// Times are how long a session waits. Zero fields are those of DefaultTimes.
type Times struct {
	FirstQR     time.Duration // how long the first of six QR codes is shown
	NextQR      time.Duration // how long each other is
	PairingCode time.Duration // how long a pairing code can be used
	Passkey     time.Duration // how long the holder has for each step with a passkey, unless WhatsApp says
	Connect     time.Duration // a dial, and from it or from linking to being logged in
	Silence     time.Duration // without an answer to pings
	Keep        time.Duration // how long credentials are kept that WhatsApp refused as locked or banned
}

// DefaultTimes are WhatsApp's own times where it has some: six codes last 160 s,
// then it closes the connection, which ends a pairing code too.
func DefaultTimes() Times {
	return Times{
		FirstQR:     60 * time.Second,
		NextQR:      20 * time.Second,
		PairingCode: 160 * time.Second,
		Passkey:     2 * time.Minute,
		Connect:     30 * time.Second,
		Silence:     60 * time.Second,
		Keep:        7 * 24 * time.Hour,
	}
}

func (t Times) orDefault() Times {
	d := DefaultTimes()
	for _, f := range []struct{ set, otherwise *time.Duration }{
		{&t.FirstQR, &d.FirstQR},
		{&t.NextQR, &d.NextQR},
		{&t.PairingCode, &d.PairingCode},
		{&t.Passkey, &d.Passkey},
		{&t.Connect, &d.Connect},
		{&t.Silence, &d.Silence},
		{&t.Keep, &d.Keep},
	} {
		if *f.set == 0 {
			*f.set = *f.otherwise
		}
	}
	return t
}

// Strategy connects channels of the types WHATSAPP_WEB and WHATSAPP_BAILEYS.
type Strategy struct {
	budget    *signal.Budget
	times     Times
	log       *slog.Logger
	now       func() time.Time
	transport http.RoundTripper
	media     *http.Client
	versions  *versions
	// openState reads a channel's Signal state.
	openState func(ctx context.Context, o owner) (credentials, error)
}

var _ strategies.Strategy = (*Strategy)(nil)

// New makes the strategy of a program. With another endpoint than WhatsApp it
// sets whatsmeow's root key, which is a variable of that package: a program has
// one endpoint, and makes its strategy before anything connects.
func New(o Options) *Strategy {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.Endpoint.URL != nil && whatsmeow.WACertPubKey != o.Endpoint.RootKey {
		whatsmeow.WACertPubKey = o.Endpoint.RootKey
	}
	transport := o.Endpoint.transport(o.Transport)
	client := &http.Client{Transport: transport}
	s := &Strategy{
		budget:    o.Budget,
		times:     o.Times.orDefault(),
		log:       o.Log,
		now:       o.Now,
		transport: transport,
		media:     client,
		versions:  newVersions(client, o.Now),
	}
	s.openState = s.openSignal
	return s
}

// owner is what a client needs of its channel's owner.
type owner interface {
	ChannelID() string
	Pairing() enlace.Pairing
	Table() store.Table
	DataKey() *seal.DataKey
	StillOwner(ctx context.Context) error
	Fresh() error
	OldestSeen(ctx context.Context) (time.Time, error)
	SentContent(ctx context.Context, whatsAppID string) ([]byte, error)
	Quoted(ctx context.Context, id string) (store.Quoted, error)
}

var _ owner = (*store.Owner)(nil)

// Open reads the channel's credentials and Signal state. Credentials that cannot
// be read are no error here: Run then ends with CauseUnreadable, and Forget makes
// the channel linkable again.
func (s *Strategy) Open(ctx context.Context, o *store.Owner) (strategies.Client, error) {
	return s.open(ctx, o)
}
