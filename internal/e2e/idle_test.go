package e2e

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/counted"
	"github.com/enlacehq/enlace/store/memory"
)

// linkMore links n more channels, each to an account of its own.
func (p *inProcess) linkMore(n int) {
	p.Helper()
	for k := range n {
		c, err := p.callers.Connect(p.ctx, store.ConnectRequest{CompanyID: "acme", Type: enlace.WhatsAppWeb, Name: fmt.Sprint("more ", k)})
		if err != nil {
			p.Fatal(err)
		}
		is := func(what string, ok func(enlace.Channel) bool) enlace.Channel {
			p.until(what, func() bool {
				c, err = p.callers.Channel(p.ctx, "acme", c.ID)
				return err == nil && ok(c)
			})
			return c
		}
		shown := is("a QR code", func(c enlace.Channel) bool { return c.QR != nil })
		if _, err := p.phones.Scan(p.ctx, fmt.Sprint(15550100000+k), shown.QR.Code); err != nil {
			p.Fatal(err)
		}
		is("an active channel", func(c enlace.Channel) bool { return c.Status == enlace.Active })
	}
}

// An hour of many connected channels with nothing to do asks the table for no more
// than an hour of one: neither the worker nor the client reads or writes by itself.
func TestIdle_ConnectedChannelsCostNothing(t *testing.T) {
	t.Parallel()
	hour := func(n int) (uses counted.Uses) {
		synctest.Test(t, func(t *testing.T) {
			table, counts := counted.Wrap(memory.New(memory.Options{}))
			p := startInProcess(t, table)
			p.linkMore(n - 1)
			time.Sleep(5 * time.Minute)
			counts.Take()
			time.Sleep(time.Hour)
			uses = counts.Take()
			if got := p.phones.Stats(); got.Connections != n || got.Logins != n {
				t.Errorf("at WhatsApp %+v, want %d quiet connections", got, n)
			}
		})
		return uses
	}
	one, many := hour(1), hour(8)
	for _, did := range []counted.Did{counted.Read, counted.Put, counted.Delete} {
		few, lots := one.Sum(did).Items, many.Sum(did).Items
		if lots > few+few/100 {
			t.Errorf("%s: %d items in an hour of 8 channels, %d in an hour of one\n%s\n%s", did, lots, few, one, many)
		}
	}
	if one.Sum(counted.Put).Items == 0 {
		t.Error("nothing was counted")
	}
}
