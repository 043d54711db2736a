package socket

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

const friend = "15550199"

// data is what the tests look at in an event's data.
type data struct {
	Message struct {
		From, To, ID, Type string
		FromUserID         string `json:"from_user_id"`
		GroupID            string `json:"group_id"`
		Text               struct{ Body string }
		Context            struct{ ID, From string }
		Unsupported        struct{ Type string }
		Reaction           struct {
			MessageID string `json:"message_id"`
			Emoji     string
		}
		Edit struct {
			OriginalMessageID string `json:"original_message_id"`
			Message           struct{ Text struct{ Body string } }
		}
	}
	Contact struct {
		Profile struct{ Name string }
		WaID    string `json:"wa_id"`
	}
	Origin string
}

func (n told) data(t *testing.T) data {
	t.Helper()
	var d data
	if err := json.Unmarshal(n.in.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// send has a phone write.
func (w *world) send(from string, m whatsapptest.Outgoing) string {
	w.t.Helper()
	id, err := w.srv.Send(from, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func TestReceived_Text(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		id := w.send(friend, whatsapptest.Outgoing{To: number, Text: "hello"})
		n := r.next("received")
		d := n.data(t)
		if n.in.Event != enlace.EventMessageReceived || d.Message.ID != id || d.Message.From != friend || d.Message.Type != "text" || d.Message.Text.Body != "hello" {
			t.Errorf("got %s %s", n.in.Event, n.in.Data)
		}
		if d.Message.FromUserID == "" || d.Contact.WaID != friend || d.Contact.Profile.Name == "" {
			t.Errorf("the contact is not known: %s", n.in.Data)
		}
		if n.in.Identity.ID != id || n.in.Identity.Sender != d.Message.FromUserID || n.in.Identity.Chat != d.Message.FromUserID {
			t.Errorf("identity %+v", n.in.Identity)
		}
		eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
	})
}

func TestReceived_TheFirstMessageOfAGroupIsOneEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		group, err := w.srv.CreateGroup("friends", friend, number)
		if err != nil {
			t.Fatal(err)
		}
		first := w.send(friend, whatsapptest.Outgoing{Group: group, Text: "one"})
		second := w.send(friend, whatsapptest.Outgoing{Group: group, Text: "two"})
		for _, want := range []struct{ id, text string }{{first, "one"}, {second, "two"}} {
			d := r.next("received").data(t)
			if d.Message.ID != want.id || d.Message.Text.Body != want.text || d.Message.GroupID == "" || d.Message.From != friend {
				t.Errorf("got %+v, want %+v", d, want)
			}
		}
		r.quiet()
	})
}

func TestReceived_WhatCannotBeRecordedComesAgain(t *testing.T) {
	for name, failure := range map[string]func() error{
		"error": func() error { return errTest },
		"panic": func() error { panic(errTest) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c, r := w.connected("ch_1", number)
				r.stop()
				r = c.start(func(o *observer) {
					o.refuse = func(what string) error {
						if what == "received" {
							return failure()
						}
						return nil
					}
				})
				r.next("connected")
				id := w.send(friend, whatsapptest.Outgoing{To: number, Text: "hello"})
				r.end(strategies.CauseStore)
				if got := w.srv.Stats().Unacknowledged; got == 0 {
					t.Fatal("a message was acknowledged that could not be recorded")
				}
				r = c.start()
				if d := r.skipTo("received").data(t); d.Message.ID != id || d.Message.Text.Body != "hello" {
					t.Errorf("got %+v", d)
				}
				eventually(t, "acknowledged", func() bool { return w.srv.Stats().Unacknowledged == 0 })
				r.stop()
				for len(r.told) > 0 {
					if n := <-r.told; n.what != "connected" {
						t.Errorf("told %s once more", n.what)
					}
				}
			})
		})
	}
}

func TestReceived_TheOwnPhoneWrites(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		w.srv.SetOnline(friend, false) // no receipts in between
		id := w.send(number, whatsapptest.Outgoing{To: friend, Text: "from the phone"})
		n := r.next("received")
		d := n.data(t)
		if n.in.Event != enlace.EventMessageSent || d.Origin != "phone" || d.Message.ID != id || d.Message.To != friend || d.Message.Text.Body != "from the phone" {
			t.Errorf("got %s %s", n.in.Event, n.in.Data)
		}
	})
}

// skipTo returns the next thing of that kind that is told.
func (r *run) skipTo(what string) told {
	r.t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case n := <-r.told:
			if n.what == what {
				return n
			}
		case <-limit:
			r.t.Fatalf("not told %s within a minute", what)
		}
	}
}

// quiet fails the test if the observer is told anything more.
func (r *run) quiet() {
	r.t.Helper()
	select {
	case n := <-r.told:
		r.t.Errorf("told %s %s, want nothing", n.what, n.in.Data)
	case <-time.After(time.Minute):
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not %s within a minute", what)
		}
	}
}

func TestReceived_TwiceUnderOneIDIsTheObserversToTell(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		w.send(friend, whatsapptest.Outgoing{To: number, Text: "hello", ID: "ABCDEF"})
		w.send(friend, whatsapptest.Outgoing{To: number, Text: "hello", ID: "ABCDEF", Addressing: "pn"})
		if first, second := r.next("received").in.Identity, r.next("received").in.Identity; first != second {
			t.Errorf("a resend under another kind of address is %+v and not %+v", second, first)
		}
	})
}

func TestReceived_UnreadableIsToldAndThenReadable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		_, r := w.connected("ch_1", number)
		w.send(friend, whatsapptest.Outgoing{To: number, Text: "first"})
		r.next("received")
		id := w.send(friend, whatsapptest.Outgoing{To: number, Text: "spoiled", Corrupt: true})
		n := r.next("unavailable")
		if n.in.Event != enlace.EventMessageUnavailable || n.in.Identity.ID != id {
			t.Errorf("got %s %+v", n.in.Event, n.in.Identity)
		}
		if d := r.next("received").data(t); d.Message.ID != id || d.Message.Text.Body != "spoiled" {
			t.Errorf("got %+v", d)
		}
	})
}
