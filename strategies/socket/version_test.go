package socket

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

const newer = whatsapptest.DefaultRevision + 10

func TestRun_OutdatedClientFetchesTheVersionAndGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{Revision: newer, MinRevision: newer})
		c := w.channel("ch_1", enlace.Pairing{})
		c.link(number)
		c.start().next("connected")
		if n := w.tap.count(""); n != 1 {
			t.Errorf("the version page was read %d times, want once", n)
		}
	})
}

func TestRun_OutdatedChannelsShareOneRefresh(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{Revision: newer, MinRevision: newer})
		one := w.channel("ch_1", enlace.Pairing{}).start()
		two := w.channel("ch_2", enlace.Pairing{}).start()
		one.next("qr")
		two.next("qr")
		if n := w.tap.count(""); n != 1 {
			t.Errorf("the version page was read %d times, want once", n)
		}
	})
}

func TestRun_OutdatedWithoutANewerVersion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{MinRevision: newer}) // its page names the old one
		c := w.channel("ch_1", enlace.Pairing{})
		for range 3 {
			end := c.start().end(strategies.CauseOutdated)
			if end.Code != "405" || !errors.Is(end.Err, errNoNewerVersion) {
				t.Errorf("ended with code %q, %v; want 405, %v", end.Code, end.Err, errNoNewerVersion)
			}
		}
		if n := w.tap.count(""); n != 1 {
			t.Errorf("the version page was read %d times within an hour, want once", n)
		}
		if err := w.srv.SetVersion(whatsapptest.Version{Revision: newer, Minimum: newer}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		c.start().next("qr")
		if n := w.tap.count(""); n != 2 {
			t.Errorf("the version page was read %d times in more than an hour, want twice", n)
		}
	})
}

// noPage answers the version page with an error.
type noPage struct{ http.RoundTripper }

func (n noPage) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(r)
	if strings.Trim(r.URL.Path, "/") == "" {
		resp.Body.Close()
		return nil, errTest
	}
	return resp, err
}

func TestRun_VersionThatCannotBeFetched(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var base *tap
		w := newWorld(t, whatsapptest.Options{Revision: newer, MinRevision: newer}, func(o *Options) {
			base = o.Transport.(*tap)
			o.Transport = noPage{base}
		})
		c := w.channel("ch_1", enlace.Pairing{})
		if end := c.start().end(strategies.CauseOutdated); !errors.Is(end.Err, errTest) {
			t.Errorf("ended by %v, want %v", end.Err, errTest)
		}
		c.start().end(strategies.CauseOutdated)
		if n := base.count(""); n != 1 {
			t.Errorf("the version page was asked for %d times in a minute, want once", n)
		}
		time.Sleep(time.Minute)
		c.start().end(strategies.CauseOutdated)
		if n := base.count(""); n != 2 {
			t.Errorf("the version page was asked for %d times after a minute, want twice", n)
		}
	})
}
