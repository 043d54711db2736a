package whatsapptest_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace/whatsapptest"
	"go.mau.fi/whatsmeow/types/events"
	"go.mau.fi/whatsmeow/util/keys"
)

func TestTakeover_OfALivingClientIsAnOverlap(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	first := linked(t, srv, "15550001111")
	second := first.again()
	second.connect()
	await[*events.Connected](second)
	await[*events.StreamReplaced](first)
	poll(t, "the overlap", func() bool { return srv.Stats().Overlaps == 1 })
	poll(t, "the older connection's end", func() bool { return srv.Stats().Connections == 1 })
	if stats := srv.Stats(); stats.Replaced != 1 || stats.Overlaps != 1 {
		t.Errorf("stats %+v; want 1 replaced, 1 overlap", stats)
	}
	never[*events.StreamReplaced](second)
}

func TestTakeover_AfterTheEndIsNone(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, "15550001111")
	for range 10 {
		c.Disconnect()
		c = c.again()
		c.connect()
		await[*events.Connected](c)
	}
	if stats := srv.Stats(); stats.Logins != 11 || stats.Replaced != 0 || stats.Overlaps != 0 {
		t.Errorf("stats %+v; want 11 logins, 0 replaced, 0 overlaps", stats)
	}
}

func TestTakeover_OlderClientIsNotHandledAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, first := bubble(t, whatsapptest.Options{})
		first.link(srv, "15550001111")
		second := first.again()
		second.connect()
		await[*events.Connected](second)
		before := srv.Stats().Stanzas
		if _, err := first.GetBlocklist(t.Context()); err == nil {
			t.Error("the replaced client got an answer")
		}
		if after := srv.Stats().Stanzas; after != before {
			t.Errorf("%d stanzas of the replaced client were handled", after-before)
		}
	})
}

func TestUnlink_TheClientHearsIt(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, "15550001111")
	stopped := linked(t, srv, "15550001111")
	stopped.Disconnect()
	for id := 1; id <= 2; id++ {
		if err := srv.Unlink("15550001111", id); err != nil {
			t.Fatal(err)
		}
	}
	if out := await[*events.LoggedOut](c); out.OnConnect {
		t.Error("the connected client was logged out on connect")
	}
	stopped.connect()
	if out := await[*events.LoggedOut](stopped); !out.OnConnect || out.Reason != events.ConnectFailureLoggedOut {
		t.Errorf("the client that came back heard %+v", out)
	}
	if err := srv.Unlink("15550001111", 1); err == nil {
		t.Error("a device was unlinked twice")
	}
}

func TestLogout_UnlinksTheDevice(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, "15550001111")
	if err := c.Logout(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := srv.Devices("15550001111"); err != nil || len(list) != 0 {
		t.Errorf("the phone lists %+v, %v", list, err)
	}
	never[*events.LoggedOut](c)
}

func TestLogin_OfAnUnknownDeviceIsRefused(t *testing.T) {
	t.Parallel()
	c := linked(t, start(t, whatsapptest.Options{}), "15550001111")
	c.Disconnect()
	c.web = webTo(t, start(t, whatsapptest.Options{}))
	again := c.again()
	again.connect()
	await[*events.LoggedOut](again)
}

func TestLogin_WithAnotherKeyIsRefused(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, "15550001111")
	c.Disconnect()
	again := c.again()
	again.Store.NoiseKey = keys.NewKeyPair()
	again.connect()
	await[*events.LoggedOut](again)
}

func TestState_SurvivesTheServer(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	srv, stop := startUntil(t, whatsapptest.Options{StateFile: file})
	a, b := linked(t, srv, "15550001111"), linked(t, srv, "15550002222")
	before, err := srv.Devices("15550001111")
	if err != nil {
		t.Fatal(err)
	}
	// What a killed server leaves is what was in the file at any moment after an answer.
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	await[*events.Disconnected](a)
	await[*events.Disconnected](b)
	if err := os.WriteFile(file, kept, 0o600); err != nil {
		t.Fatal(err)
	}

	srv = start(t, whatsapptest.Options{StateFile: file})
	for _, c := range []*client{a, b} {
		c.web = webTo(t, srv)
		again := c.again()
		again.connect()
		await[*events.Connected](again)
	}
	after, err := srv.Devices("15550001111")
	if err != nil || len(after) != 1 || after[0] != before[0] {
		t.Errorf("the phone lists %+v, %v; before it was %+v", after, err, before)
	}
	if left, _ := filepath.Glob(file + ".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestState_KeepsTheServersKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	first, err := whatsapptest.New(whatsapptest.Options{StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	second, err := whatsapptest.New(whatsapptest.Options{StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if first.RootKey() != second.RootKey() {
		t.Error("the root key changed")
	}
}

func TestNew_SaysWhatIsWrongWithTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"cut": `{"schema":1,"ro`, "newer": `{"schema":99}`, "keys": `{"schema":1,"root":"AAAA"}`} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := whatsapptest.New(whatsapptest.Options{StateFile: file}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := whatsapptest.New(whatsapptest.Options{StateFile: filepath.Join(dir, "no", "folder")}); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

func TestServe_ManyAtOnce(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	t.Run("clients", func(t *testing.T) {
		for i := range 20 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				linked(t, srv, fmt.Sprintf("1555000%04d", 1000+i%5))
			})
		}
	})
	var devices int
	for i := range 5 {
		list, err := srv.Devices(fmt.Sprintf("1555000%04d", 1000+i))
		if err != nil {
			t.Fatal(err)
		}
		devices += len(list)
	}
	if devices != 20 {
		t.Errorf("%d devices are linked, want 20", devices)
	}
}

func TestClose_AnswersLateRequests(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, stop := serve(t, whatsapptest.Options{}, ln)
	c := linked(t, srv, "15550001111")
	begin := time.Now()
	stop()
	await[*events.Disconnected](c)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	srv.Close()
}
