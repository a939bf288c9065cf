package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"latchkey.dev/latchkey/part"
	"latchkey.dev/latchkey/testkit"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

type sharedVectors struct {
	Tree struct {
		Root   string
		Leaves map[string]string
	}
	Part struct {
		Header, Leaf, Key, Commit, Part, PartHash string
		Inner                                     string `json:"inner_sha256"`
		Hash                                      string `json:"part_hash"`
		Seed                                      string `json:"signer_seed"`
	}
	Capsule struct{ Plaintext string }
}

func loadShared(tb testing.TB) (v sharedVectors) {
	tb.Helper()
	b, err := os.ReadFile(testkit.Shared(tb, "vectors", "protocol-v1.json"))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestSharedLeaves(t *testing.T) {
	v := loadShared(t).Tree
	root := key(unhex(t, v.Root))
	if len(v.Leaves) == 0 {
		t.Fatal("no leaves")
	}
	for slot, want := range v.Leaves {
		n, err := strconv.ParseUint(slot, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		var leaf key
		descend(&leaf, &root, part.Node{}, uint32(n))
		if hex.EncodeToString(leaf[:]) != want {
			t.Errorf("leaf %s is %x", slot, leaf)
		}
	}
}

// plantTree makes a tree over root in fresh memory.
func plantTree(tb testing.TB, root key) *tree {
	tb.Helper()
	mem, err := newLocked(treeKeys)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(mem.close)
	tr := newTree(mem, 0, &root)
	if root != (key{}) {
		tb.Fatal("the root was not erased")
	}
	return tr
}

// checkFrontier checks T2: the frontier covers exactly the slots after the
// current one, with at most 17 right keys, and nothing else is in memory.
func checkFrontier(tb testing.TB, tr *tree, root key) {
	tb.Helper()
	var want key
	descend(&want, &root, part.Node{}, tr.slot)
	if *tr.leaf != want {
		tb.Fatalf("leaf of slot %d is wrong", tr.slot)
	}
	next := tr.slot + 1
	for l := part.Depth; l >= 1; l-- {
		if bitOf(tr.slot, l) == 1 {
			if *tr.right[l] != (key{}) {
				tb.Fatalf("slot %d: a key of level %d stayed behind", tr.slot, l)
			}
			continue
		}
		n := part.Node{Level: uint8(l), Index: tr.slot>>(part.Depth-l) | 1}
		from, until := n.Range()
		if from != next {
			tb.Fatalf("slot %d: node %v does not follow slot %d", tr.slot, n, next)
		}
		next = until
		var leaf key
		descend(&leaf, tr.right[l], n, from)
		descend(&want, &root, part.Node{}, from)
		if leaf != want {
			tb.Fatalf("slot %d: node %v has a wrong key", tr.slot, n)
		}
	}
	if next != part.Slots {
		tb.Fatalf("slot %d: the frontier ends at %d", tr.slot, next)
	}
}

func TestFrontier(t *testing.T) {
	root := key{1, 2, 3}
	tr := plantTree(t, root)
	checkFrontier(t, tr, root)
	for range 600 {
		tr.advance(tr.slot + 1)
		checkFrontier(t, tr, root)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for tr.slot < part.Slots-1 {
		before := tr.slot
		tr.advance(tr.slot - min(tr.slot, rng.Uint32N(5))) // back or nowhere: ignored
		if tr.slot != before {
			t.Fatal("went back")
		}
		tr.advance(min(tr.slot+1+rng.Uint32N(1<<rng.Uint32N(13)), part.Slots-1))
		checkFrontier(t, tr, root)
	}
	tr.erase()
	if *tr.leaf != (key{}) {
		t.Error("erase left the leaf")
	}
}

// C2 in the small: once a slot is past, no 32 bytes of the tree's memory derive it.
func TestPastIsGone(t *testing.T) {
	root := key{9}
	mem, err := newLocked(treeKeys)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.close()
	r := root
	tr := newTree(mem, 0, &r)
	tr.advance(70_000)
	for _, past := range []uint32{0, 1, 35_000, 65_535, 65_536, 69_998, 69_999} {
		path := root
		for l := 0; l <= part.Depth; l++ {
			if l > 0 {
				child(&path, &path, bitOf(past, l))
			}
			if bytes.Contains(mem.mem, path[:]) && l > 0 || l == 0 && bytes.Contains(mem.mem, root[:]) {
				t.Errorf("a node of level %d on the path to slot %d is still there", l, past)
			}
		}
	}
	mem.close()
	mem.close() // twice is fine
}
