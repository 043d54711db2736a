package workers_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/enlacehq/enlace"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/strategies"
)

func TestSupervisor_QRToActive(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.set(b.phone.link)
		b.worker()
		c := b.connect()
		got := b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		if got.PhoneNumber != account.PhoneNumber || got.QR != nil || got.ConnectedAt == nil {
			b.Errorf("got %+v", got)
		}
		want := []enlace.EventName{enlace.EventConnecting, enlace.EventTaken, enlace.EventQR, enlace.EventConnecting, enlace.EventReady}
		if names := b.events(c.ID); !slices.Equal(names, want) {
			b.Errorf("events %v, want %v", names, want)
		}
	})
}

func TestSupervisor_EveryEndHasItsStatus(t *testing.T) {
	for _, test := range []struct {
		end    strategies.End
		status enlace.Status
		reason enlace.Reason
		forgot bool
	}{
		{strategies.End{Cause: strategies.CauseLoggedOut}, enlace.Inactive, enlace.ReasonLoggedOut, true},
		{strategies.End{Cause: strategies.CauseQRTimeout}, enlace.Inactive, enlace.ReasonQRTimeout, false},
		{strategies.End{Cause: strategies.CausePairingTimeout}, enlace.Inactive, enlace.ReasonPairingTimeout, false},
		{strategies.End{Cause: strategies.CauseLocked, Code: "403"}, enlace.Failed, enlace.ReasonLocked, false},
		{strategies.End{Cause: strategies.CauseBanned, Code: "406"}, enlace.Failed, enlace.ReasonBanned, false},
		{strategies.End{Cause: strategies.CauseOutdated, Code: "405"}, enlace.Failed, enlace.ReasonClientOutdated, false},
		{strategies.End{Cause: strategies.CauseUnreadable}, enlace.Failed, enlace.ReasonCredentialsUnreadable, false},
	} {
		t.Run(test.end.Cause.String(), func(t *testing.T) {
			inBubble(t, func(b *bundle) {
				b.phone.linked = test.status == enlace.Failed || test.forgot
				b.phone.ends(test.end)
				b.worker()
				c := b.connect()
				got := b.waitStatus(c.ID, 5*time.Second, test.status, test.reason)
				b.wait(c.ID, 5*time.Second, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
				if test.end.Code != "" && (got.LastError == nil || got.LastError.Code != test.end.Code) {
					b.Errorf("lastError %+v, want code %s", got.LastError, test.end.Code)
				}
				b.phone.read(func(p *phone) {
					if (p.forgets > 0) != test.forgot {
						b.Errorf("credentials forgotten %d times", p.forgets)
					}
					if p.sessions != 1 {
						b.Errorf("%d sessions, want 1", p.sessions)
					}
				})
				b.phone.set(nil)
				b.connect()
				b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
			})
		})
	}
}

func TestSupervisor_TwoHoursWithoutNetworkEndInActive(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		b.phone.ends(strategies.End{Cause: strategies.CauseNetwork})
		b.worker() // takes part, changes nothing
		b.phone.read(func(p *phone) { p.live = 0 })
		restart(b, c.ID)
		for range 2 * 60 {
			time.Sleep(time.Minute)
			got, err := b.Channel(b.Context(), "acme", c.ID)
			if err != nil || got.Status != enlace.Connecting || got.Reason != enlace.ReasonNetwork || got.Reconnect == nil {
				b.Fatalf("got %s %s, %v", got.Status, got.Reason, err)
			}
			if wait := time.Until(got.Reconnect.NextAt); wait > 5*time.Minute {
				b.Fatalf("next try in %s", wait)
			}
		}
		b.phone.set(nil)
		b.waitStatus(c.ID, 6*time.Minute, enlace.Active, "")
	})
}

// restart ends the live session, as a broken connection does.
func restart(b *bundle, id string) {
	b.Helper()
	if _, err := b.Disconnect(b.Context(), "acme", id); err != nil {
		b.Fatal(err)
	}
	b.waitStatus(id, 5*time.Second, enlace.Inactive, enlace.ReasonDisconnected)
	b.connect()
	b.waitStatus(id, 5*time.Second, enlace.Connecting, enlace.ReasonNetwork)
}

func TestSupervisor_GivesUpOnWhatWhatsAppRefuses(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.linked = true
		b.phone.ends(strategies.End{Cause: strategies.CauseServer, Code: "503"})
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, time.Hour, enlace.Failed, enlace.ReasonReconnectExhausted)
		b.phone.read(func(p *phone) {
			if p.sessions != 11 {
				b.Errorf("%d sessions, want the first and ten more", p.sessions)
			}
		})
	})
}

