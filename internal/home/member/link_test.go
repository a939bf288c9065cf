package member

import (
	"errors"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
)

func TestLinkURLs(t *testing.T) {
	secret := strings.Repeat("A", 43)
	for link, want := range map[string]string{
		"https://cams.example.org/s#LK1." + secret:     "https://cams.example.org",
		" https://CAMS.example.org/s/#LK1." + secret:   "https://cams.example.org",
		"http://127.0.0.1:8440/s#LK1." + secret + "\n": "http://127.0.0.1:8440",
	} {
		origin, fragment, err := ParseLinkURL(link)
		if err != nil || origin != want || fragment != "#LK1."+secret {
			t.Errorf("%q: %q, %q, %v", link, origin, fragment, err)
		}
	}
	for _, link := range []string{
		"", "#LK1." + secret, "cams.example.org/s#LK1." + secret, "ftp://cams.example.org/s#LK1." + secret,
		"https://cams.example.org#LK1." + secret, "https://cams.example.org/share#LK1." + secret, "https://cams.example.org/s",
		"https://cams.example.org/s?x=1#LK1." + secret, "https://ann@cams.example.org/s#LK1." + secret, "https:///s#LK1." + secret, "https://%zz/s#LK1." + secret,
	} {
		_, _, err := ParseLinkURL(link)
		if !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%q: %v", link, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the secret is quoted: %v", err)
		}
	}
}

func FuzzLinkURL(f *testing.F) {
	f.Add("https://cams.example.org/s#LK1.AAAA")
	f.Add("https://cams.example.org/s?#x")
	f.Add("http://[fe80::1%25en0]:8440/s#LK1.AAAA")
	f.Add("https://%C3%84.example/s#x")
	f.Fuzz(func(t *testing.T, link string) {
		origin, fragment, err := ParseLinkURL(link)
		if err != nil {
			return
		}
		again, same, err := ParseLinkURL(origin + linkPath + fragment)
		if err != nil || again != origin || strings.TrimSpace(same) != strings.TrimSpace(fragment) {
			t.Fatalf("%q leads to %q and %q, %v", link, again, same, err)
		}
		if _, err := newAPI(origin, nil); err != nil {
			t.Fatalf("%q is no server: %v", origin, err)
		}
	})
}
