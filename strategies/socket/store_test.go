package socket

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/types/events"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/seal"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/faulty"
	"github.com/enlacehq/enlace/strategies"
	"github.com/enlacehq/enlace/whatsapptest"
)

// TestRun_LinkingThatCannotBeStored has a write fail while a device is linked:
// WhatsApp must not hear that it is, and the next session begins anew.
func TestRun_LinkingThatCannotBeStored(t *testing.T) {
	for name, rule := range map[string]faulty.Rule{
		"refused":       {Call: faulty.Write, Err: errTest},
		"panic":         {Call: faulty.Write, Panic: "made for the test"},
		"second write":  {Call: faulty.Write, Nth: 2, Err: errTest},
		"done, unknown": {Call: faulty.Write, When: faulty.After},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c := w.channel("ch_1", enlace.Pairing{})
				r := c.start()
				code := r.next("qr").qr.Code
				rule := rule
				fault := c.owner.faults.Add(rule)
				scanned := make(chan error, 1)
				go func() {
					_, err := w.srv.Scan(context.Background(), number, code)
					scanned <- err
				}()
				r.end(strategies.CauseStore)
				if fault.Struck() == 0 {
					t.Fatal("nothing was written")
				}
				fault.Remove()
				if err := <-scanned; err == nil {
					t.Error("the phone takes the device for linked")
				}
				if devices, _ := w.srv.Devices(number); len(devices) != 0 {
					t.Errorf("the phone lists %+v, want no device", devices)
				}
				r = c.start()
				r.next("qr")
				r.stop()
			})
		})
	}
}

func TestRun_LoginThatCannotBeStored(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		c.link(number)
		fault := c.owner.faults.Add(faulty.Rule{Call: faulty.Write, Err: errTest})
		end := c.start().end(strategies.CauseStore) // its prekeys
		if !errors.Is(end.Err, errTest) {
			t.Errorf("ended by %v, want %v", end.Err, errTest)
		}
		fault.Remove()
		c.start().next("connected")
	})
}

// TestRun_WhatCannotBeRecordedEndsTheSession has the observer fail at each of its calls.
func TestRun_WhatCannotBeRecordedEndsTheSession(t *testing.T) {
	refuse := func(what string, failure func() error) func(*observer) {
		return func(o *observer) {
			o.refuse = func(told string) error {
				if told == what {
					return failure()
				}
				return nil
			}
		}
	}
	for name, failure := range map[string]func() error{
		"error": func() error { return errTest },
		"panic": func() error { panic(errTest) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c := w.channel("ch_1", enlace.Pairing{})
				c.start(refuse("qr", failure)).end(strategies.CauseStore)

				r := c.start(refuse("linked", failure))
				c.scan(number, r.next("qr").qr.Code)
				r.end(strategies.CauseStore)
				if !c.Linked() {
					t.Fatal("the credentials are gone, and the phone knows the device")
				}

				c.start(refuse("connected", failure)).end(strategies.CauseStore)
				c.start().next("connected")
			})
		})
		t.Run(name+", by code and passkey", func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				byCode := w.channel("ch_1", enlace.Pairing{Method: enlace.PairByCode, PhoneNumber: number})
				byCode.start(refuse("code", failure)).end(strategies.CauseStore)

				w.passkeyPhone()
				c := w.channel("ch_2", enlace.Pairing{})
				r := c.start(refuse("passkey", failure))
				c.scan(number, r.next("qr").qr.Code)
				r.end(strategies.CauseStore)
			})
		})
	}
}

func TestRun_WhatIsNotForPeopleIsAcknowledgedWhileTheSessionLives(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		dispatch := c.running().wa.DangerousInternals().DispatchEvent // false: to be acknowledged
		own := &events.Message{Info: types.MessageInfo{Category: "peer"}}
		if kept := dispatch(own); kept {
			t.Error("what the account's own devices say about themselves is not acknowledged")
		}
		r.stop()
		if kept := dispatch(own); !kept {
			t.Error("something is acknowledged after the session's end")
		}
	})
}

func TestRun_PanicOfTheHandlerEndsTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		if kept := c.running().wa.DangerousInternals().DispatchEvent((*events.Message)(nil)); !kept {
			t.Error("a panic counts as success")
		}
		r.end(strategies.CauseStore)
	})
}

func TestOpen_UnreadableCredentials(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, o *testOwner){
		"another key": func(t *testing.T, o *testOwner) {
			key, err := seal.NewDataKey(make([]byte, seal.KeyBytes))
			if err != nil {
				t.Fatal(err)
			}
			o.key = key
		},
		"damaged": func(t *testing.T, o *testOwner) { o.rewrite(t, func(v []byte) { v[len(v)-1]++ }) },
		"newer":   func(t *testing.T, o *testOwner) { o.rewrite(t, func(v []byte) { v[0] = 99 }) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, whatsapptest.Options{})
				c := w.channel("ch_1", enlace.Pairing{})
				c.link(number)
				spoil(t, c.owner)
				again := w.open(c.owner)
				if !again.Linked() {
					t.Error("a channel with credentials, readable or not, is not linked")
				}
				end := again.start().end(strategies.CauseUnreadable)
				if end.Err == nil {
					t.Error("no word of what was wrong")
				}
				if err := again.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				if again.Linked() {
					t.Error("the channel is linked after Forget")
				}
				again.start().next("qr")
			})
		})
	}
}

// rewrite changes the value of each item of the channel's Signal state.
func (o *testOwner) rewrite(t *testing.T, change func(value []byte)) {
	t.Helper()
	page, err := o.table.Query(t.Context(), store.Query{PK: store.SignalPK(o.id)})
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		change(item.Value)
		if err := o.table.Write(t.Context(), store.Put(item, store.Any)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpen_StoreThatDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		c.owner.faults.Add(faulty.Rule{Err: store.ErrUnavailable})
		if _, err := w.strategy.open(t.Context(), c.owner); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("opened with %v, want %v", err, store.ErrUnavailable)
		}
	})
}

func TestRun_StoppedWhileTheStoreDoesNotAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c := w.channel("ch_1", enlace.Pairing{})
		r := c.start()
		code := r.next("qr").qr.Code
		fault := c.owner.faults.Add(faulty.Rule{Call: faulty.Write, When: faulty.After}) // it is read again
		go w.srv.Scan(context.Background(), number, code)
		r.end(strategies.CauseStore)
		fault.Remove()
		c.owner.faults.Add(faulty.Rule{Delay: time.Hour})
		r = c.start()
		synctest.Wait()
		since := time.Now()
		r.stop()
		within(t, "the end", time.Since(since), 0, 0)
	})
}

func TestRun_StaleLeaseSendsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		synctest.Wait()
		sent := w.tap.sent()
		if sent == 0 {
			t.Fatal("the tap counts nothing")
		}
		c.owner.lease(errTest) // as when the process was stopped for long
		if err := c.Unlink(t.Context()); err == nil {
			t.Error("the device was unlinked")
		}
		if end := r.end(strategies.CauseStore); !errors.Is(end.Err, errTest) {
			t.Errorf("ended by %v, want %v", end.Err, errTest)
		}
		time.Sleep(time.Minute)
		if now := w.tap.sent(); now != sent {
			t.Errorf("%d bytes were sent", now-sent)
		}

		dials := w.tap.count("ws/chat")
		c.start().end(strategies.CauseStore)
		if now := w.tap.count("ws/chat"); now != dials {
			t.Error("it dialled")
		}
		c.owner.lease(nil)
		c.start().next("connected")
	})
}

func TestRun_LeaseThatRunsOutInSilenceIsNoticedByThePing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, whatsapptest.Options{})
		c, r := w.connected("ch_1", number)
		synctest.Wait()
		sent := w.tap.sent()
		c.owner.lease(errTest)
		r.end(strategies.CauseStore)
		if now := w.tap.sent(); now != sent {
			t.Errorf("%d bytes were sent", now-sent)
		}
	})
}
