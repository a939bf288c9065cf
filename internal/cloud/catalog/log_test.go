package catalog

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// TestOutbox: a statement and its leaf come in together or not at all, and what
// got lost between outbox and log is found.
func TestOutbox(t *testing.T) {
	db := openTest(t)
	ctx := t.Context()
	try(t, db.CreateHousehold(ctx, Founding{Genesis: []byte("g"), Text: latchkey.Hash{1}, Vault: Vault{Household: homeA, Vault: []byte{1}}}, time.Now()))
	try(t, db.AppendStatement(ctx, Change{Household: homeA, Seq: 1, Note: []byte("one"), Text: latchkey.Hash{2}, At: time.Now()}))
	wantKind(t, db.AppendStatement(ctx, Change{Household: homeA, Seq: 1, Note: []byte("two"), Text: latchkey.Hash{3}, At: time.Now()}), latchkey.ErrConflict)
	waiting, err := db.Outbox(ctx, 10)
	try(t, err)
	if len(waiting) != 2 || waiting[0].Entry[33] != 1 || waiting[1].Entry[33] != 2 {
		t.Fatalf("%d entries wait, want those of two statements", len(waiting))
	}
	lost := func(want int) {
		t.Helper()
		got, err := db.Unlogged(ctx, 10)
		try(t, err)
		if len(got) != want || want == 1 && got[0] != (Unlogged{homeA, 1}) {
			t.Errorf("lost on the way: %v, want %d", got, want)
		}
	}
	lost(0)
	try(t, db.EndBatch(ctx, "log", 0, waiting[:1]))
	lost(0)
	leaves, err := db.Leaves(ctx, homeA, 0, 10)
	try(t, err)
	if len(leaves) != 1 || leaves[0] != (Leaf{0, 0}) {
		t.Errorf("leaves %v", leaves)
	}
	_, err = db.write.ExecContext(ctx, `DELETE FROM outbox`)
	try(t, err)
	lost(1)
}
