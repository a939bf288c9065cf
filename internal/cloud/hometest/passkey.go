package hometest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

// Passkey plays an authenticator with one discoverable credential, and the
// browser before it: it answers options with what a page would send.
type Passkey struct {
	ID     []byte // of the credential
	Origin string
	Count  uint32 // of its last answer; a synced one stays at 0
	// Prf is put into clientExtensionResults as it is; nil: none.
	Prf any
	// Unverified leaves the flag out that the user was verified.
	Unverified bool

	key    *ecdsa.PrivateKey
	handle []byte
	rpID   string
}

// Flags of authenticator data.
const (
	flagPresent  = 0x01
	flagVerified = 0x04
	flagSyncable = 0x08
	flagSynced   = 0x10
	flagKey      = 0x40
)

// NewPasskey makes a passkey that counts (a security key) or is synced.
func (r *Rand) NewPasskey(origin string) (*Passkey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Passkey{ID: r.Bytes(32), Origin: origin, key: key}, err
}

// options is what of either kind of options an authenticator needs.
type options struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Allow []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *Passkey) clientData(kind, challenge string) ([]byte, error) {
	return json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": p.Origin, "crossOrigin": false})
}

// authData is authenticator data of the next use.
func (p *Passkey) authData(extra byte) []byte {
	flags := flagPresent | flagVerified | extra
	if p.Unverified {
		flags &^= flagVerified
	}
	if p.Count == 0 {
		flags |= flagSyncable | flagSynced
	}
	hash := sha256.Sum256([]byte(p.rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), p.Count)
}

// cose is the public key: an EC2 key for ES256.
func (p *Passkey) cose() ([]byte, error) {
	pub, err := p.key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	b := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	b = append(b, pub[1:33]...)
	return append(append(b, 0x22, 0x58, 0x20), pub[33:]...), nil
}

// Create answers the options of a registration.
func (p *Passkey) Create(optionsJSON string) (string, error) {
	var o options
	if err := json.Unmarshal([]byte(optionsJSON), &o); err != nil {
		return "", err
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil || len(handle) != 32 {
		return "", fmt.Errorf("hometest: a user handle of %d bytes: %w", len(handle), errors.Join(err, errors.ErrUnsupported))
	}
	p.handle, p.rpID = handle, o.RP.ID
	client, err := p.clientData("webauthn.create", o.Challenge)
	if err != nil {
		return "", err
	}
	key, err := p.cose()
	if err != nil {
		return "", err
	}
	data := append(p.authData(flagKey), make([]byte, 16)...) // no AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(p.ID)))
	data = append(append(data, p.ID...), key...)
	object := append([]byte("\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x59"), byte(len(data)>>8), byte(len(data)))
	return p.answer(map[string]any{
		"clientDataJSON": b64(client), "attestationObject": b64(append(object, data...)), "authenticatorData": b64(data), "transports": []string{"internal"},
	})
}

// Get answers the options of an assertion. One that is not allowed says so.
func (p *Passkey) Get(optionsJSON string) (string, error) {
	var o options
	if err := json.Unmarshal([]byte(optionsJSON), &o); err != nil {
		return "", err
	}
	allowed := len(o.Allow) == 0
	for _, a := range o.Allow {
		allowed = allowed || a.ID == b64(p.ID)
	}
	if !allowed {
		return "", fmt.Errorf("hometest: the passkey is not allowed: %w", errors.ErrUnsupported)
	}
	p.rpID = o.RPID
	if p.Count > 0 {
		p.Count++
	}
	client, err := p.clientData("webauthn.get", o.Challenge)
	if err != nil {
		return "", err
	}
	data, hash := p.authData(0), sha256.Sum256(client)
	digest := sha256.Sum256(append(data, hash[:]...))
	sig, err := ecdsa.SignASN1(rand.Reader, p.key, digest[:])
	if err != nil {
		return "", err
	}
	return p.answer(map[string]any{
		"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(sig), "userHandle": b64(p.handle),
	})
}

func (p *Passkey) answer(response map[string]any) (string, error) {
	results := map[string]any{"credProps": map[string]any{"rk": true}}
	if p.Prf != nil {
		results["prf"] = p.Prf
	}
	b, err := json.Marshal(map[string]any{
		"id": b64(p.ID), "rawId": b64(p.ID), "type": "public-key", "authenticatorAttachment": "platform",
		"clientExtensionResults": results, "response": response,
	})
	return string(b), err
}

// GetAs answers as if it were another passkey, with a key of its own.
func (p *Passkey) GetAs(optionsJSON string, other *Passkey) (string, error) {
	p.handle = other.handle
	return p.Get(optionsJSON)
}

// Copy is the passkey as it is now, with the same key: a clone.
func (p *Passkey) Copy() *Passkey {
	c := *p
	return &c
}
