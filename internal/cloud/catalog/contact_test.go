package catalog

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

func contactHome(t *testing.T) (*DB, latchkey.HouseholdID) {
	t.Helper()
	db := openTest(t)
	h := latchkey.HouseholdID{7}
	_, err := db.write.ExecContext(t.Context(), `INSERT INTO households (household, created_ms, log_tag_key) VALUES ($1, 0, $1)`, h[:])
	try(t, err)
	return db, h
}

func contactSet(h latchkey.HouseholdID, owner, set byte) ContactSet {
	s := ContactSet{Household: h, Owner: latchkey.Kid{owner}, Set: [16]byte{set}, Wrap: []byte("wrap"), Created: time.UnixMilli(5)}
	for k := byte(10); k < 13; k++ {
		s.Letters = append(s.Letters, ContactLetter{Contact: latchkey.Kid{k}, Letter: []byte{k, set}})
	}
	return s
}

func TestContactSets(t *testing.T) {
	db, h := contactHome(t)
	try(t, db.PutContacts(t.Context(), contactSet(h, 1, 1)))
	try(t, db.PutContacts(t.Context(), contactSet(h, 2, 2)))
	try(t, db.PutContacts(t.Context(), contactSet(h, 1, 3)))
	all, err := db.ContactSets(t.Context(), h)
	try(t, err)
	if len(all) != 2 || all[0].Set != [16]byte{3} || len(all[0].Letters) != 3 || !all[1].HasContact(latchkey.Kid{11}) || all[1].HasContact(latchkey.Kid{1}) {
		t.Fatalf("%+v", all)
	}
	try(t, db.KillContacts(t.Context(), h, latchkey.Kid{1}))
	try(t, db.DropContacts(t.Context(), h, latchkey.Kid{2}, ClaimEnded))
	all, err = db.ContactSets(t.Context(), h)
	try(t, err)
	if len(all) != 1 || !all[0].Dead || len(all[0].Wrap) != 0 || len(all[0].Letters) != 3 || len(all[0].Letters[0].Letter) != 0 {
		t.Fatalf("%+v", all)
	}
}

func TestClaims(t *testing.T) {
	db, h := contactHome(t)
	try(t, db.PutContacts(t.Context(), contactSet(h, 1, 1)))
	now := time.UnixMilli(1_000_000)
	claim := func(id byte) Claim {
		return Claim{Household: h, ID: chain.ClaimID{id}, Member: latchkey.Kid{1}, Set: [16]byte{1}, Claimed: latchkey.Kid{id}}
	}
	put := func(c Claim, contact byte) error {
		return db.PutClaim(t.Context(), c, ClaimNote{Contact: latchkey.Kid{contact}, Note: []byte{contact}}, 2, now)
	}
	try(t, put(claim(1), 10))
	try(t, put(claim(1), 10))
	try(t, put(claim(1), 11))
	wantKind(t, put(claim(1), 99), latchkey.ErrRefused) // nobody's contact
	other := claim(2)
	other.Set = [16]byte{9}
	wantKind(t, put(other, 10), latchkey.ErrRefused) // another set
	try(t, put(claim(2), 12))
	wantKind(t, put(claim(3), 10), latchkey.ErrTooMany)
	same := claim(4)
	same.Claimed = latchkey.Kid{1}
	try(t, db.StopClaim(t.Context(), h, chain.ClaimID{2}, latchkey.Kid{1}))
	wantKind(t, put(same, 10), latchkey.ErrConflict) // one key, two claims
	wantKind(t, put(claim(2), 10), latchkey.ErrRefused)
	wantKind(t, db.StopClaim(t.Context(), h, chain.ClaimID{2}, latchkey.Kid{1}), latchkey.ErrConflict)

	share := func(id, contact byte, before time.Time) error {
		return db.PutShare(t.Context(), h, chain.ClaimID{id}, latchkey.Kid{contact}, []byte("share"), before)
	}
	wantKind(t, share(1, 10, now.Add(-time.Second)), latchkey.ErrConflict) // too early
	wantKind(t, share(1, 12, now), latchkey.ErrConflict)                   // has not signed
	wantKind(t, share(2, 12, now), latchkey.ErrConflict)                   // stopped
	try(t, share(1, 10, now))
	c, err := db.ClaimOf(t.Context(), h, latchkey.Kid{1})
	try(t, err)
	if c.Shares() != 1 || len(c.Notes) != 2 || c.State != ClaimOpen || !c.First.Equal(now) {
		t.Fatalf("%+v", c)
	}
	stopped, err := db.Claim(t.Context(), h, chain.ClaimID{2})
	try(t, err)
	if stopped.State != ClaimStopped || stopped.StoppedBy != (latchkey.Kid{1}) {
		t.Fatalf("%+v", stopped)
	}
	all, err := db.Claims(t.Context(), h, now)
	try(t, err)
	if len(all) != 2 {
		t.Fatalf("%d claims", len(all))
	}
	try(t, db.ExpireClaims(t.Context(), h, now))
	if c, err = db.Claim(t.Context(), h, c.ID); err != nil || c.State != ClaimOpen {
		t.Fatalf("%+v %v", c, err)
	}
	try(t, db.ExpireClaims(t.Context(), h, now.Add(1)))
	try(t, db.ExpireClaims(t.Context(), h, now.Add(time.Second)))
	if c, err = db.Claim(t.Context(), h, c.ID); err != nil || c.State != ClaimEnded || c.Shares() != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	_, err = db.ClaimOf(t.Context(), h, latchkey.Kid{50})
	wantKind(t, err, latchkey.ErrNotFound)
}
