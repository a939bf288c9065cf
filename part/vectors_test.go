package part_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
	"latchkey.dev/latchkey/testkit"
)

// protocolVectors is what part covers of the vectors that came with the protocol.
type protocolVectors struct {
	Cover []struct {
		From, Until uint32
		Nodes       []string
	}
	Padme map[string]int
	Part  struct {
		Header    testkit.Hex
		Commit    testkit.Hex
		Part      testkit.Hex
		PartHash  testkit.Hex `json:"part_hash"`
		SignerPub testkit.Hex `json:"signer_pub"`
		InnerLen  int         `json:"inner_len,string"`
		InnerHash testkit.Hex `json:"inner_sha256"`
	}
}

func loadProtocol(t *testing.T) protocolVectors {
	t.Helper()
	b, err := os.ReadFile(testkit.Shared(t, "vectors", "protocol-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v protocolVectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestProtocolCover(t *testing.T) {
	v := loadProtocol(t)
	if len(v.Cover) == 0 {
		t.Fatal("no covers in the vectors")
	}
	for _, c := range v.Cover {
		nodes, err := part.Cover(c.From, c.Until)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range nodes {
			got = append(got, fmt.Sprintf("%d/%d", n.Level, n.Index))
		}
		if fmt.Sprint(got) != fmt.Sprint(c.Nodes) {
			t.Errorf("cover [%d,%d) is %v, want %v", c.From, c.Until, got, c.Nodes)
		}
	}
}

func TestProtocolPadme(t *testing.T) {
	v := loadProtocol(t)
	if len(v.Padme) == 0 {
		t.Fatal("no lengths in the vectors")
	}
	for n, want := range v.Padme {
		length, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := part.Padme(length); got != want {
			t.Errorf("Padmé(%d) is %d, want %d", length, got, want)
		}
	}
}

func TestProtocolPart(t *testing.T) {
	v := loadProtocol(t).Part
	p, err := part.Parse(v.Part)
	if err != nil {
		t.Fatal(err)
	}
	want := part.Header{
		Flags: part.RAP, Slot: 3661, Seq: 7, CTLen: 272,
		Epoch: latchkey.EpochID(run(0xa0, 16)), Track: latchkey.TrackID(run(0xb0, 16)), Salt: [16]byte(run(0xc0, 16)),
		Prev: latchkey.Hash(run(0xd0, 32)), Commit: latchkey.Hash(v.Commit),
	}
	if p.Header != want {
		t.Errorf("header is %+v, want %+v", p.Header, want)
	}
	if got := want.AppendTo(nil); !bytes.Equal(got, v.Header) {
		t.Errorf("header encodes to %x, want %x", got, v.Header)
	}
	if got := p.Hash(); !bytes.Equal(got[:], v.PartHash) {
		t.Errorf("hash is %v, want %x", got, v.PartHash)
	}
	if err := p.VerifySig([]byte(v.SignerPub)); err != nil {
		t.Error(err)
	}
	inner, err := part.AppendRecords(nil, v.InnerLen, part.Record{Type: part.RecordFragment, Data: []byte("hello, household")})
	if err != nil {
		t.Fatal(err)
	}
	if got := sha256.Sum256(inner); !bytes.Equal(got[:], v.InnerHash) {
		t.Errorf("plaintext hashes to %x, want %x", got, v.InnerHash)
	}
}

// run is n consecutive byte values.
func run(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

func TestPartVectors(t *testing.T) {
	var v testkit.PartBytes
	testkit.Load(t, "part", &v)
	if _, err := part.Parse(v.Valid); err != nil {
		t.Errorf("valid part: %v", err)
	}
	if len(v.Rejects) == 0 {
		t.Fatal("no rejects in the vector file")
	}
	for _, r := range v.Rejects {
		if _, err := part.Parse(r.Bytes); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", r.Name, err, latchkey.ErrInvalid)
		}
	}
}

func TestRunVectors(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	if len(v.Tracks) == 0 || len(v.Broken) == 0 || len(v.Unopenable) == 0 {
		t.Fatal("the vector file lacks runs")
	}
	start := latchkey.Hash(v.EpochHash)
	for _, tr := range v.Tracks {
		var all []byte
		for _, rv := range tr.Parts {
			all = append(all, rv.Part...)
		}
		parts, err := part.ParseAll(all)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := part.VerifyRunHashes([]byte(v.SignerPub), &start, parts)
		if err != nil {
			t.Fatalf("%s track: %v", tr.Kind, err)
		}
		for i, rv := range tr.Parts {
			checkPart(t, parts[i], rv, hashes[i])
		}
		checkPieces(t, v, parts, hashes)
	}
	for _, u := range v.Unopenable {
		if _, err := verify(t, v.SignerPub, u.Prev, u.Parts); err != nil {
			t.Errorf("%s: its run has to verify: %v", u.Name, err)
		}
	}
}

func checkPart(t *testing.T, p part.Part, want testkit.RunVector, hash latchkey.Hash) {
	t.Helper()
	h := p.Header
	if h.Slot != want.Slot || h.Seq != want.Seq || uint8(h.Flags) != want.Flags || !bytes.Equal(hash[:], want.Hash) {
		t.Errorf("part is %+v with hash %v, want %+v", h, hash, want)
	}
	if hash != p.Hash() {
		t.Errorf("part %v: the run's hash is not its own", h)
	}
	if len(p.CT()) != int(h.CTLen) || len(p.Sig()) != part.SigSize || len(p.Raw) != h.Size() {
		t.Errorf("part %v: pieces of wrong length", h)
	}
}

// checkPieces verifies every consecutive piece of the track by itself.
func checkPieces(t *testing.T, v testkit.Run, parts []part.Part, hashes []latchkey.Hash) {
	t.Helper()
	for from := range parts {
		for until := from + 1; until <= len(parts); until++ {
			prev := latchkey.Hash(v.EpochHash)
			if from > 0 {
				prev = hashes[from-1]
			}
			for _, before := range []*latchkey.Hash{&prev, nil} {
				last, err := part.VerifyRun([]byte(v.SignerPub), before, parts[from:until])
				if err != nil || last != hashes[until-1] {
					t.Errorf("parts %d to %d: %v %v", from, until, last, err)
				}
			}
		}
	}
}

func verify(t *testing.T, signer, prev []byte, raw []testkit.Hex) (latchkey.Hash, error) {
	t.Helper()
	var run []part.Part
	for _, b := range raw {
		p, err := part.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		run = append(run, p)
	}
	before := latchkey.Hash(prev)
	return part.VerifyRun(signer, &before, run)
}

func TestBrokenRuns(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	for _, b := range v.Broken {
		if _, err := verify(t, v.SignerPub, b.Prev, b.Parts); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: got %v, want %v", b.Name, err, latchkey.ErrVerify)
		}
	}
}

func TestRecordVectors(t *testing.T) {
	var v testkit.Records
	testkit.Load(t, "records", &v)
	if len(v.Valid) == 0 || len(v.Padding) == 0 || len(v.Rejects) == 0 {
		t.Fatal("the vector file lacks records")
	}
	for i, iv := range v.Valid {
		recs, err := part.ParseRecords(iv.Inner)
		if err != nil || len(recs) != len(iv.Records) {
			t.Errorf("plaintext %d: %d records, %v", i, len(recs), err)
			continue
		}
		for j, r := range recs {
			if r.Type != iv.Records[j].Type || !bytes.Equal(r.Data, iv.Records[j].Data) {
				t.Errorf("plaintext %d: record %d is %d %q", i, j, r.Type, r.Data)
			}
		}
		if again, err := part.AppendRecords(nil, len(iv.Inner), recs...); err != nil || !bytes.Equal(again, iv.Inner) {
			t.Errorf("plaintext %d encodes to %x, %v", i, again, err)
		}
	}
	for _, r := range v.Rejects {
		if _, err := part.ParseRecords(r.Bytes); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", r.Name, err, latchkey.ErrInvalid)
		}
	}
	for _, p := range v.Padding {
		got, err := part.PaddedLen(latchkey.TrackKind(p.Kind), p.Len)
		if p.Padded < 0 && !errors.Is(err, latchkey.ErrInvalid) || p.Padded >= 0 && (err != nil || got != p.Padded) {
			t.Errorf("%d bytes on %s: padded to %d, %v, want %d", p.Len, p.Kind, got, err, p.Padded)
		}
	}
}
