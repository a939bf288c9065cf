package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey/internal/home/member"
)

// fieldReader reads a log's tiles over HTTP with the tooling of the field: Go's
// checksum database code. Nothing of ours takes part.
type fieldReader struct {
	t    *testing.T
	base string // of the log
	tree tlog.Tree
}

func (r fieldReader) Height() int { return 8 }

func (r fieldReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r fieldReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range tiles {
		out = append(out, httpGet(r.t, r.base+"tile/"+strconv.Itoa(tile.L)+"/"+tilePath(tile)))
	}
	return out, nil
}

// tilePath is the path of a tile in C2SP tlog-tiles, for logs of fewer than a
// million tiles.
func tilePath(t tlog.Tile) string {
	path := fmt.Sprintf("%03d", t.N%1000)
	if t.N >= 1000 {
		path = fmt.Sprintf("x%03d/%s", t.N/1000, path)
	}
	if t.W < 256 {
		path += ".p/" + strconv.Itoa(t.W)
	}
	return path
}

// TestIndependentReader: checkpoints, tiles, entries and inclusion proofs of our
// log verify with a reader that is not ours.
func TestIndependentReader(t *testing.T) {
	d := startHouse(t)
	for i := range 3 {
		join(t, d.client, d.server, member.NewMember{Name: fmt.Sprint("guest ", i)}, fmt.Sprint("guest ", i)).client.Close()
	}
	var r member.LedgerReport
	eventually(t, "all statements stand in the log", func() bool {
		var err error
		r, err = d.client.Ledger(t.Context(), 0, false)
		return err == nil && r.Pending() == 0 && r.Covered()
	})
	vkey := ""
	for line := range strings.Lines(string(httpGet(t, d.server+"/log/policy"))) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "log" {
			vkey = words[1]
		}
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	base := d.server + "/log/" + logName(t, d) + "/"
	read := fieldReader{t: t, base: base, tree: openTree(t, verifier, httpGet(t, base+"checkpoint"))}
	hashes := tlog.TileHashReader(read.tree, read)
	entries := readBundle(t, httpGet(t, base+"tile/entries/"+tilePath(tlog.Tile{N: 0, W: int(min(read.tree.N, 256))})))
	for i, e := range entries {
		p, err := tlog.ProveRecord(read.tree.N, int64(i), hashes)
		if err == nil {
			err = tlog.CheckRecord(p, read.tree.N, read.tree.Hash, int64(i), tlog.RecordHash(e))
		}
		if err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for _, s := range r.Statements { // our own proofs, in the field's form
		head, checkpoint, _ := strings.Cut(string(s.Proof), "\n\n")
		lines := strings.Split(head, "\n")
		if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
			t.Fatalf("statement %d: %q", s.Seq, head)
		}
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
		if err != nil || index >= int64(len(entries)) {
			t.Fatalf("statement %d: index %q", s.Seq, lines[2])
		}
		var p tlog.RecordProof
		for _, l := range lines[3:] {
			h, err := tlog.ParseHash(l)
			if err != nil {
				t.Fatal(err)
			}
			p = append(p, h)
		}
		tree := openTree(t, verifier, []byte(checkpoint))
		if err := tlog.CheckRecord(p, tree.N, tree.Hash, index, tlog.RecordHash(entries[index])); err != nil {
			t.Errorf("statement %d: %v", s.Seq, err)
		}
		if e := entries[index]; len(e) != 65 || string(e[33:]) != string(s.Hash[:]) {
			t.Errorf("statement %d: entry %d is %x", s.Seq, index, e)
		}
	}
}

// openTree opens a checkpoint that the log has signed.
func openTree(t *testing.T, v note.Verifier, raw []byte) tlog.Tree {
	t.Helper()
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || lines[0] != v.Name() {
		t.Fatalf("checkpoint %q", n.Text)
	}
	h, err := tlog.ParseHash(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	return tlog.Tree{N: size, Hash: h}
}

func readBundle(t *testing.T, raw []byte) (out [][]byte) {
	t.Helper()
	for len(raw) > 0 {
		n := int(binary.BigEndian.Uint16(raw))
		if len(raw) < 2+n {
			t.Fatal("a bundle that breaks off")
		}
		out, raw = append(out, raw[2:2+n]), raw[2+n:]
	}
	return out
}
