package signal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waE2E"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"
	"google.golang.org/protobuf/proto"

	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/whatsapptest"
)

const (
	patience = 60 * time.Second
	account  = "15550002222"
	alice    = "15550001111"
	carol    = "15550003333"
)

// line keeps an account connected through whatsmeow with a container's stores,
// one session after another, as a supervisor does.
type line struct {
	*world
	srv    *whatsapptest.Server
	web    *http.Client
	conns  conns
	stop   context.CancelFunc
	done   chan struct{}
	linked chan struct{}

	mu       sync.Mutex
	client   *whatsmeow.Client // of the live session, nil between sessions
	ctx      context.Context
	state    *Container
	got      map[string]int // texts received
	order    []string
	seen     map[string]bool // identities of messages
	unread   []string        // messages that could not be decrypted
	sessions int
	crash    bool // the next session opens the state anew
}

func newLine(t *testing.T) *line {
	t.Helper()
	srv, err := whatsapptest.New(whatsapptest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	whatsmeow.WACertPubKey = srv.RootKey()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx, listener) }()
	l := &line{world: newWorld(t), srv: srv, done: make(chan struct{}), linked: make(chan struct{}), got: map[string]int{}, seen: map[string]bool{}}
	transport, err := whatsapptest.NewTransport("ws://"+listener.Addr().String(), &http.Transport{DialContext: l.conns.dial})
	if err != nil {
		t.Fatal(err)
	}
	l.web = &http.Client{Transport: transport}
	l.config.Now = nil
	l.config.Budget = NewBudget(20_000) // so that rows leave memory
	l.c.Close()
	l.open()
	var lineCtx context.Context
	lineCtx, l.stop = context.WithCancel(ctx)
	go l.run(lineCtx)
	t.Cleanup(func() {
		l.stop()
		<-l.done
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		l.web.CloseIdleConnections()
	})
	l.until("the account is linked and connected", func() bool { return l.live() != nil })
	return l
}

func (l *line) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		l.session(ctx)
	}
}

// session runs one session until a store call fails, the connection ends, or ctx does.
func (l *line) session(parent context.Context) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	var client *whatsmeow.Client
	// The connection goes before the context: whatsmeow does not survive for certain
	// that an answer comes while a request is given up, nor that it disconnects while
	// the connection ends. A client that was reading just then stays as it is.
	end := sync.OnceFunc(func() {
		l.conns.close()
		for deadline := time.Now().Add(50 * time.Millisecond); client != nil && client.IsConnected() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		cancel()
	})
	defer end()
	l.mu.Lock()
	crash := l.crash
	l.crash = false
	l.mu.Unlock()
	var device *wastore.Device
	err := protect(func() (err error) {
		if crash {
			c, err := Open(ctx, l.config)
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.c.Close()
			l.c = c
			l.mu.Unlock()
		}
		device, err = l.c.Device(ctx, func(error) { end() })
		return err
	})
	if err != nil {
		return
	}
	client = whatsmeow.NewClient(device, nil)
	client.SetWebsocketHTTPClient(l.web)
	client.SetPreLoginHTTPClient(l.web)
	client.SetMediaHTTPClient(l.web)
	client.BackgroundEventCtx = ctx
	client.EnableAutoReconnect = false
	client.DisableLoginAutoReconnect = true
	client.SynchronousAck = true
	client.EnableDecryptedEventBuffer = true
	client.ManualHistorySyncDownload = true
	client.AddEventHandlerWithSuccessStatus(func(event any) bool { return l.handle(ctx, end, client, event) })
	if err := client.ConnectContext(ctx); err != nil {
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		return
	}
	<-ctx.Done()
	l.mu.Lock()
	l.client = nil
	l.mu.Unlock()
}

// conns are the connections of a session.
type conns struct {
	mu   sync.Mutex
	open []net.Conn
}

