package whatsapptest_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace/whatsapptest"
	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/socket"
	"go.mau.fi/whatsmeow/types/events"
)

// fault adds a fault and returns its id.
func fault(t *testing.T, srv *whatsapptest.Server, f whatsapptest.Fault) string {
	t.Helper()
	id, err := srv.AddFault(f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// logged out of a client and in again, as far as the server will have it.
func reconnect(c *client, srv *whatsapptest.Server) *client {
	c.t.Helper()
	before := srv.Stats().Connections
	c.Disconnect()
	poll(c.t, "the connection's end", func() bool { return srv.Stats().Connections < before })
	again := c.again()
	again.connect()
	return again
}

func TestRefuse_AnswersTheDialWithItsCode(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Refuse, Times: 2, Code: 504})
	c := newClient(t, srv)
	for range 2 {
		var status socket.ErrWithStatusCode
		if err := c.Connect(); !errors.As(err, &status) || status.StatusCode != 504 {
			t.Fatalf("Connect: got %v, want status 504", err)
		}
	}
	c.connect()
	await[*events.QR](c)
}

func TestRefuse_OnePhonesDevices(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	a, b := linked(t, srv, "15550001111"), linked(t, srv, "15550002222")
	id := fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Refuse, Number: "15550001111"})
	a = reconnect(a, srv)
	await[*events.Disconnected](a)
	b = reconnect(b, srv)
	await[*events.Connected](b)
	never[*events.Connected](a)
	if err := srv.RemoveFault(id); err != nil {
		t.Fatal(err)
	}
	a.connect()
	await[*events.Connected](a)
}

func TestDrop_CutsWhatIsOpenAndThenWhatLogsIn(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := linked(t, srv, "15550001111")
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Drop, Number: "15550001111", Times: 2})
	await[*events.Disconnected](c)
	c.connect()
	await[*events.Disconnected](c)
	c.connect()
	await[*events.Connected](c)
}

func TestDrop_CutsBetweenPairingAndLogin(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	c := newClient(t, srv)
	c.connect()
	qr := await[*events.QR](c)
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Drop, Number: "15550001111"})
	if _, err := srv.Scan(t.Context(), "15550001111", qr.Codes[0]); err != nil {
		t.Fatal(err)
	}
	await[*events.PairSuccess](c)
	poll(t, "the cut", func() bool { return !c.IsConnected() })
	never[*events.Disconnected](c)
	again := c.again()
	again.connect()
	await[*events.Connected](again)
}

func TestStreamError_TellsTheClientWhatItsCodeMeans(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	strike := func(t *testing.T, number string, code int) *client {
		c := linked(t, srv, number)
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.StreamError, Number: number, Code: code})
		return c
	}
	t.Run("503", func(t *testing.T) {
		t.Parallel()
		await[*events.Disconnected](strike(t, "15550000503", 503))
	})
	t.Run("515", func(t *testing.T) {
		t.Parallel()
		await[*events.Connected](strike(t, "15550000515", 515))
	})
	t.Run("401", func(t *testing.T) {
		t.Parallel()
		if out := await[*events.LoggedOut](strike(t, "15550000401", 401)); out.OnConnect {
			t.Error("the client was logged out on connect")
		}
	})
	t.Run("440", func(t *testing.T) {
		t.Parallel()
		await[*events.StreamReplaced](strike(t, "15550000440", 440))
	})
	t.Run("500", func(t *testing.T) {
		t.Parallel()
		if e := await[*events.StreamError](strike(t, "15550000500", 500)); e.Code != "500" {
			t.Errorf("got code %s", e.Code)
		}
	})
}

func TestFailure_TellsTheClientWhatItsCodeMeans(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	strike := func(t *testing.T, number string, code, expire int) *client {
		t.Parallel()
		c := linked(t, srv, number)
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Failure, Number: number, Code: code, Expire: expire})
		return reconnect(c, srv)
	}
	for name, code := range map[string]int{"401": 401, "403": 403, "406": 406} {
		t.Run(name, func(t *testing.T) {
			out := await[*events.LoggedOut](strike(t, "15550000"+name, code, 0))
			if !out.OnConnect || int(out.Reason) != code {
				t.Errorf("got %+v", out)
			}
		})
	}
	t.Run("402", func(t *testing.T) {
		ban := await[*events.TemporaryBan](strike(t, "15550000402", 402, 90))
		if ban.Expire != 90*time.Second || ban.Code != events.TempBanSentToTooManyPeople {
			t.Errorf("got %+v", ban)
		}
	})
	t.Run("405", func(t *testing.T) {
		await[*events.ClientOutdated](strike(t, "15550000405", 405, 0))
	})
	for name, code := range map[string]int{"500": 500, "503": 503} {
		t.Run(name, func(t *testing.T) {
			c := strike(t, "15550000"+name, code, 0)
			await[*events.Disconnected](c)
			c.connect()
			await[*events.Connected](c)
		})
	}
}

