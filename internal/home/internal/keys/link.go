package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

const (
	fragmentHead = "#LK1."
	personHead   = "#LKP1."
	wordsMagic   = "LKT1"
	wordsSalt    = 16
	wordsHead    = len(wordsMagic) + wordsSalt
	maxWords     = 4 << 10
)

// Link is the secret of a link: who has it opens what was granted to its key
// (protocol 2.9). That of a link to a person finds what was granted to his own
// key, and opens nothing without that.
type Link struct {
	guard
	secret Secret
	box    *Sealing
	person bool
}

// NewLink draws the secret of a new link.
func NewLink() *Link { return linkOf(NewSecret(), false) }

// NewPersonLink draws the secret of a new link to a person.
func NewPersonLink() *Link { return linkOf(NewSecret(), true) }

func linkOf(s Secret, person bool) *Link {
	box, err := SealingFromSeed(s.Derive("link seed"))
	if err != nil { // 32 bytes are always a key
		panic(err)
	}
	return &Link{secret: s, box: box, person: person}
}

// ParseLink reads the fragment of a link, "#LK1." ‖ base64url(secret), or of one
// to a person, "#LKP1." ‖ base64url(secret), in its one form. The error does not
// quote it.
func ParseLink(fragment string) (*Link, error) {
	text, ok := strings.CutPrefix(fragment, fragmentHead)
	person := false
	if !ok {
		text, ok = strings.CutPrefix(fragment, personHead)
		person = true
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	defer clear(raw)
	if !ok || err != nil || len(raw) != SecretSize || base64.RawURLEncoding.EncodeToString(raw) != text {
		return nil, fmt.Errorf("keys: parse link: %w: want %s and 43 characters of base64url", latchkey.ErrInvalid, fragmentHead)
	}
	s, err := SecretFrom(raw)
	if err != nil {
		return nil, err
	}
	return linkOf(s, person), nil
}

// Reveal returns the fragment: this is the secret.
func (l *Link) Reveal() string {
	head := fragmentHead
	if l.person {
		head = personHead
	}
	return head + base64.RawURLEncoding.EncodeToString(l.secret.bytes()[:])
}

// ToPerson reports whether the link is to a person: capsules are sealed to his
// own key then.
func (l *Link) ToPerson() bool { return l.person }

// Sealing is the key that capsules for the link are sealed to, unless it is to a
// person.
func (l *Link) Sealing() *Sealing { return l.box }

// Kid names that key: the server keeps the share object under it.
func (l *Link) Kid() latchkey.Kid { return l.box.Kid() }

// Erase overwrites the secret.
func (l *Link) Erase() {
	l.secret.Erase()
	l.box.raw.Erase()
}

// MAC says to whoever has the link that its maker meant the grant with this
// text.
func (l *Link) MAC(text latchkey.Hash) []byte {
	return bytes.Clone(l.secret.Derive("link auth", text[:]).bytes()[:])
}

// CheckMAC is latchkey.ErrVerify unless mac is that of the text.
func (l *Link) CheckMAC(text latchkey.Hash, mac []byte) error {
	if !hmac.Equal(l.MAC(text), mac) {
		return fmt.Errorf("keys: check link: %w: the grant is not the one that the link was made for", latchkey.ErrVerify)
	}
	return nil
}

// LinkWords is what a sharer tells whoever opens his link. Nothing of it is
// proven but that he who made the link wrote it.
type LinkWords struct {
	From   string        // the person; may be empty
	Camera string        // its name; may be empty
	Note   string        // what he wrote; may be empty
	Zone   string        // IANA time zone to show times in; may be empty
	Policy latchkey.Hash // H of the text of the log's policy that he has pinned
}

// wordsJSON has the fields in the order of their one form.
type wordsJSON struct {
	From   string `json:"from"`
	Camera string `json:"camera"`
	Note   string `json:"note"`
	Zone   string `json:"zone"`
	Policy string `json:"policy"`
}

// marshal writes the one form of the words: what JSON.stringify writes too.
func (w LinkWords) marshal() ([]byte, error) {
	for _, s := range []string{w.From, w.Camera, w.Note, w.Zone} {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 }) {
			return nil, fmt.Errorf("keys: link words: %w: a control character, or no UTF-8", latchkey.ErrInvalid)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(wordsJSON{w.From, w.Camera, w.Note, w.Zone, latchkey.B64(w.Policy[:])}); err != nil {
		return nil, fmt.Errorf("keys: link words: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func parseWords(plain []byte) (LinkWords, error) {
	bad := fmt.Errorf("keys: link words: %w: not in their one form", latchkey.ErrInvalid)
	var doc wordsJSON
	if json.Unmarshal(plain, &doc) != nil {
		return LinkWords{}, bad // the decoder's own words could quote them
	}
	policy, err := base64.StdEncoding.DecodeString(doc.Policy)
	if err != nil || len(policy) != latchkey.HashSize {
		return LinkWords{}, bad
	}
	w := LinkWords{From: doc.From, Camera: doc.Camera, Note: doc.Note, Zone: doc.Zone, Policy: latchkey.Hash(policy)}
	again, err := w.marshal()
	if err != nil || !bytes.Equal(again, plain) {
		return LinkWords{}, bad
	}
	return w, nil
}

// SealWords returns "LKT1" ‖ salt ‖ AEAD (spec/keys, "Links").
func (l *Link) SealWords(w LinkWords) ([]byte, error) {
	plain, err := w.marshal()
	if err != nil {
		return nil, err
	}
	if wordsHead+len(plain)+aeadTag > maxWords {
		return nil, fmt.Errorf("keys: link words: %w: %d bytes are too many; write less", latchkey.ErrInvalid, len(plain))
	}
	head := append([]byte(wordsMagic), make([]byte, wordsSalt)...)
	_, _ = rand.Read(head[len(wordsMagic):])
	return l.sealWords(head, plain), nil
}

func (l *Link) sealWords(head, plain []byte) []byte {
	key := l.secret.Derive("link words", head[len(wordsMagic):])
	defer key.Erase()
	var nonce [12]byte
	return gcm(key).Seal(head, nonce[:], plain, head)
}

// OpenWords opens an LKT1 object of this link. Of another link, or changed, is
// latchkey.ErrVerify.
func (l *Link) OpenWords(b []byte) (LinkWords, error) {
	if len(b) < wordsHead+aeadTag || len(b) > maxWords || string(b[:len(wordsMagic)]) != wordsMagic {
		return LinkWords{}, fmt.Errorf("keys: link words: %w: bad magic or length", latchkey.ErrInvalid)
	}
	key := l.secret.Derive("link words", b[len(wordsMagic):wordsHead])
	defer key.Erase()
	var nonce [12]byte
	plain, err := gcm(key).Open(nil, nonce[:], b[wordsHead:], b[:wordsHead])
	if err != nil {
		return LinkWords{}, fmt.Errorf("keys: link words: %w: of another link, or changed", latchkey.ErrVerify)
	}
	return parseWords(plain)
}