func (c *conns) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		c.open = append(c.open, conn)
		c.mu.Unlock()
	}
	return conn, err
}

func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = nil
}

func (l *line) handle(ctx context.Context, end func(), client *whatsmeow.Client, event any) bool {
	switch e := event.(type) {
	case *events.QR:
		go func() {
			if _, err := l.srv.Scan(ctx, account, e.Codes[0]); err != nil && ctx.Err() == nil {
				l.Errorf("scan: %v", err)
			}
		}()
	case *events.PairSuccess:
		close(l.linked)
	case *events.ManualLoginReconnect: // comes while whatsmeow may still be linking
		<-l.linked
		end()
	case *events.Disconnected, *events.StreamError, *events.LoggedOut:
		end()
	case *events.Connected:
		l.mu.Lock()
		if ctx.Err() == nil {
			l.client, l.ctx, l.state = client, ctx, l.c
			l.sessions++
		}
		l.mu.Unlock()
	case *events.UndecryptableMessage:
		l.mu.Lock()
		l.unread = append(l.unread, e.Info.ID)
		l.mu.Unlock()
	case *events.Message:
		return l.take(ctx, e)
	}
	return true
}

// take appends a message to the log, as long as the session lives.
func (l *line) take(ctx context.Context, e *events.Message) bool {
	text := e.Message.GetConversation() + e.Message.GetExtendedTextMessage().GetText()
	if text == "" || e.Info.IsFromMe {
		return ctx.Err() == nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	identity := e.Info.Chat.User + e.Info.Sender.User + e.Info.ID
	if !l.seen[identity] {
		l.seen[identity] = true
		l.got[text]++
		l.order = append(l.order, text)
	}
	return true
}

func (l *line) live() *whatsmeow.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

func (l *line) until(what string, ok func() bool) {
	l.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.Fatalf("waited in vain until %s; %d sessions, %d messages in, unread %v, unacknowledged %d",
				what, l.sessions, len(l.order), l.unread, l.srv.Stats().Unacknowledged)
		}
	}
}

// say sends a text under one id until the server has it.
func (l *line) say(to, text string) {
	l.Helper()
	id := fmt.Sprintf("3EB0%018X", rand.Uint64())
	l.until("a message is sent", func() bool {
		l.mu.Lock()
		client, ctx, state := l.client, l.ctx, l.state
		l.mu.Unlock()
		if client == nil {
			return false
		}
		// Not the session's context: where that ends a request that was sent already,
		// whatsmeow closes a channel into which it may be writing the answer.
		sendCtx, done := state.WithSend(context.WithoutCancel(ctx))
		defer done()
		_, err := client.SendMessage(sendCtx, types.NewJID(to, types.DefaultUserServer),
			&waE2E.Message{Conversation: proto.String(text)}, whatsmeow.SendRequestExtra{ID: id, Timeout: 5 * time.Second})
		return err == nil
	})
}

