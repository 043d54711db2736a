package signal

import (
	"context"
	"slices"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
)

// putTokens keeps privacy tokens in the rows of their users. An older one never
// takes the place of a newer one.
func (c *Container) putTokens(ctx context.Context, tokens []wastore.PrivacyToken) error {
	for _, fresh := range tokens {
		err := c.update(ctx, c.nameSK(fresh.User), func(r *row) error {
			if r.token != nil && r.token.at < c.oldestToken() {
				r.token = nil
			}
			r.token = newerToken(r.token, &token{
				value: slices.Clone(fresh.Token), at: fresh.Timestamp.Unix(), sentAt: seconds(fresh.SenderTimestamp),
			})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newerToken returns fresh in the place of old, unless old is newer. When we sent
// ours last is kept until it is known better.
func newerToken(old, fresh *token) *token {
	if old == nil || fresh == nil {
		if fresh == nil {
			return old
		}
		return fresh
	}
	if fresh.at < old.at {
		return old
	}
	newer := *fresh
	if newer.sentAt == 0 {
		newer.sentAt = old.sentAt
	}
	return &newer
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// getToken returns the newest token of a user under either JID.
func (c *Container) getToken(ctx context.Context, user types.JID) (*wastore.PrivacyToken, error) {
	user = user.ToNonAD()
	sks := []string{addressSK(user.SignalAddress().String())}
	if other := c.alternate(user); !other.IsEmpty() {
		sks = append(sks, addressSK(other.SignalAddress().String()))
	}
	var newest *token
	for _, sk := range sks {
		r, err := c.row(ctx, sk)
		if err != nil {
			return nil, err
		}
		if t := r.token; t != nil && t.at >= c.oldestToken() && (newest == nil || t.at > newest.at) {
			newest = t
		}
	}
	if newest == nil {
		return nil, nil
	}
	found := &wastore.PrivacyToken{User: user, Token: slices.Clone(newest.value), Timestamp: time.Unix(newest.at, 0)}
	if newest.sentAt != 0 {
		found.SenderTimestamp = time.Unix(newest.sentAt, 0)
	}
	return found, nil
}

func (c *Container) oldestToken() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokensSince
}

// expireTokens makes tokens from before cutoff gone. They are not looked for:
// whatsmeow calls this at every login, and each is dropped when it is met.
func (c *Container) expireTokens(cutoff time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokensSince = max(c.tokensSince, cutoff.Unix())
}

// NCT salt: one per account, kept with the device.

func (c *Container) putSalt(ctx context.Context, salt []byte) error {
	return c.changeDevice(ctx, func(d *device) error {
		d.salt = slices.Clone(salt)
		return nil
	})
}

func (c *Container) getSalt(ctx context.Context) ([]byte, error) {
	d, err := c.currentDevice(ctx)
	if err != nil || d == nil {
		return nil, err
	}
	return slices.Clone(d.salt), nil
}
