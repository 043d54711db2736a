package signal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/util/keys"
	waLog "go.mau.fi/whatsmeow/util/log"

	"github.com/enlacehq/enlace/store"
)

// device is the item DEVICE: credentials, prekeys, and what else whatsmeow keeps
// once per account. One that was read is never changed; writers copy it.
type device struct {
	version     int64
	credentials []byte // encoded
	prekeys     prekeys
	salt        []byte // NCT salt
	keepUntil   int64  // seconds since 1970: refused by WhatsApp, kept until then; 0: in use
}

// Fields of a device.
const (
	deviceCredentials fieldNumber = 1
	devicePreKeys     fieldNumber = 2
	deviceSalt        fieldNumber = 3
	deviceKeepUntil   fieldNumber = 4
)

func (d *device) encode() []byte {
	var e encoder
	e.bytes(deviceCredentials, d.credentials)
	e.element(devicePreKeys, d.prekeys.encode())
	e.bytes(deviceSalt, d.salt)
	e.number(deviceKeepUntil, uint64(d.keepUntil))
	return e
}

func decodeDevice(value []byte, version int64) (*device, error) {
	d := &device{version: version}
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		var err error
		switch number {
		case deviceCredentials:
			d.credentials = bytes.Clone(f.b)
		case devicePreKeys:
			d.prekeys, err = decodePreKeys(f.b)
		case deviceSalt:
			d.salt = bytes.Clone(f.b)
		case deviceKeepUntil:
			d.keepUntil = int64(f.n)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil && len(d.credentials) == 0 {
		err = errMalformed
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", deviceSK, err)
	}
	return d, nil
}

var errNotPaired = errors.New("no device is linked")

// currentDevice returns the stored device, nil when there is none.
func (c *Container) currentDevice(ctx context.Context) (*device, error) {
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	return c.loadDevice(ctx)
}

// loadDevice reads the device again after a write whose outcome is not known.
// deviceMu is held.
func (c *Container) loadDevice(ctx context.Context) (*device, error) {
	if !c.deviceStale {
		return c.dev, nil
	}
	value, version, err := c.get(ctx, c.hotPK(), deviceSK)
	if err != nil {
		return nil, err
	}
	var d *device
	if version > 0 {
		if d, err = decodeDevice(value, version); err != nil {
			return nil, err
		}
	}
	c.dev, c.deviceStale = d, false
	return d, nil
}

// changeDevice writes the device as change left its copy, unless change left it
// as it was. Without a device it is errNotPaired.
func (c *Container) changeDevice(ctx context.Context, change func(*device) error) error {
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	for range maxConflicts {
		current, err := c.loadDevice(ctx)
		if err != nil {
			return err
		}
		if current == nil {
			return errNotPaired
		}
		changed := *current
		if err := change(&changed); err != nil {
			return err
		}
		if bytes.Equal(changed.encode(), current.encode()) {
			return nil
		}
		err = c.writeDevice(ctx, &changed)
		if !isConflict(err) {
			return err
		}
		if err := c.settle(ctx); err != nil {
			return err
		}
	}
	return errTooManyConflicts
}

// writeDevice puts d in the place of version d.version and makes it current.
// deviceMu is held.
func (c *Container) writeDevice(ctx context.Context, d *device) error {
	item := c.item(c.hotPK(), deviceSK, d.encode())
	if d.keepUntil > 0 {
		item.Expires = time.Unix(d.keepUntil, 0)
	}
	c.deviceStale = true
	if err := c.write(ctx, store.Put(item, store.VersionIs(d.version))); err != nil {
		return err
	}
	d.version++
	c.dev, c.deviceStale = d, false
	return nil
}

// putDevice stores whatsmeow's device. A device of another account, or of
// another linking, takes the place of all that was there.
func (c *Container) putDevice(ctx context.Context, d *wastore.Device) error {
	credentials, err := encodeCredentials(d)
	if err != nil {
		return err
	}
	c.deleted.Store(false)
	if current, err := c.currentDevice(ctx); err != nil {
		return err
	} else if current != nil && sameDevice(current.credentials, d) {
		return c.changeDevice(ctx, func(stored *device) error {
			stored.credentials = credentials
			return nil
		})
	}
	if c.leftovers(ctx) {
		if err := c.Forget(ctx); err != nil {
			return err
		}
	}
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	return c.writeDevice(ctx, &device{credentials: credentials, prekeys: newPreKeys()})
}

// leftovers reports whether state of an earlier device lies there.
func (c *Container) leftovers(context.Context) bool {
	c.deviceMu.Lock()
	defer c.deviceMu.Unlock()
	return c.dev != nil || c.remains
}

// sameDevice reports whether stored credentials are those of d.
func sameDevice(credentials []byte, d *wastore.Device) bool {
	var stored wastore.Device
	if err := decodeCredentials(credentials, &stored); err != nil {
		return false
	}
	return *stored.ID == *d.ID && *stored.IdentityKey.Priv == *d.IdentityKey.Priv
}

// newDevice returns a device that is not linked yet. Nothing of it is stored.
func newDevice() *wastore.Device {
	d := &wastore.Device{
		NoiseKey:       keys.NewKeyPair(),
		IdentityKey:    keys.NewKeyPair(),
		RegistrationID: mathrand.Uint32(),
		AdvSecretKey:   make([]byte, keyBytes),
	}
	_, _ = rand.Read(d.AdvSecretKey) // never fails
	d.SignedPreKey = d.IdentityKey.CreateSignedPreKey(1)
	return d
}

// attach connects d with its stores, which are guarded.
func attach(d *wastore.Device, s *stores, fail func(error)) *wastore.Device {
	d.Log = waLog.Noop
	d.Container = s
	d.SetAllStores(s)
	d.LIDs = s
	d.Initialized = true
	Guard(d, fail)
	return d
}