// texts returns what a phone has received from the account.
func (l *line) texts(number string) []string {
	l.Helper()
	list, err := l.srv.Messages(number)
	l.no(err)
	var texts []string
	for _, m := range list.Messages {
		if m.From == account {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

func (l *line) from(number string, out whatsapptest.Outgoing) {
	l.Helper()
	_, err := l.srv.Send(number, out)
	l.no(err)
}

// TestTraffic_UnderFaultsNothingIsLostOrDoubled lets phones and the account write
// to each other while one in a few calls to the table fails, before or after its
// effect or by a panic, and processes "crash" in between. Every message must be
// handled, once, and in its sender's order.
func TestTraffic_UnderFaultsNothingIsLostOrDoubled(t *testing.T) {
	l := newLine(t)
	r := rand.New(rand.NewPCG(7, 7))
	var lock sync.Mutex
	injected := 0
	chance := func(what error) func(string, []store.Op) error {
		return func(string, []store.Op) error {
			lock.Lock()
			defer lock.Unlock()
			if r.IntN(25) > 0 {
				return nil
			}
			if injected++; injected%5 == 0 {
				panic("injected")
			}
			return what
		}
	}
	l.table.set(chance(errors.New("injected")), chance(store.ErrUnknown))

	const each = 40
	var want []string
	for n := range each {
		for _, number := range []string{alice, carol} {
			out := whatsapptest.Outgoing{To: account, Text: fmt.Sprintf("%s writes %d", number, n)}
			switch {
			case n%10 == 7:
				out.Session = "new"
			case n%10 == 9:
				out.Addressing = "pn"
			case n%4 == 3:
				out.Group = "team"
			}
			l.from(number, out)
			want = append(want, out.Text)
		}
		if n%3 == 0 {
			l.say(alice, fmt.Sprintf("the account writes %d", n))
		}
		if n%12 == 11 {
			l.mu.Lock()
			l.crash = true
			l.mu.Unlock()
		}
	}
	l.until("every message has come", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.got) >= len(want)
	})
	l.table.set(nil, nil)
	l.until("everything is acknowledged", func() bool { return l.srv.Stats().Unacknowledged == 0 })

	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d sessions, %d faults", l.sessions, injected)
	if l.sessions < 5 || injected < 10 {
		t.Errorf("%d sessions and %d faults: that was no trial", l.sessions, injected)
	}
	for _, text := range want {
		if l.got[text] != 1 {
			t.Errorf("%q came %d times", text, l.got[text])
		}
	}
	if len(l.unread) > 0 {
		t.Errorf("could not be decrypted: %v", l.unread)
	}
	for _, number := range []string{alice, carol} {
		var direct []string
		for _, text := range l.order {
			if n := 0; len(text) > len(number) && text[:len(number)] == number {
				if _, err := fmt.Sscanf(text[len(number):], " writes %d", &n); err == nil && (n%4 != 3 || n%10 == 7 || n%10 == 9) {
					direct = append(direct, fmt.Sprintf("%04d", n))
				}
			}
		}
		if !slices.IsSorted(direct) {
			t.Errorf("%s's messages came in the order %v", number, direct)
		}
	}
	sent := l.texts(alice)
	for n := 0; n < each; n += 3 {
		if text := fmt.Sprintf("the account writes %d", n); !slices.Contains(sent, text) {
			t.Errorf("%q did not reach the phone", text)
		}
	}
}

// A message that comes late, on a session that was replaced meanwhile, through
// whatsmeow: what follows on the newer session must be readable (see repair).
func TestTraffic_LateMessageOnArchivedSession(t *testing.T) {
	l := newLine(t)
	arrives := func(text string) {
		t.Helper()
		l.until(fmt.Sprintf("%q arrives", text), func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.got[text] == 1
		})
	}
	write := func(out whatsapptest.Outgoing) {
		t.Helper()
		out.To = account
		l.from(alice, out)
		if !out.Hold {
			arrives(out.Text)
		}
	}
	write(whatsapptest.Outgoing{Text: "first"})
	l.say(alice, "answer")
	write(whatsapptest.Outgoing{Text: "second"})
	write(whatsapptest.Outgoing{Text: "late", Hold: true})
	write(whatsapptest.Outgoing{Text: "on a new session", Session: "new"})
	l.say(alice, "answer on the new session")
	write(whatsapptest.Outgoing{Text: "and back"})
	l.no(l.srv.Release(alice))
	arrives("late")
	for n := range 5 {
		write(whatsapptest.Outgoing{Text: fmt.Sprintf("after %d", n)})
		l.say(alice, fmt.Sprintf("reply %d", n))
	}
	l.until("the phone has read everything", func() bool { return len(l.texts(alice)) == 7 })
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unread) > 0 {
		t.Errorf("could not be decrypted: %v", l.unread)
	}
	if l.sessions != 1 {
		t.Errorf("%d sessions, want one", l.sessions)
	}
}
