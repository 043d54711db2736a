package signal

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
	"go.mau.fi/whatsmeow/proto/waAdv"
	wastore "go.mau.fi/whatsmeow/store"
	"go.mau.fi/whatsmeow/types"
	"go.mau.fi/whatsmeow/util/keys"
	"google.golang.org/protobuf/proto"
)

// Fields of a device's credentials. Public keys follow from the private ones.
const (
	credID             fieldNumber = 1
	credLID            fieldNumber = 2
	credRegistration   fieldNumber = 3
	credNoise          fieldNumber = 4
	credIdentity       fieldNumber = 5
	credSigned         fieldNumber = 6
	credSignedID       fieldNumber = 7
	credSignature      fieldNumber = 8
	credAdvSecret      fieldNumber = 9
	credAccount        fieldNumber = 10
	credPlatform       fieldNumber = 11
	credBusiness       fieldNumber = 12
	credPush           fieldNumber = 13
	credFacebook       fieldNumber = 14
	credLIDMigration   fieldNumber = 15
	credCompanionNonce fieldNumber = 16
)

func encodeCredentials(d *wastore.Device) ([]byte, error) {
	if d.NoiseKey == nil || d.IdentityKey == nil || d.SignedPreKey == nil || d.SignedPreKey.Signature == nil {
		return nil, errors.New("device without its keys")
	}
	account, err := proto.MarshalOptions{Deterministic: true}.Marshal(d.Account)
	if err != nil {
		return nil, errors.New("device with a malformed account")
	}
	var e encoder
	e.text(credID, d.ID.String())
	e.text(credLID, d.LID.String())
	e.number(credRegistration, uint64(d.RegistrationID))
	e.bytes(credNoise, d.NoiseKey.Priv[:])
	e.bytes(credIdentity, d.IdentityKey.Priv[:])
	e.bytes(credSigned, d.SignedPreKey.Priv[:])
	e.number(credSignedID, uint64(d.SignedPreKey.KeyID))
	e.bytes(credSignature, d.SignedPreKey.Signature[:])
	e.bytes(credAdvSecret, d.AdvSecretKey)
	if d.Account != nil {
		e.element(credAccount, account)
	}
	e.text(credPlatform, d.Platform)
	e.text(credBusiness, d.BusinessName)
	e.text(credPush, d.PushName)
	if d.FacebookUUID != uuid.Nil {
		e.bytes(credFacebook, d.FacebookUUID[:])
	}
	e.number(credLIDMigration, uint64(d.LIDMigrationTimestamp))
	e.text(credCompanionNonce, d.CompanionMetaNonce)
	return e, nil
}

// decodeCredentials fills d. It keeps nothing of value.
func decodeCredentials(value []byte, d *wastore.Device) error {
	d.SignedPreKey = new(keys.PreKey)
	err := decode(value, func(number fieldNumber, f field) (bool, error) {
		var err error
		switch number {
		case credID:
			var id types.JID
			id, err = types.ParseJID(string(f.b))
			d.ID = &id
		case credLID:
			d.LID, err = types.ParseJID(string(f.b))
		case credRegistration:
			d.RegistrationID = uint32(f.n)
		case credNoise:
			d.NoiseKey, err = keyPair(f.b)
		case credIdentity:
			d.IdentityKey, err = keyPair(f.b)
		case credSigned:
			var pair *keys.KeyPair
			if pair, err = keyPair(f.b); err == nil {
				d.SignedPreKey.KeyPair = *pair
			}
		case credSignedID:
			d.SignedPreKey.KeyID = uint32(f.n)
		case credSignature:
			if len(f.b) != 64 {
				return true, errMalformed
			}
			signature := [64]byte(f.b)
			d.SignedPreKey.Signature = &signature
		case credAdvSecret:
			d.AdvSecretKey = append([]byte{}, f.b...)
		case credAccount:
			d.Account = new(waAdv.ADVSignedDeviceIdentity)
			err = proto.Unmarshal(f.b, d.Account)
		case credPlatform:
			d.Platform = string(f.b)
		case credBusiness:
			d.BusinessName = string(f.b)
		case credPush:
			d.PushName = string(f.b)
		case credFacebook:
			d.FacebookUUID, err = uuid.FromBytes(f.b)
		case credLIDMigration:
			d.LIDMigrationTimestamp = int64(f.n)
		case credCompanionNonce:
			d.CompanionMetaNonce = string(f.b)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return fmt.Errorf("credentials: %w", err)
	case d.ID == nil || d.NoiseKey == nil || d.IdentityKey == nil || d.SignedPreKey.Priv == nil || d.SignedPreKey.Signature == nil:
		return fmt.Errorf("credentials: %w", errMalformed)
	}
	return nil
}
