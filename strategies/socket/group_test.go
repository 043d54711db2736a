package socket

import (
	"errors"
	"testing"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

// A group that the account is not in ends a message before it is being sent, or
// it would be tried for as long as an unanswered one.
func TestPrepare_OnlyForGroupsOfTheAccount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		defer r.stop()
		own, err := w.srv.CreateGroup("friends", number, friend)
		if err != nil {
			t.Fatal(err)
		}
		others, err := w.srv.CreateGroup("others", friend, "15550188")
		if err != nil {
			t.Fatal(err)
		}
		prepare := func(group string, status enlace.MessageStatus) error {
			_, err := c.client.Prepare(t.Context(), &store.Outbound{
				Seq: 1, WhatsAppID: "3EB0", Chat: group, Status: status,
				Message: enlace.Outgoing{To: group, RecipientType: enlace.Group, Type: enlace.TypeText, Text: &enlace.Text{Body: "x"}},
			})
			return err
		}
		if err := prepare(own, enlace.Queued); err != nil {
			t.Errorf("the account's own group: %v", err)
		}
		for name, refused := range map[string]struct {
			group  string
			status enlace.MessageStatus
			code   enlace.Code
		}{
			"no such group":          {"120363000000000000@g.us", enlace.Queued, enlace.CodeRefused},
			"a group of others":      {others, enlace.Queued, enlace.CodeRefused},
			"which was sent already": {others, enlace.Sending, enlace.CodeOutcomeUnknown},
		} {
			var final *strategies.SendError
			if err := prepare(refused.group, refused.status); !errors.As(err, &final) || !final.Final || final.Code != refused.code {
				t.Errorf("%s: got %v, want the end with %s", name, err, refused.code)
			}
		}
	})
}
