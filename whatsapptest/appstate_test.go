package whatsapptest_test

import (
	"testing"

	"go.mau.fi/whatsmeow/appstate"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace/whatsapptest"
)

func TestAppState_IsReadWithTheKeyOfThePhone(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	name := "Alice"
	if _, err := srv.SetPhone(alice, whatsapptest.PhoneSettings{Name: &name}); err != nil {
		t.Fatal(err)
	}
	c := linked(t, srv, alice)
	if err := srv.ShareAppState(alice); err != nil {
		t.Fatal(err)
	}
	for await[*events.AppStateSyncComplete](c).Name != appstate.WAPatchCriticalBlock {
	}
	if got := c.Store.PushName; got != name {
		t.Errorf("the client knows its account as %q", got)
	}
	idle(t, srv)
}

func TestAppState_ClientAsksThePhoneForTheKey(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, alice)
	c.says(bob, "this also begins a session with the own phone")
	if err := srv.NotifyAppState(alice, string(appstate.WAPatchCriticalBlock)); err != nil {
		t.Fatal(err)
	}
	for await[*events.AppStateSyncComplete](c).Name != appstate.WAPatchCriticalBlock {
	}
	idle(t, srv)
}
