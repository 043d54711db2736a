package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/enlacehq/enlace"
)

// phoneSends has a phone send a message as the control API takes it.
func (w *whatsApp) phoneSends(from string, message map[string]any) string {
	w.Helper()
	var answer struct{ ID string }
	w.call(http.MethodPost, "/phones/"+from+"/messages", message, &answer)
	return answer.ID
}

func (w *whatsApp) online(number string, online bool) {
	w.Helper()
	w.call(http.MethodPost, "/phones/"+number+"/online", map[string]bool{"online": online}, nil)
}

// atPhone waits until the texts that a phone received are as wanted.
func (f *field) atPhone(number string, want ...string) {
	f.Helper()
	same(f, "at the phone", want, func() []string {
		var texts []string
		for _, m := range f.w.received(number) {
			texts = append(texts, m.Text)
		}
		return texts
	})
}

// inLog waits until the texts that a channel received from a phone are as wanted.
func (f *field) inLog(c enlace.Channel, number string, want ...string) {
	f.Helper()
	same(f, "in the log", want, func() []string { return f.texts(c)[number] })
}

// A recipient that cannot read a message asks for it again after the server was
// killed, and gets it.
func TestCrash_RetryReceiptIsAnswered(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.now().untilMessage(c, f.now().post(c, text(friend, "a secret text, 1")).ID, enlace.Delivered)
	f.w.online(friend, false)
	m := f.now().post(c, text(friend, "a secret text, 2"))
	f.now().untilMessage(c, m.ID, enlace.Sent)
	f.crash()
	f.now().untilActive(c)
	f.w.call(http.MethodPost, "/phones/"+friend+"/reinstall", nil, nil) // it has lost the keys to read it
	f.w.online(friend, true)
	f.now().untilMessage(c, m.ID, enlace.Delivered)
	eventually(t, "the text at the phone", soon, func() bool {
		return slices.ContainsFunc(f.w.received(friend), func(m phoneMessage) bool { return m.Text == "a secret text, 2" })
	})
}

// A contact whose keys changed is read and written to.
func TestMessages_AContactWhoseKeysChanged(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend := newNumber()
	f.w.writes(friend, c.PhoneNumber, "a secret text, 1")
	f.inLog(c, friend, "a secret text, 1")
	s.untilMessage(c, s.post(c, text(friend, "a secret text, back 1")).ID, enlace.Delivered)
	f.w.call(http.MethodPost, "/phones/"+friend+"/reinstall", nil, nil)
	f.w.writes(friend, c.PhoneNumber, "a secret text, 2")
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2")
	s.untilMessage(c, s.post(c, text(friend, "a secret text, back 2")).ID, enlace.Delivered)
}

// Fifty messages are held back on their way and come after later ones.
func TestMessages_SkippedAndLate(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.w.writes(friend, c.PhoneNumber, "a secret text, first")
	var late []string
	for n := range 50 {
		text := fmt.Sprintf("a secret text, late %d", n)
		f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": text, "hold": true})
		late = append(late, text)
	}
	f.w.writes(friend, c.PhoneNumber, "a secret text, last")
	f.inLog(c, friend, "a secret text, first", "a secret text, last")
	f.crash() // the keys of those that were skipped are kept
	f.now().untilActive(c)
	f.w.call(http.MethodPost, "/phones/"+friend+"/release", map[string]any{}, nil)
	f.inLog(c, friend, append([]string{"a secret text, first", "a secret text, last"}, late...)...)
}

// A message that comes twice, and one that its sender sends again under its id,
// is one event.
func TestMessages_TwiceIsOnce(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.w.fault(fault{Kind: "duplicate", Number: c.PhoneNumber, Times: 3})
	id := f.w.writes(friend, c.PhoneNumber, "a secret text, 1")
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, 1", "id": id})
	f.crash()
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, 1", "id": id, "addressing": "pn"})
	f.w.writes(friend, c.PhoneNumber, "a secret text, 2")
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2")
}

// A message that cannot be read is told of once, and follows once, though its
// sender and the own phone may both bring it.
func TestMessages_UnreadableFollows(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.w.writes(friend, c.PhoneNumber, "a secret text, 1")
	f.inLog(c, friend, "a secret text, 1")
	f.w.phoneSends(friend, map[string]any{"to": c.PhoneNumber, "text": "a secret text, 2", "corrupt": true})
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2")
	f.w.writes(friend, c.PhoneNumber, "a secret text, 3")
	f.inLog(c, friend, "a secret text, 1", "a secret text, 2", "a secret text, 3")
	count := 0
	for _, e := range f.allEvents(c) {
		if e.Event == enlace.EventMessageUnavailable {
			count++
		}
	}
	if count != 1 {
		t.Errorf("told %d times that a message cannot be read, want once", count)
	}
}

// Texts go into a group and come out of it.
func TestMessages_Group(t *testing.T) {
	t.Parallel()
	f := newField(t)
	s := f.now()
	c := s.active(f.w, "default")
	friend, other := newNumber(), newNumber()
	var group struct{ ID string }
	f.w.call(http.MethodPost, "/groups", map[string]any{"members": []string{friend, other, c.PhoneNumber}}, &group)
	f.w.phoneSends(friend, map[string]any{"group": group.ID, "text": "a secret text, in 1"})
	f.w.phoneSends(friend, map[string]any{"group": group.ID, "text": "a secret text, in 2"})
	f.inLog(c, friend, "a secret text, in 1", "a secret text, in 2")
	m := s.post(c, fmt.Sprintf(`{"to":%q,"recipient_type":"group","type":"text","text":{"body":"a secret text, out"}}`, group.ID))
	f.atPhone(friend, "a secret text, out")
	f.crash()
	f.now().untilMessage(c, m.ID, enlace.Delivered)
	f.w.phoneSends(other, map[string]any{"group": group.ID, "text": "a secret text, in 3"})
	f.inLog(c, other, "a secret text, in 3")
}

// The account's own phone writes: that is an event of its own.
func TestMessages_TheOwnPhoneWrites(t *testing.T) {
	t.Parallel()
	f := newField(t)
	c := f.now().active(f.w, "default")
	friend := newNumber()
	f.w.writes(c.PhoneNumber, friend, "a secret text")
	eventually(t, "message.sent", soon, func() bool {
		return slices.ContainsFunc(f.allEvents(c), func(e enlace.Event) bool { return e.Event == enlace.EventMessageSent })
	})
	if got := f.texts(c); len(got) != 0 {
		t.Errorf("received %v", got)
	}
}
