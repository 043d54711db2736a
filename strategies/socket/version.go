package socket

import (
	"context"
	"crypto/md5" //nolint:gosec // WhatsApp's own choice for naming a version
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.mau.fi/whatsmeow"
	"go.mau.fi/whatsmeow/proto/waWa6"
	wastore "go.mau.fi/whatsmeow/store"
)

const (
	// refreshEvery is how often WhatsApp's current version is fetched at most.
	refreshEvery = time.Hour
	// refreshRetry is how soon a failed fetch may be repeated.
	refreshRetry = time.Minute
	// refreshLimit bounds one fetch.
	refreshLimit = 20 * time.Second
)

var errNoNewerVersion = errors.New("WhatsApp refuses this version of its client and names no newer one")

// versions knows the client version to present to WhatsApp, for all channels of
// a program. whatsmeow keeps it in a variable that it reads without a lock, so
// that one is left alone, and the version is put into each login by payload.
type versions struct {
	http *http.Client
	now  func() time.Time

	turn    chan struct{} // holds one token: who has it may use what follows
	current wastore.WAVersionContainer
	fetched time.Time // when the newest version was last learnt
	failed  time.Time // when that last failed
}

func newVersions(client *http.Client, now func() time.Time) *versions {
	v := &versions{http: client, now: now, turn: make(chan struct{}, 1), current: wastore.GetWAVersion()}
	v.turn <- struct{}{}
	return v
}

// get returns the version to present now.
func (v *versions) get(ctx context.Context) (wastore.WAVersionContainer, error) {
	select {
	case <-v.turn:
		defer func() { v.turn <- struct{}{} }()
		return v.current, nil
	case <-ctx.Done():
		return wastore.WAVersionContainer{}, ctx.Err()
	}
}

// newer returns a version newer than refused, which WhatsApp would not accept.
// Whoever asks first fetches it, the others wait for that and share it; the
// version page is asked at most once an hour. errNoNewerVersion: there is none.
func (v *versions) newer(ctx context.Context, refused wastore.WAVersionContainer) (wastore.WAVersionContainer, error) {
	select {
	case <-v.turn:
		defer func() { v.turn <- struct{}{} }()
	case <-ctx.Done():
		return refused, ctx.Err()
	}
	now := v.now()
	if !refused.LessThan(v.current) && now.Sub(v.fetched) >= refreshEvery && now.Sub(v.failed) >= refreshRetry {
		if err := v.fetch(ctx); err != nil {
			return refused, err
		}
	}
	if !refused.LessThan(v.current) {
		return refused, errNoNewerVersion
	}
	return v.current, nil
}

func (v *versions) fetch(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, refreshLimit)
	defer cancel()
	latest, err := whatsmeow.GetLatestVersion(limited, v.http)
	if err != nil {
		if ctx.Err() == nil {
			v.failed = v.now()
		}
		return fmt.Errorf("fetch WhatsApp's current version: %w", brief(err))
	}
	v.fetched = v.now()
	if v.current.LessThan(*latest) {
		v.current = *latest
	}
	return nil
}

// payload returns what a device says of itself at login or, unlinked, to be
// registered: whatsmeow's own words, with version in them.
func payload(device *wastore.Device, version wastore.WAVersionContainer) *waWa6.ClientPayload {
	p := device.GetClientPayload()
	p.UserAgent.AppVersion = version.ProtoAppVersion()
	if p.DevicePairingData != nil {
		hash := md5.Sum([]byte(version.String())) //nolint:gosec // see above
		p.DevicePairingData.BuildHash = hash[:]
		p.DevicePairingData.DeviceProps = deviceProps()
	}
	return p
}