func TestSupervisor_GivesUpOnANewChannelThatCannotBeReached(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.ends(strategies.End{Cause: strategies.CauseNetwork})
		b.worker()
		c := b.connect()
		got := b.wait(c.ID, 5*time.Second, "reconnect", func(c enlace.Channel) bool { return c.Reconnect != nil })
		if got.Reason != "" || got.Reconnect.Max != 10 {
			b.Errorf("got %+v, %+v", got, got.Reconnect)
		}
		b.waitStatus(c.ID, time.Hour, enlace.Failed, enlace.ReasonReconnectExhausted)
	})
}

func TestSupervisor_CountsAnewAfterTwoGoodMinutes(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.linked = true
		b.phone.set(func(ctx context.Context, o strategies.Observer) strategies.End {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
			defer cancel()
			b.phone.connect(ctx, o)
			return strategies.End{Cause: strategies.CauseServer}
		})
		b.worker()
		c := b.connect()
		time.Sleep(2 * time.Hour)
		got, err := b.Channel(b.Context(), "acme", c.ID)
		if err != nil || got.Status == enlace.Failed || got.Reconnect != nil && got.Reconnect.Attempt != 1 {
			b.Errorf("got %s %+v, %v", got.Status, got.Reconnect, err)
		}
		b.phone.read(func(p *phone) {
			if p.sessions < 50 {
				b.Errorf("%d sessions in two hours", p.sessions)
			}
		})
	})
}

func TestSupervisor_ReplacedThreeTimesThenGivesUp(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.linked = true
		b.phone.ends(strategies.End{Cause: strategies.CauseReplaced})
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, time.Minute, enlace.Failed, enlace.ReasonReplaced)
		b.phone.read(func(p *phone) {
			if p.sessions != 4 {
				b.Errorf("%d sessions, want 4", p.sessions)
			}
		})
	})
}

func TestSupervisor_TemporaryBanIsTriedAgainWhenItEnds(t *testing.T) {
	inBubble(t, func(b *bundle) {
		until := time.Now().Add(3 * time.Hour)
		b.phone.linked = true
		b.phone.set(func(context.Context, strategies.Observer) strategies.End {
			b.phone.set(nil)
			return strategies.End{Cause: strategies.CauseTemporaryBan, Until: until}
		})
		b.worker()
		c := b.connect()
		got := b.waitStatus(c.ID, 5*time.Second, enlace.Failed, enlace.ReasonTemporaryBan)
		if got.Until == nil || !got.Until.Equal(until.Truncate(time.Second)) {
			b.Errorf("until %v, want %v", got.Until, until)
		}
		time.Sleep(3*time.Hour - time.Minute)
		b.waitStatus(c.ID, 0, enlace.Failed, enlace.ReasonTemporaryBan)
		b.waitStatus(c.ID, 2*time.Minute, enlace.Active, "")
	})
}

func TestSupervisor_TemporaryBanCanBeTriedAtOnce(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.linked = true
		b.phone.ends(strategies.End{Cause: strategies.CauseTemporaryBan, Until: time.Now().Add(time.Hour)})
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Failed, enlace.ReasonTemporaryBan)
		b.phone.set(nil)
		b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
	})
}

func TestSupervisor_DisconnectKeepsTheCredentials(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		_, err := b.Disconnect(b.Context(), "acme", c.ID)
		if err != nil {
			b.Fatal(err)
		}
		b.waitStatus(c.ID, 5*time.Second, enlace.Inactive, enlace.ReasonDisconnected)
		b.wait(c.ID, 5*time.Second, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
		b.phone.read(func(p *phone) {
			if p.live != 0 || p.forgets != 0 || p.unlinks != 0 {
				b.Errorf("live %d, forgets %d, unlinks %d", p.live, p.forgets, p.unlinks)
			}
		})
	})
}

func TestSupervisor_DisconnectEndsTheWaitForANextTry(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.linked = true
		b.phone.ends(strategies.End{Cause: strategies.CauseNetwork})
		b.worker()
		c := b.connect()
		time.Sleep(time.Hour)
		if _, err := b.Disconnect(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		b.waitStatus(c.ID, 2*time.Second, enlace.Inactive, enlace.ReasonDisconnected)
	})
}

