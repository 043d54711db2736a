package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
)

// WhatsApp falls silent while messages, read marks and a logout wait for it: a
// worker that is told to leave waits no longer than it must, and what waited is
// done by the next one.
func TestLeave_WhileWhatsAppIsSilent(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"stall", "blackhole"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f := newField(t)
			s := f.now()
			friend := newNumber()
			sending, leaving := s.active(f.w, "sending"), s.active(f.w, "leaving")
			id := f.w.writes(friend, sending.PhoneNumber, "a secret text, in")
			eventually(t, "the text in the log", soon, func() bool { return len(f.texts(sending)[friend]) == 1 })
			var ends []func()
			for _, c := range []enlace.Channel{sending, leaving} {
				ends = append(ends, f.w.fault(fault{Kind: kind, Number: c.PhoneNumber}))
			}
			m := s.post(sending, text(friend, "a secret text, out"))
			s.untilMessage(sending, m.ID, enlace.Sending)
			s.call(202, "POST", path(sending)+"/messages/"+id+"/read", "")
			s.call(202, "POST", path(leaving)+"/logout", "")
			time.Sleep(500 * time.Millisecond) // for them to be under way

			begin := time.Now()
			s.signal(syscall.SIGTERM)
			if code := s.exit(soon); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it left after %s", took)
			} else {
				t.Logf("it left after %s", took)
			}
			for _, end := range ends {
				end()
			}
			f.s = f.serve()
			f.s.untilMessage(sending, m.ID, enlace.Delivered)
			f.s.untilEnds(leaving, enlace.Inactive, enlace.ReasonLoggedOut)
			same(t, "at the phone", []string{"a secret text, out"}, func() []string {
				var texts []string
				for _, m := range f.w.received(friend) {
					texts = append(texts, m.Text)
				}
				return texts
			})
		})
	}
}
