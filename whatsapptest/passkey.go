package whatsapptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"go.mau.fi/whatsmeow/types"
)

const (
	// passkeyParty is the party that WhatsApp's passkeys are bound to.
	passkeyParty = "whatsapp.com"
	// passkeyOrigin is where a browser would have asked for the passkey.
	passkeyOrigin = "https://web.whatsapp.com"
	// userPresent and userVerified are flags of the authenticator's data.
	userPresent, userVerified = 1, 4
)

// passkey is the passkey of an account, with its private half: the server checks
// what clients answer, and can answer in an authenticator's place.
type passkey struct {
	id  []byte
	key *ecdsa.PrivateKey
}

// clientData is what a browser signs with a passkey.
type clientData struct {
	Type      string `json:"type"`
	Challenge string `json:"challenge"`
	Origin    string `json:"origin"`
}

func newPasskey() (*passkey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	id := make([]byte, 16)
	rand.Read(id)
	return &passkey{id: id, key: key}, nil
}

// options is the question to the authenticator, for a challenge.
func (k *passkey) options(challenge []byte) types.WebAuthnPublicKey {
	return types.WebAuthnPublicKey{
		Challenge:     challenge,
		Timeout:       60_000,
		RelyingPartID: passkeyParty,
		AllowCredentials: []types.AllowedCredential{{
			ID: k.id, Type: "public-key", Transports: []string{"internal", "hybrid"},
		}},
		UserVerification: "required",
		Extensions:       map[string]any{},
	}
}

// answer does what an authenticator does: it signs the challenge.
func (k *passkey) answer(options types.WebAuthnPublicKey) (*types.WebAuthnResponse, error) {
	signed, err := json.Marshal(clientData{
		Type: "webauthn.get", Challenge: base64url(options.Challenge), Origin: passkeyOrigin,
	})
	if err != nil {
		return nil, err
	}
	party := sha256.Sum256([]byte(options.RelyingPartID))
	authenticator := append(party[:], userPresent|userVerified, 0, 0, 0, 0)
	signature, err := ecdsa.SignASN1(rand.Reader, k.key, assertionHash(authenticator, signed))
	if err != nil {
		return nil, err
	}
	return &types.WebAuthnResponse{
		ID: base64url(k.id), RawID: k.id, Type: "public-key",
		Response: types.WebAuthnResponseData{
			ClientDataJSON: signed, AuthenticatorData: authenticator, Signature: signature,
		},
	}, nil
}

// check checks an authenticator's answer to a challenge, as WebAuthn asks.
func (k *passkey) check(challenge, answer []byte) error {
	var got types.WebAuthnResponse
	if err := json.Unmarshal(answer, &got); err != nil {
		return fmt.Errorf("the assertion is no JSON: %w", err)
	}
	if got.Type != "public-key" || got.ID != base64url(k.id) || string(got.RawID) != string(k.id) {
		return errors.New("the assertion is of another credential")
	}
	var data clientData
	if err := json.Unmarshal(got.Response.ClientDataJSON, &data); err != nil {
		return fmt.Errorf("the client data is no JSON: %w", err)
	}
	if data.Type != "webauthn.get" || data.Challenge != base64url(challenge) || data.Origin != passkeyOrigin {
		return errors.New("the client data answers another challenge")
	}
	authenticator := []byte(got.Response.AuthenticatorData)
	party := sha256.Sum256([]byte(passkeyParty))
	if len(authenticator) < 37 || string(authenticator[:32]) != string(party[:]) || authenticator[32]&userPresent == 0 {
		return errors.New("the authenticator's data is of another party, or nobody was present")
	}
	if !ecdsa.VerifyASN1(&k.key.PublicKey, assertionHash(authenticator, got.Response.ClientDataJSON), got.Response.Signature) {
		return errors.New("the signature is wrong")
	}
	return nil
}

// base64url writes bytes as WebAuthn does.
func base64url(raw []byte) string {
	return base64.RawURLEncoding.EncodeToString(raw)
}

func assertionHash(authenticator, client []byte) []byte {
	data := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte(nil), authenticator...), data[:]...))
	return sum[:]
}

// AnswerPasskey answers a WebAuthn question in the place of the authenticator
// that holds a phone's passkey. options is the JSON that the client was asked
// with; the result is the JSON of its answer.
func (s *Server) AnswerPasskey(number string, options []byte) ([]byte, error) {
	var question types.WebAuthnPublicKey
	if err := json.Unmarshal(options, &question); err != nil {
		return nil, badRequest("bad_options", "this is no WebAuthn question: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.phoneFor(number)
	if err != nil {
		return nil, err
	}
	if p.passkey == nil {
		return nil, notFound("no_passkey", "the phone's account has no passkey")
	}
	answer, err := p.passkey.answer(question)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (k *passkey) saved() *savedPasskey {
	if k == nil {
		return nil
	}
	key, err := k.key.Bytes()
	if err != nil {
		return nil
	}
	return &savedPasskey{ID: k.id, Key: key}
}

func (saved *savedPasskey) restore() (*passkey, error) {
	if saved == nil {
		return nil, nil
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), saved.Key)
	if err != nil {
		return nil, fmt.Errorf("a passkey: %w", err)
	}
	return &passkey{id: saved.ID, key: key}, nil
}