func TestSupervisor_LogoutUnlinksOnceAndForgets(t *testing.T) {
	for name, prepare := range map[string]func(b *bundle, id string){
		"live": func(*bundle, string) {},
		"resting": func(b *bundle, id string) {
			if _, err := b.Disconnect(b.Context(), "acme", id); err != nil {
				b.Fatal(err)
			}
			b.wait(id, 5*time.Second, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bundle) {
				b.worker()
				c := b.connect()
				b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
				prepare(b, c.ID)
				if _, err := b.Logout(b.Context(), "acme", c.ID); err != nil {
					b.Fatal(err)
				}
				got := b.waitStatus(c.ID, 40*time.Second, enlace.Inactive, enlace.ReasonLoggedOut)
				b.wait(c.ID, 5*time.Second, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
				if got.PhoneNumber != "" {
					b.Errorf("phone number %q", got.PhoneNumber)
				}
				b.phone.read(func(p *phone) {
					if p.unlinks != 1 || p.forgets != 1 || p.live != 0 {
						b.Errorf("unlinks %d, forgets %d, live %d", p.unlinks, p.forgets, p.live)
					}
				})
				events := b.events(c.ID)
				if got := events[len(events)-1]; got != enlace.EventLoggedOut {
					b.Errorf("last event %s", got)
				}
			})
		})
	}
}

func TestSupervisor_DeleteUnlinksAndWipes(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		if _, err := b.Delete(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		page, err := b.table.Query(b.Context(), store.Query{PK: "CH#" + c.ID})
		if err != nil || len(page.Items) != 0 {
			b.Errorf("%d items left, %v", len(page.Items), err)
		}
		b.phone.read(func(p *phone) {
			if p.unlinks != 1 || p.live != 0 {
				b.Errorf("unlinks %d, live %d", p.unlinks, p.live)
			}
		})
	})
}

func TestSupervisor_DeleteOfAChannelThatCannotBeReachedEndsInThirtySeconds(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		restartSilent(b)
		if _, err := b.Disconnect(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		b.wait(c.ID, 5*time.Second, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
		if _, err := b.Delete(b.Context(), "acme", c.ID); err != nil {
			b.Fatal(err)
		}
		time.Sleep(35 * time.Second)
		page, err := b.table.Query(b.Context(), store.Query{PK: "CH#" + c.ID})
		if err != nil || len(page.Items) != 0 {
			b.Errorf("%d items left, %v", len(page.Items), err)
		}
	})
}

// restartSilent makes every session from now on a dial that never answers.
func restartSilent(b *bundle) {
	b.phone.set(func(ctx context.Context, _ strategies.Observer) strategies.End {
		<-ctx.Done()
		return strategies.End{Cause: strategies.CauseStopped}
	})
}

func TestSupervisor_PasskeyAnswersReachTheSession(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.phone.set(func(ctx context.Context, o strategies.Observer) strategies.End {
			_ = o.Passkey(ctx, enlace.Passkey{Request: json.RawMessage(`{}`), ExpiresAt: time.Now().Add(time.Minute)})
			<-ctx.Done()
			return strategies.End{Cause: strategies.CauseStopped}
		})
		b.worker()
		c := b.connect()
		b.wait(c.ID, 5*time.Second, "passkey", func(c enlace.Channel) bool { return c.Passkey != nil })
		if _, err := b.AnswerPasskey(b.Context(), "acme", c.ID, json.RawMessage(`{"a":1}`)); err != nil {
			b.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		b.phone.read(func(p *phone) {
			if !slices.Equal(p.answers, []string{`{"a":1}`}) {
				b.Errorf("answers %q", p.answers)
			}
		})
	})
}

func TestSupervisor_UnknownTypeIsAnError(t *testing.T) {
	inBubble(t, func(b *bundle) {
		b.workerWith(strategies.Registry{})
		c := b.connect()
		got := b.waitStatus(c.ID, 5*time.Second, enlace.Failed, enlace.ReasonTypeNotAvailable)
		if got.LastError == nil || got.LastError.Code != "type_not_available" {
			b.Errorf("lastError %+v", got.LastError)
		}
		b.wait(c.ID, 5*time.Second, "no owner", func(c enlace.Channel) bool { return c.Owner == "" })
	})
}

func TestSupervisor_CredentialsGoneWhileComingBackIsLoggedOut(t *testing.T) {
	inBubble(t, func(b *bundle) {
		first := b.worker()
		c := b.connect()
		b.waitStatus(c.ID, 5*time.Second, enlace.Active, "")
		first.leave(b.T)
		b.phone.read(func(p *phone) { p.linked = false }) // as when a worker died between forgetting and saying so
		b.worker()
		b.waitStatus(c.ID, 5*time.Second, enlace.Inactive, enlace.ReasonLoggedOut)
	})
}
