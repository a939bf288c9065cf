package insider

import (
	"bytes"
	"testing"

	"latchkey.dev/latchkey/part"
)

// Whatever lies in a store, the insider reads it without falling over.
func FuzzHostileBytes(f *testing.F) {
	page := append([]byte(sqliteMagic), make([]byte, 1008)...)
	page[16], page[20] = 2, 12 // pages of 512 bytes
	copy(page[512:], "\x0d\x00\x00\x00\x01\x01\x00\x00\x01\x00")
	copy(page[512+256:], "\x8f\x00\x01")
	f.Add(page)
	f.Add([]byte("PK\x03\x04\x00\x00\x00\x00\x08\x00                  \xff\xff\xff\xff"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("LK1\x00latchkey/v1 epoch\nhousehold \n\n— lk.\nLKW1LKV1LKC1LKF1"))
	f.Add([]byte("\xff\xd8\xff\xe0\x00\x02\xff\xda\xff\xf1\x50\x80\x01\x1f\xfcftypmoovmoofRIFFWEBP\x00\x00\x01\x67"))
	f.Add(bytes.Repeat([]byte("QUJD"), 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := stretch{file: "x", data: data, own: len(data), whole: true}
		k := newKnown(hold(nil))
		k.collect(s)
		s.expansions(func(d stretch) { k.collect(d) })
		s.texts(k.isPublic, func(d stretch) {
			if len(d.data) > len(data) {
				t.Error("text decodes to more than it was")
			}
		})
		if db := openSQLite("/nonexistent/x", data); db != nil {
			db.spilled(func(_ int, payload []byte) {
				if len(payload) > len(data) {
					t.Error("a payload has more bytes than the database")
				}
			})
		}
		within := func(at int) {
			if at < 0 || at >= len(data) {
				t.Errorf("offset %d of %d", at, len(data))
			}
		}
		findMedia(data, func(at int, _ string) { within(at) })
		findCodes(data, func(at int, _ key) { within(at) })
		for _, p := range findParts(data) {
			if again, err := part.Parse(data[p.at : p.at+len(p.Raw)]); err != nil || again.Header != p.Header {
				t.Errorf("a part was found that does not parse: %v", err)
			}
		}
	})
}
