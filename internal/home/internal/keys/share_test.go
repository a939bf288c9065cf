package keys

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/testkit"
)

func TestVectorContact(t *testing.T) {
	var v testkit.Contact
	testkit.Load(t, "contact", &v)
	if len(v.Products) == 0 || len(v.Points) != chain.Shares {
		t.Fatal("no vectors")
	}
	for _, p := range v.Products {
		if gfMul(p.A, p.B) != p.P || gfInverse(p.A) != p.Inverse {
			t.Errorf("%#x·%#x is %#x, 1/%#x is %#x", p.A, p.B, gfMul(p.A, p.B), p.A, gfInverse(p.A))
		}
	}
	s := secret(t, v.Secret)
	points := splitAlong(s, secret(t, v.Slope))
	for i, p := range points {
		same(t, "share", p.y.bytes()[:], v.Points[i].Y)
		for j, q := range points {
			got, err := Combine(p, q)
			if (i == j) != (err != nil) || i != j && !got.Equal(s) {
				t.Errorf("shares %d and %d: %v", p.X, q.X, err)
			}
		}
	}
	vk, err := OpenContactWrap(s, [16]byte(v.Set), v.Wrap)
	if err != nil || !vk.Equal(secret(t, v.VK)) {
		t.Errorf("wrap: %v", err)
	}
	n, err := chain.ParseNote([]byte(v.ClaimNote.Note))
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.ParseClaim(n)
	if err != nil {
		t.Fatal(err)
	}
	if got := ClaimDigits(c.Ed, c.X, c.Recovery); got != v.Digits {
		t.Errorf("digits are %s, want %s", got, v.Digits)
	}
	other := [16]byte(v.Set)
	other[0] ^= 1
	if _, err := OpenContactWrap(s, other, v.Wrap); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("wrap of another set: %v", err)
	}
	for i := range v.Wrap {
		bad := bytes.Clone(v.Wrap)
		bad[i] ^= 1
		if _, err := OpenContactWrap(s, [16]byte(v.Set), bad); err == nil {
			t.Fatalf("wrap opens with byte %d changed", i)
		}
	}
}

// The field's laws, over all of it.
func TestField(t *testing.T) {
	for a := range 256 {
		if got := gfMul(byte(a), gfInverse(byte(a))); a != 0 && got != 1 || a == 0 && got != 0 {
			t.Fatalf("%#x times its inverse is %#x", a, got)
		}
		for b := range 256 {
			if gfMul(byte(a), byte(b)) != gfMul(byte(b), byte(a)) {
				t.Fatalf("%#x·%#x does not commute", a, b)
			}
			c := byte(a*7 + b*13 + 5)
			if gfMul(byte(a), byte(b)^c) != gfMul(byte(a), byte(b))^gfMul(byte(a), c) {
				t.Fatalf("%#x·(%#x+%#x) does not distribute", a, b, c)
			}
		}
	}
}

// Any two points give the secret; and for one point every secret is possible,
// each with exactly one slope, so that it says nothing.
func TestSplit(t *testing.T) {
	for range 500 {
		s := NewSecret()
		points := Split(s)
		for i := range points {
			for j := range points {
				if i == j {
					continue
				}
				if got, err := Combine(points[i], points[j]); err != nil || !got.Equal(s) {
					t.Fatalf("points %d and %d: %v", i, j, err)
				}
			}
		}
		if points[0].y.Equal(points[1].y) || points[0].y.Equal(s) {
			t.Fatal("a share is another, or the secret")
		}
	}
	for x := byte(1); x <= chain.Shares; x++ {
		y := byte(rand.Uint32())
		for s := range 256 {
			slopes := 0
			for a := range 256 {
				if byte(s)^gfMul(byte(a), x) == y {
					slopes++
				}
			}
			if slopes != 1 {
				t.Fatalf("share %#x at %d: secret %#x has %d slopes", y, x, s, slopes)
			}
		}
	}
	if _, err := Combine(Point{X: 0, y: NewSecret()}, Point{X: 1, y: NewSecret()}); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("x = 0: %v", err)
	}
	if _, err := Combine(Point{X: 1, y: NewSecret()}, Point{X: 4, y: NewSecret()}); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("x = 4: %v", err)
	}
}

func FuzzCombine(f *testing.F) {
	f.Add(make([]byte, 32), make([]byte, 32), byte(1), byte(2))
	f.Fuzz(func(t *testing.T, s, a []byte, x, y byte) {
		if len(s) != SecretSize || len(a) != SecretSize {
			return
		}
		want := secret(t, s)
		points := splitAlong(want, secret(t, a))
		p, q := points[x%chain.Shares], points[y%chain.Shares]
		got, err := Combine(p, q)
		if (p.X == q.X) != (err != nil) || err == nil && !got.Equal(want) {
			t.Fatalf("points %d and %d: %v", p.X, q.X, err)
		}
	})
}

// TestShare: from the owner to a contact to who is helped, with the owner's
// signature all the way, and no other way.
func TestShare(t *testing.T) {
	owner, stranger := NewSigning(), NewSigning()
	contact, helped, other := NewSealing(), NewSealing(), NewSealing()
	household := latchkey.HouseholdID{1}
	s := NewSecret()
	to := ShareFor{Household: household, Set: [16]byte{2}, To: latchkey.Kid{3}, X: contact.Public(), Time: 1790000000}
	points := Split(s)
	letter, err := SealShare(owner, points[1], to)
	if err != nil {
		t.Fatal(err)
	}
	share, err := OpenShare([]*Sealing{other, contact}, household, letter)
	if err != nil {
		t.Fatal(err)
	}
	if share.By != owner.Kid() || share.To != to.To || share.Set != to.Set || share.Time != to.Time {
		t.Errorf("share of %v to %v", share.By, share.To)
	}
	if err := share.Verify(owner.Public()); err != nil {
		t.Error(err)
	}
	if err := share.Verify(stranger.Public()); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("verifies under another key: %v", err)
	}
	if out := fmt.Sprintf("%v %+v %#v", share, struct{ S Share }{share}, &share); strings.Contains(out, "latchkey/v1 share") {
		t.Errorf("prints %q", out)
	}
	again, err := share.SealTo(helped.Public())
	if err != nil {
		t.Fatal(err)
	}
	arrived, err := OpenShare([]*Sealing{helped}, household, again)
	if err != nil || arrived.Verify(owner.Public()) != nil {
		t.Fatal(err)
	}
	if got, err := Combine(arrived.Point(), points[0]); err != nil || !got.Equal(s) {
		t.Errorf("combine: %v", err)
	}
	for name, open := range map[string]func() error{
		"with another key":     func() error { _, err := OpenShare([]*Sealing{other}, household, again); return err },
		"in another household": func() error { _, err := OpenShare([]*Sealing{helped}, latchkey.HouseholdID{9}, again); return err },
		"of a label": func() error {
			l, err := SealLetter(household, helped.Public(), []byte("Tablet"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = OpenShare([]*Sealing{helped}, household, l)
			return err
		},
	} {
		if open() == nil {
			t.Errorf("a share opens %s", name)
		}
	}
	share.Erase()
}