func TestFailure_WithoutNumberStopsPairing(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Failure, Code: 405})
	c := newClient(t, srv)
	c.connect()
	await[*events.ClientOutdated](c)
	never[*events.QR](c)
}

func TestMinRevision_RefusesOlderClientsUntilTheyFetchTheVersion(t *testing.T) {
	t.Parallel()
	srv := start(t, whatsapptest.Options{})
	if err := srv.SetVersion(whatsapptest.Version{Revision: 2000000000, Minimum: 2000000000}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, srv)
	c.connect()
	await[*events.ClientOutdated](c)
	latest, err := whatsmeow.GetLatestVersion(t.Context(), c.web)
	if err != nil || latest[2] != 2000000000 {
		t.Fatalf("the version page gave %v, %v", latest, err)
	}
	if err := srv.SetVersion(whatsapptest.Version{Revision: 2000000000}); err != nil {
		t.Fatal(err)
	}
	c.Disconnect()
	c.connect()
	await[*events.QR](c)
}

// bubble gives a server in a synctest bubble, and a client that is linked.
func bubble(t *testing.T, o whatsapptest.Options) (*whatsapptest.Server, *client) {
	t.Helper()
	pipe := whatsapptest.NewPipe()
	srv, stop := serve(t, o, pipe)
	t.Cleanup(stop)
	m := newMemStore()
	c := dialed(t, &http.Client{Transport: pipe.Transport()}, m, m.device)
	// Whatsmeow leaves a goroutine behind if a frame arrives while it disconnects.
	t.Cleanup(synctest.Wait)
	return srv, c
}

func TestStall_HoldsEverythingAndThenGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		c.link(srv, "15550001111")
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Stall, ForMs: 90_000})
		time.Sleep(time.Minute)
		await[*events.KeepAliveTimeout](c)
		time.Sleep(2 * time.Minute)
		await[*events.KeepAliveRestored](c)
		never[*events.Disconnected](c)
		if stats := srv.Stats(); stats.Logins != 1 {
			t.Errorf("%d logins, want 1", stats.Logins)
		}
	})
}

func TestStall_EndsWhenRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		c.link(srv, "15550001111")
		id := fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Stall, Number: "15550001111"})
		time.Sleep(time.Minute)
		await[*events.KeepAliveTimeout](c)
		if err := srv.RemoveFault(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		await[*events.KeepAliveRestored](c)
	})
}

func TestBlackhole_NeverComesBackAndNeverCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		c.link(srv, "15550001111")
		id := fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Blackhole})
		if err := srv.RemoveFault(id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		await[*events.KeepAliveTimeout](c)
		never[*events.KeepAliveRestored](c)
		never[*events.Disconnected](c)

		again := c.again()
		again.connect()
		await[*events.Connected](again)
		// The older client still speaks, into the void.
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := c.GetBlocklist(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a question into the void: %v", err)
		}
		time.Sleep(time.Minute)
		if stats := srv.Stats(); stats.Replaced != 1 || stats.Overlaps != 0 || stats.Connections != 1 {
			t.Errorf("stats %+v; want 1 replaced, 0 overlaps, 1 connection", stats)
		}
	})
}

func TestFaults_EndByTimesOrByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Refuse, ForMs: 5000})
		for range 3 {
			if err := c.Connect(); err == nil {
				t.Fatal("the connection was not refused")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		c.link(srv, "15550001111")
		// Without times and time these happen once.
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Failure, Number: "15550001111"})
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Drop, Number: "15550001111"})
		await[*events.Disconnected](c)
		c.connect()
		await[*events.Disconnected](c)
		c.connect()
		await[*events.Connected](c)
		if left := srv.Faults(); len(left) != 0 {
			t.Errorf("left are %+v", left)
		}
	})
}

func TestSlow_DelaysEachStanza(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		c.link(srv, "15550001111")
		synctest.Wait()
		fault(t, srv, whatsapptest.Fault{Kind: whatsapptest.Slow, Code: 700})
		begin := time.Now()
		if _, err := c.GetBlocklist(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 700*time.Millisecond {
			t.Errorf("the answer took %v, want 700ms", took)
		}
	})
}

func TestPairing_EndsWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		c.connect()
		await[*events.QR](c)
		time.Sleep(179 * time.Second)
		never[*events.Disconnected](c)
		time.Sleep(2 * time.Second)
		await[*events.Disconnected](c)
		if n := srv.Stats().Connections; n != 0 {
			t.Errorf("%d connections are open", n)
		}
	})
}

func TestDay_OfKeepalives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, c := bubble(t, whatsapptest.Options{})
		c.link(srv, "15550001111")
		time.Sleep(24 * time.Hour)
		never[*events.KeepAliveTimeout](c)
		never[*events.Disconnected](c)
		if n := srv.Stats().Stanzas; n < 24*60*2 {
			t.Errorf("%d stanzas in a day; want a ping each half minute", n)
		}
	})
}
