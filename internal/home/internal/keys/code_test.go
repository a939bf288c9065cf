package keys

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

func TestCodeRoundTrip(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		c := NewCode()
		shown := c.Reveal()
		if seen[shown] || len(shown) != 39 || strings.Count(shown, "-") != 7 {
			t.Fatalf("odd code %s", shown)
		}
		seen[shown] = true
		for _, typed := range []string{
			shown, strings.ToLower(shown), strings.ReplaceAll(shown, "-", ""), strings.ReplaceAll(shown, "-", " "),
			strings.NewReplacer("0", "O", "1", "I").Replace(shown), strings.NewReplacer("0", "o", "1", "l").Replace(shown),
			" " + shown + "\n", c.RevealQR(),
		} {
			back, err := ParseCode(typed)
			if err != nil || !back.Equal(c) {
				t.Fatalf("%q is not read back: %v", typed, err)
			}
		}
	}
}

// Any exchange of two neighbours, any changed, missing or extra character: of
// 65,536 random changes one passes, these few thousand do not.
func TestCodeRejects(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	c, err := ParseCode("208H-44RM-2MB1-E60S-38DH-R78Y-3WG2-3EBW")
	if err != nil {
		t.Fatal(err)
	}
	s := strings.ReplaceAll(c.Reveal(), "-", "")
	var bad []string
	for i := range s {
		bad = append(bad, s[:i]+s[i+1:], s[:i]+"0"+s[i:], s[:i]+"U"+s[i+1:], s[:i]+"é"+s[i+1:])
		if i > 0 && s[i] != s[i-1] {
			bad = append(bad, s[:i-1]+s[i:i+1]+s[i-1:i]+s[i+1:])
		}
		for range 20 {
			if d := crockford[rng.IntN(32)]; d != s[i] {
				bad = append(bad, s[:i]+string(d)+s[i+1:])
			}
		}
	}
	bad = append(bad, "", "LK1:", "LK1:"+s+"0", "LK2:"+s, strings.Repeat("0", 32))
	for _, b := range bad {
		if _, err := ParseCode(b); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%q is read as a code", b)
		} else if strings.Contains(err.Error(), s[:8]) {
			t.Errorf("the error repeats the code: %v", err)
		}
	}
}

func FuzzCode(f *testing.F) {
	f.Add("208H-44RM-2MB1-E60S-38DH-R78Y-3WG2-3EBW")
	f.Add("LK1:208h44rm2mble6os38dhr78y3wg23ebw")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCode(s)
		if err != nil {
			return
		}
		canon := c.Reveal()
		again, err := ParseCode(canon)
		if err != nil || again.Reveal() != canon {
			t.Fatalf("%q → %q is not stable: %v", s, canon, err)
		}
	})
}
