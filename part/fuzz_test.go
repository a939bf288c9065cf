package part_test

import (
	"bytes"
	"testing"

	"latchkey.dev/latchkey/part"
	"latchkey.dev/latchkey/testkit"
)

// seedParts adds all parts and malformed parts of the vectors.
func seedParts(f *testing.F) {
	var v testkit.PartBytes
	testkit.Load(f, "part", &v)
	f.Add([]byte(v.Valid))
	for _, r := range v.Rejects {
		f.Add([]byte(r.Bytes))
	}
	var runs testkit.Run
	testkit.Load(f, "run", &runs)
	for _, tr := range runs.Tracks {
		var all []byte
		for _, p := range tr.Parts {
			f.Add([]byte(p.Part))
			all = append(all, p.Part...)
		}
		f.Add(all)
	}
}

func FuzzHeader(f *testing.F) {
	seedParts(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := part.ParseHeader(b)
		if err != nil {
			return
		}
		if again := h.AppendTo(nil); !bytes.Equal(again, b[:part.HeaderSize]) {
			t.Fatalf("%x encodes to %x", b[:part.HeaderSize], again)
		}
	})
}

func FuzzParts(f *testing.F) {
	seedParts(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := part.ParseAll(b)
		if err != nil {
			return
		}
		var again []byte
		for _, p := range parts {
			again = append(append(p.Header.AppendTo(again), p.CT()...), p.Sig()...)
			if one, err := part.Parse(p.Raw); err != nil || one.Header != p.Header {
				t.Fatalf("a part of the concatenation does not parse alone: %v", err)
			}
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x", b, again)
		}
	})
}

func FuzzRecords(f *testing.F) {
	var v testkit.Records
	testkit.Load(f, "records", &v)
	for _, iv := range v.Valid {
		f.Add([]byte(iv.Inner))
	}
	for _, r := range v.Rejects {
		f.Add([]byte(r.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, err := part.ParseRecords(b)
		if err != nil {
			return
		}
		again, err := part.AppendRecords(nil, len(b), recs...)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x encodes to %x, %v", b, again, err)
		}
	})
}
