package insider

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// A clean store yields nothing, and the report says what was tried.
func TestCleanStore(t *testing.T) {
	s := newStore(t, 120, 300)
	var done, total int64
	r := s.scan(t, func(c *Config) { c.Progress = func(d, n int64) { done, total = d, n } })
	for _, f := range r.Findings {
		t.Errorf("found %+v", f)
	}
	k := r.Known
	if k.EpochNotes != 1 || k.Roots != 3 || k.Slots != 242 || k.SealingKeys != 2 || k.SigningKeys != 4 || k.Wraps != 1 || k.Vaults != 1 || k.Local != 1 {
		t.Errorf("the insider did not find his material: %+v", k)
	}
	for _, test := range []string{"root", "node", "ed25519", "x-wing", "wrap", "vault", "local"} {
		if r.Tests[test] == 0 {
			t.Errorf("no window was tried as %s", test)
		}
	}
	if done != total || total == 0 || r.Windows == 0 || r.Files < 8 || len(r.LeftToDeep) == 0 {
		t.Errorf("progress %d of %d, report %+v", done, total, r)
	}
}

// disguisedAs puts a secret into other bytes, in the ways a mistake would.
func disguisedAs(t *testing.T, secret []byte, noise func(int) []byte) map[string][]byte {
	t.Helper()
	line := func(s string) []byte { return []byte("level=debug msg=x key=" + s + " end\n") }
	forms := map[string][]byte{
		"raw":         append(append(noise(777), secret...), noise(5)...),
		"raw at end":  append(noise(3), secret...),
		"hex":         line(hex.EncodeToString(secret)),
		"HEX":         line(strings.ToUpper(hex.EncodeToString(secret))),
		"base64url":   line(base64.RawURLEncoding.EncodeToString(secret)),
		"gzip":        zipped(t, append([]byte("prefix"), secret...)),
		"gzip hex":    zipped(t, line(hex.EncodeToString(secret))),
		"base64 gzip": line(base64.StdEncoding.EncodeToString(zipped(t, line(hex.EncodeToString(secret))))),
		"PEM":         []byte("-----BEGIN KEY-----\n" + folded(base64.StdEncoding.EncodeToString(append(noise(70), append(secret, noise(40)...)...))) + "-----END-----\n"),
	}
	for shift := range 3 {
		padded := append(noise(shift), append(bytes.Clone(secret), noise(4)...)...)
		forms[fmt.Sprint("base64 at ", shift)] = line(base64.StdEncoding.EncodeToString(padded))
	}
	return forms
}

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func deflated(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func folded(s string) string {
	var b strings.Builder
	for len(s) > 64 {
		b.WriteString(s[:64] + "\n")
		s = s[64:]
	}
	return b.String() + s + "\n"
}

// plants checks that each planted file has a finding of its kind, and that no
// other file has any. No report may repeat what it found.
type plants struct {
	s    *store
	want map[string]Kind
}

func (p *plants) put(t *testing.T, name string, kind Kind, data []byte) {
	t.Helper()
	p.want[p.s.write(t, filepath.Join("planted", name), data)] = kind
}

func (p *plants) check(t *testing.T, r Report, secrets ...[]byte) {
	t.Helper()
	got := map[string]map[Kind]bool{}
	for _, f := range r.Findings {
		if got[f.File] == nil {
			got[f.File] = map[Kind]bool{}
		}
		got[f.File][f.Kind] = true
		if _, ok := p.want[f.File]; !ok {
			t.Errorf("found where nothing is: %+v", f)
		}
		for _, secret := range secrets {
			if strings.Contains(f.What, string(secret)) || strings.Contains(f.What, hex.EncodeToString(secret)) {
				t.Errorf("the report repeats a secret: %s", f.What)
			}
		}
	}
	for file, kind := range p.want {
		if !got[file][kind] {
			t.Errorf("%s in %s was not found", kind, filepath.Base(file))
		}
	}
}

// Every sort of key, in every form, is found in a store that is clean otherwise.
func TestLeakedKeysAreFound(t *testing.T) {
	s := newStore(t, 600, 300)
	video, audio := s.tracks[0].ID, s.tracks[1].ID
	root, recovery := s.roots[audio], recoverySecret(t, s)
	p := &plants{s: s, want: map[string]Kind{}}
	for form, b := range disguisedAs(t, root[:], s.bytes) {
		p.put(t, "root "+form, KindRoot, b)
	}
	leak := func(name string, kind Kind, k []byte) {
		p.put(t, name, kind, append(append(s.bytes(100), k...), s.bytes(50)...))
		p.put(t, name+" in a log", kind, []byte("secret="+hex.EncodeToString(k)))
	}
	for name, n := range map[string]key{
		"node 8": s.node(video, 8, 512), "node 8 at 0": s.node(video, 8, 0), "node 12": s.node(audio, 12, 32*7),
		"node 13": s.node(video, 13, 16*9), "node 17": s.node(video, 17, 512), "last leaf": s.node(audio, 17, 599), "root of half": s.node(video, 1, 0),
	} {
		leak(name, KindNode, n[:])
	}
	leak("X-Wing seed", KindSealingKey, s.xSeed[:])
	leak("member's seed", KindSigningKey, s.edSeed[:])
	leak("hub's seed", KindSigningKey, s.hubSeed[:])
	leak("epoch signer", KindSigningKey, s.signer[:])
	leak("recovery secret", KindWrapSecret, recovery)
	leak("vault key", KindVaultKey, s.vk[:])
	leak("machine key", KindMachineKey, s.machine)
	p.put(t, "code", KindCode, []byte("your code: "+s.code.Reveal()+" (keep it)"))
	p.put(t, "code in lower case", KindCode, []byte("code="+strings.ToLower(s.code.Reveal())))
	p.put(t, "code in a link", KindCode, []byte("#recover="+s.code.RevealQR()+"\n"))
	r := s.scan(t)
	p.check(t, r, root[:], s.xSeed[:], s.edSeed[:], s.hubSeed[:], recovery, s.vk[:], s.machine, []byte(s.code.Reveal()))
}

// recoverySecret is what the recovery code derives, by the protocol's page.
func recoverySecret(t *testing.T, s *store) []byte {
	t.Helper()
	var secret []byte
	findCodes([]byte(s.code.Reveal()), func(_ int, recovery key) { secret = bytes.Clone(recovery[:]) })
	if secret == nil {
		t.Fatal("the code was not read")
	}
	return secret
}

// A key that a mistake of the sealer put inside a part whose signature holds is
// found too; what needs Deep there, Deep finds.
func TestLeaksInsideParts(t *testing.T) {
	s := newStore(t, 4, 100)
	video := s.tracks[0].ID
	p := &plants{s: s, want: map[string]Kind{}}
	root, leaf := s.roots[s.tracks[1].ID], s.node(video, 17, 1)
	p.put(t, "root", KindRoot, s.badPart(t, video, 1, root[:]))
	p.put(t, "own leaf", KindNode, s.badPart(t, video, 1, leaf[:]))
	quick := s.scan(t)
	p.check(t, quick)
	deepOnly := &plants{s: s, want: map[string]Kind{}}
	for file, kind := range p.want {
		deepOnly.want[file] = kind
	}
	other := s.node(video, 17, 2)
	deepOnly.put(t, "another leaf", KindNode, s.badPart(t, video, 1, other[:]))
	deepOnly.put(t, "X-Wing seed", KindSealingKey, s.badPart(t, video, 1, s.xSeed[:]))
	deepOnly.check(t, s.scan(t, func(c *Config) { c.Deep = true }))
	p.check(t, s.scan(t)) // without Deep they are left, and the report says so
}

// badPart is a part signed by the epoch's signer whose ciphertext holds secret.
func (s *store) badPart(t *testing.T, track latchkey.TrackID, slot uint32, secret []byte) []byte {
	t.Helper()
	ct := append(append(s.bytes(100), secret...), s.bytes(80)...)
	h := part.Header{Slot: slot, Seq: 9, CTLen: uint32(len(ct)), Epoch: s.epoch, Track: track, Salt: [16]byte(s.bytes(16))}
	commit := commitFor(s, track, slot, h)
	h.Commit = commit
	raw := append(h.AppendTo(nil), ct...)
	p, err := part.Parse(append(raw, make([]byte, part.SigSize)...))
	if err != nil {
		t.Fatal(err)
	}
	return append(raw, keys.SigningFromSeed(fromSeed(t, s.signer)).Sign(part.SigMessage(p.Hash()))...)
}

func commitFor(s *store, track latchkey.TrackID, slot uint32, h part.Header) latchkey.Hash {
	leaf := s.node(track, 17, slot)
	var p prf
	p.set(leaf[:])
	return p.kdf("part commit", h.AppendTo(nil)[:bound], nil)
}

// A canary is found in every disguise.
func TestCanaries(t *testing.T) {
	s := newBare(t)
	p := &plants{s: s, want: map[string]Kind{}}
	for i, word := range canaries() {
		for form, b := range disguisedAs(t, []byte(word), s.bytes) {
			p.put(t, fmt.Sprint(i, " ", form), KindCanary, b)
		}
		p.put(t, fmt.Sprint(i, " zlib"), KindCanary, deflated(t, []byte(strings.Repeat("padding ", 9)+word)))
		p.put(t, fmt.Sprint(i, " UTF-16"), KindCanary, []byte(wide("see "+word, 0, 1)))
	}
	p.check(t, s.scan(t))
}

// Plaintext pictures, sound and video are found, also compressed once more.
func TestMedia(t *testing.T) {
	s := newBare(t)
	p := &plants{s: s, want: map[string]Kind{}}
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for i := range 64 * 48 {
		img.Set(i%64, i/64, color.RGBA{uint8(i), uint8(i * 7), uint8(i >> 3), 255})
	}
	var jpg, pngFile bytes.Buffer
	if err := errors.Join(jpeg.Encode(&jpg, img, nil), png.Encode(&pngFile, img)); err != nil {
		t.Fatal(err)
	}
	noisy := func(b []byte) []byte { return append(append(s.bytes(1001), b...), s.bytes(500)...) }
	p.put(t, "thumbnail.jpg", KindMedia, jpg.Bytes())
	p.put(t, "thumbnail in noise", KindMedia, noisy(jpg.Bytes()))
	p.put(t, "thumbnail in base64", KindMedia, []byte(base64.StdEncoding.EncodeToString(jpg.Bytes())))
	p.put(t, "thumbnail in gzip", KindMedia, zipped(t, jpg.Bytes()))
	p.put(t, "png", KindMedia, noisy(pngFile.Bytes()))
	p.put(t, "webp", KindMedia, noisy(append([]byte("RIFF\x24\x00\x00\x00WEBPVP8 "), s.bytes(30)...)))
	p.put(t, "avif", KindMedia, noisy([]byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf")))
	p.put(t, "init", KindMedia, noisy([]byte("\x00\x00\x00\x18ftypiso6\x00\x00\x00\x01iso6mp41")))
	p.put(t, "fragment", KindMedia, noisy([]byte("\x00\x00\x00\x60moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00\x00\x00\x00\x07")))
	p.put(t, "H.264", KindMedia, noisy([]byte("\x00\x00\x00\x01\x67\x64\x00\x28\xac\xd9\x40\x78\x02\x27\x00\x00\x00\x01\x68\xee\x38\x80\x00\x00")))
	p.put(t, "H.265", KindMedia, noisy([]byte("\x00\x00\x01\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x01\x42\x01\x01\x01\x60\x00\x00\x03\x00\x00")))
	p.put(t, "slices", KindMedia, s.slices(8))
	p.put(t, "adts", KindMedia, noisy(s.adts(8)))
	p.check(t, s.scan(t))
}

// slices is a stretch of H.264 without its parameter sets.
func (s *store) slices(n int) (out []byte) {
	for range n {
		out = append(append(out, 0, 0, 0, 1, 0x41, 0x9a), bytes.ReplaceAll(s.bytes(900), []byte{0, 0}, []byte{7, 7})...)
	}
	return out
}

func (s *store) adts(n int) (out []byte) {
	for range n {
		const size = 207
		out = append(out, 0xff, 0xf1, 0x50, 0x80|size>>11, size>>3&0xff, size&7<<5|0x1f, 0xfc)
		out = append(out, s.bytes(size-7)...)
	}
	return out
}

// Nothing is found by chance in 8 MB of noise, nor in rows of numbers.
func TestNoFalseAlarm(t *testing.T) {
	s := newBare(t)
	var rows []byte
	for i := range 40_000 {
		rows = append(rows, 0, 0, 1, byte(i%256), 0, 0, byte(i>>8))
		rows = append(rows, s.bytes(16)...)
	}
	for _, data := range [][]byte{s.bytes(8 << 20), rows} {
		findMedia(data, func(at int, what string) { t.Errorf("%s at %d", what, at) })
		findCodes(data, func(at int, _ key) { t.Errorf("code at %d", at) })
	}
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		r, err := Scan(context.Background(), Config{DataDirs: []string{filepath.Join(t.TempDir(), "missing")}})
		if err != nil || len(r.Unread) != 1 {
			t.Errorf("a missing folder: %+v, %v", r.Unread, err)
		}
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "locked"), []byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	r, err := Scan(context.Background(), Config{DataDirs: []string{dir}})
	if err != nil || len(r.Unread) != 1 {
		t.Errorf("an unreadable file: %+v, %v", r.Unread, err)
	}
}

func TestConfigRefuses(t *testing.T) {
	for _, c := range []Config{{}, {DataDirs: []string{t.TempDir()}, Canaries: []string{"short"}}} {
		if _, err := Scan(context.Background(), c); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Scan(ctx, Config{DataDirs: []string{newStore(t, 1, 300).dir}}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A memory image and the keys of staff are searched like the store.
func TestOtherPlaces(t *testing.T) {
	s := newStore(t, 2, 300)
	root := s.roots[s.tracks[0].ID]
	image := filepath.Join(t.TempDir(), "core")
	if err := os.WriteFile(image, append(make([]byte, 100_003), root[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.staff, "agent.key"), s.xSeed[:], 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.scan(t, func(c *Config) { c.MemoryImages = []string{image} })
	kinds := map[Kind]bool{}
	for _, f := range r.Findings {
		kinds[f.Kind] = true
	}
	// A root is a node too: that of all slots.
	if !kinds[KindRoot] || !kinds[KindSealingKey] || !kinds[KindNode] || len(kinds) != 3 {
		t.Errorf("found %+v", r.Findings)
	}
}

// Sampling keeps its word: with a small budget every node of the promised span
// is still tried.
func TestChosenSlots(t *testing.T) {
	k := newKnown(hold(nil))
	for slot := range uint32(5000) {
		c := &partCommit{slotOf: slotOf{slot: slot}}
		k.slots[c.slotOf] = c
	}
	for _, budget := range []int{1, 10, 100, 1000, 0} {
		tg := k.freeze(budget)
		tried := map[[2]uint32]bool{}
		for _, a := range tg.aligned {
			for n := a.min; n <= a.max; n++ {
				tried[[2]uint32{a.slot, uint32(n)}] = true
			}
		}
		for n := range part.Depth + 1 {
			for slot := uint32(0); slot < 5000; slot += 1 << n {
				if 1<<n >= tg.span && !tried[[2]uint32{slot, uint32(n)}] {
					t.Fatalf("budget %d promises %d slots and leaves out node of 2^%d at %d", budget, tg.span, n, slot)
				}
			}
		}
		if budget == 0 && tg.span != 1 {
			t.Errorf("without a budget the span is %d", tg.span)
		}
	}
}

func BenchmarkScan(b *testing.B) {
	s := newStore(b, 120, 40_000)
	var bytes int64
	for b.Loop() {
		bytes = s.scan(b).Bytes
	}
	b.SetBytes(bytes)
}
