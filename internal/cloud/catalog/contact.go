package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// ContactSet is a member's set of trusted contacts.
type ContactSet struct {
	Household latchkey.HouseholdID
	Owner     latchkey.Kid
	Set       [latchkey.IDSize]byte
	Wrap      []byte // LKW1 of kind 3; empty when dead
	Created   time.Time
	Dead      bool // a contact has gone
	Letters   []ContactLetter
}

// ContactLetter is a share, sealed to one contact.
type ContactLetter struct {
	Contact latchkey.Kid
	Letter  []byte // LKS1; empty when the set is dead
}

// HasContact reports whether kid is one of the set's contacts.
func (s ContactSet) HasContact(kid latchkey.Kid) bool {
	for _, l := range s.Letters {
		if l.Contact == kid {
			return true
		}
	}
	return false
}

// PutContacts stores a member's set in place of an earlier one; what was
// claimed under that ends.
func (db *DB) PutContacts(ctx context.Context, s ContactSet) error {
	return db.inTx(ctx, "put contacts", func(tx *sql.Tx) error {
		if err := dropContacts(ctx, tx, s.Household, s.Owner, ClaimEnded); err != nil {
			return err
		}
		const q = `INSERT INTO contact_sets (household, owner, set_id, wrap, created_ms, dead) VALUES ($1, $2, $3, $4, $5, $6)`
		if _, err := tx.ExecContext(ctx, q, s.Household[:], s.Owner[:], s.Set[:], s.Wrap, s.Created.UnixMilli(), false); err != nil {
			return err
		}
		for _, l := range s.Letters {
			const q = `INSERT INTO contact_letters (household, owner, contact, letter) VALUES ($1, $2, $3, $4)`
			if _, err := tx.ExecContext(ctx, q, s.Household[:], s.Owner[:], l.Contact[:], l.Letter); err != nil {
				return err
			}
		}
		return nil
	})
}

// DropContacts deletes a member's set, if there is one. What was claimed under
// it gets the state.
func (db *DB) DropContacts(ctx context.Context, h latchkey.HouseholdID, owner latchkey.Kid, claims ClaimState) error {
	return db.inTx(ctx, "drop contacts", func(tx *sql.Tx) error { return dropContacts(ctx, tx, h, owner, claims) })
}

func dropContacts(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, owner latchkey.Kid, claims ClaimState) error {
	if err := endClaims(ctx, tx, h, owner, claims); err != nil {
		return err
	}
	for _, table := range []string{"contact_letters", "contact_sets"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE household = $1 AND owner = $2`, h[:], owner[:]); err != nil {
			return err
		}
	}
	return nil
}

// KillContacts empties a set one of whose contacts has gone, and ends what was
// claimed under it. The row stays: its owner is told to choose again.
func (db *DB) KillContacts(ctx context.Context, h latchkey.HouseholdID, owner latchkey.Kid) error {
	return db.inTx(ctx, "kill contacts", func(tx *sql.Tx) error {
		if err := endClaims(ctx, tx, h, owner, ClaimEnded); err != nil {
			return err
		}
		for _, q := range []string{
			`UPDATE contact_sets SET dead = TRUE, wrap = $3 WHERE household = $1 AND owner = $2`,
			`UPDATE contact_letters SET letter = $3 WHERE household = $1 AND owner = $2`,
		} {
			if _, err := tx.ExecContext(ctx, q, h[:], owner[:], nothing()); err != nil {
				return err
			}
		}
		return nil
	})
}

// endClaims ends the open claims for a member, and forgets the shares given.
func endClaims(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, member latchkey.Kid, state ClaimState) error {
	const forget = `UPDATE claim_notes SET share = $3 WHERE household = $1 AND claim IN
		(SELECT claim FROM claims WHERE household = $1 AND member = $2 AND state = 'open')`
	if _, err := tx.ExecContext(ctx, forget, h[:], member[:], nothing()); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE claims SET state = $3 WHERE household = $1 AND member = $2 AND state = 'open'`, h[:], member[:], string(state))
	return err
}

// ContactSets returns all sets of a household.
func (db *DB) ContactSets(ctx context.Context, h latchkey.HouseholdID) ([]ContactSet, error) {
	const q = `SELECT s.owner, s.set_id, s.wrap, s.created_ms, s.dead, l.contact, l.letter FROM contact_sets s
		JOIN contact_letters l ON l.household = s.household AND l.owner = s.owner
		WHERE s.household = $1 ORDER BY s.owner, l.contact`
	rows, err := db.read.QueryContext(ctx, q, h[:])
	if err != nil {
		return nil, fail("contact sets", err)
	}
	type row struct {
		owner, set, wrap, contact, letter []byte
		created                           int64
		dead                              bool
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.owner, &r.set, &r.wrap, &r.created, &r.dead, &r.contact, &r.letter}
	})
	if err != nil {
		return nil, fail("contact sets", err)
	}
	var out []ContactSet
	for _, r := range all {
		s := ContactSet{Household: h, Wrap: r.wrap, Created: time.UnixMilli(r.created), Dead: r.dead}
		l := ContactLetter{Letter: r.letter}
		for _, c := range [][2][]byte{{s.Owner[:], r.owner}, {s.Set[:], r.set}, {l.Contact[:], r.contact}} {
			if err := fixed(c[0], c[1]); err != nil {
				return nil, fail("contact sets", err)
			}
		}
		if n := len(out); n == 0 || out[n-1].Owner != s.Owner {
			out = append(out, s)
		}
		last := &out[len(out)-1]
		last.Letters = append(last.Letters, l)
	}
	return out, nil
}

// ClaimState says how a claim stands.
type ClaimState string

// The states of a claim; only open ones change.
const (
	ClaimOpen    ClaimState = "open"
	ClaimStopped ClaimState = "stopped"
	ClaimEnded   ClaimState = "ended"
	ClaimDone    ClaimState = "done"
)

// Claim is what contacts say of somebody's new keys.
type Claim struct {
	Household latchkey.HouseholdID
	ID        chain.ClaimID
	Member    latchkey.Kid
	Set       [latchkey.IDSize]byte
	Claimed   latchkey.Kid // of the new Ed25519 key
	State     ClaimState
	First     time.Time // the first note
	StoppedBy latchkey.Kid
	Notes     []ClaimNote // in the order they came
}

// ClaimNote is one contact's signed note, with his share once he has given it.
type ClaimNote struct {
	Contact latchkey.Kid
	Note    []byte
	Share   []byte // LKS1; empty before
}

// Shares counts the shares that were given.
func (c Claim) Shares() int {
	n := 0
	for _, note := range c.Notes {
		if len(note.Share) > 0 {
			n++
		}
	}
	return n
}

// PutClaim adds a contact's note to a claim, which it begins if it is the first.
// A claim that is not open any more, or a set that is not the member's, is
// ErrRefused; a member with more than limit open claims ErrTooMany. The same
// note twice changes nothing.
func (db *DB) PutClaim(ctx context.Context, c Claim, n ClaimNote, limit int, now time.Time) error {
	return db.inTx(ctx, "put claim", func(tx *sql.Tx) error {
		var sets, open int
		const set = `SELECT COUNT(*) FROM contact_sets s JOIN contact_letters l ON l.household = s.household AND l.owner = s.owner
			WHERE s.household = $1 AND s.owner = $2 AND s.set_id = $3 AND NOT s.dead AND l.contact = $4`
		if err := tx.QueryRowContext(ctx, set, c.Household[:], c.Member[:], c.Set[:], n.Contact[:]).Scan(&sets); err != nil {
			return err
		}
		if sets == 0 {
			return latchkey.ErrRefused
		}
		var state string
		err := tx.QueryRowContext(ctx, `SELECT state FROM claims WHERE household = $1 AND claim = $2`, c.Household[:], c.ID[:]).Scan(&state)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			const count = `SELECT COUNT(*) FROM claims WHERE household = $1 AND member = $2 AND state = 'open'`
			if err := tx.QueryRowContext(ctx, count, c.Household[:], c.Member[:]).Scan(&open); err != nil {
				return err
			}
			if open >= limit {
				return latchkey.ErrTooMany
			}
			const q = `INSERT INTO claims (household, claim, member, set_id, claimed_kid, state, first_ms) VALUES ($1, $2, $3, $4, $5, 'open', $6)`
			if _, err := tx.ExecContext(ctx, q, c.Household[:], c.ID[:], c.Member[:], c.Set[:], c.Claimed[:], now.UnixMilli()); err != nil {
				return err
			}
		case err != nil:
			return err
		case ClaimState(state) != ClaimOpen:
			return latchkey.ErrRefused
		}
		const q = `INSERT INTO claim_notes (household, claim, contact, note, received_ms, share) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (household, claim, contact) DO NOTHING`
		_, err = tx.ExecContext(ctx, q, c.Household[:], c.ID[:], n.Contact[:], n.Note, now.UnixMilli(), nothing())
		return err
	})
}

// Claims returns the claims of a household that began at since or later, newest
// first.
func (db *DB) Claims(ctx context.Context, h latchkey.HouseholdID, since time.Time) ([]Claim, error) {
	return db.claims(ctx, h, `c.first_ms >= $2 ORDER BY c.first_ms DESC, c.claim, n.received_ms, n.contact`, since.UnixMilli())
}

// Claim returns one claim, or ErrNotFound.
func (db *DB) Claim(ctx context.Context, h latchkey.HouseholdID, id chain.ClaimID) (Claim, error) {
	return only(db.claims(ctx, h, `c.claim = $2 ORDER BY c.claim, n.received_ms, n.contact`, id[:]))
}

// ClaimOf returns the claim whose new Ed25519 key has this kid, or ErrNotFound.
func (db *DB) ClaimOf(ctx context.Context, h latchkey.HouseholdID, claimed latchkey.Kid) (Claim, error) {
	return only(db.claims(ctx, h, `c.claimed_kid = $2 ORDER BY c.claim, n.received_ms, n.contact`, claimed[:]))
}

func only(claims []Claim, err error) (Claim, error) {
	if err == nil && len(claims) == 0 {
		err = fail("claim", sql.ErrNoRows)
	}
	if err != nil {
		return Claim{}, err
	}
	return claims[0], nil
}

func (db *DB) claims(ctx context.Context, h latchkey.HouseholdID, where string, arg any) ([]Claim, error) {
	q := `SELECT c.claim, c.member, c.set_id, c.claimed_kid, c.state, c.first_ms, c.stopped_by, n.contact, n.note, n.share
		FROM claims c JOIN claim_notes n ON n.household = c.household AND n.claim = c.claim WHERE c.household = $1 AND ` + where
	rows, err := db.read.QueryContext(ctx, q, h[:], arg)
	if err != nil {
		return nil, fail("claims", err)
	}
	type row struct {
		claim, member, set, claimed, stopped, contact, note, share []byte
		state                                                      string
		first                                                      int64
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.claim, &r.member, &r.set, &r.claimed, &r.state, &r.first, &r.stopped, &r.contact, &r.note, &r.share}
	})
	if err != nil {
		return nil, fail("claims", err)
	}
	var out []Claim
	for _, r := range all {
		c := Claim{Household: h, State: ClaimState(r.state), First: time.UnixMilli(r.first)}
		n := ClaimNote{Note: r.note, Share: r.share}
		columns := [][2][]byte{{c.ID[:], r.claim}, {c.Member[:], r.member}, {c.Set[:], r.set}, {c.Claimed[:], r.claimed}, {n.Contact[:], r.contact}}
		if r.stopped != nil {
			columns = append(columns, [2][]byte{c.StoppedBy[:], r.stopped})
		}
		for _, col := range columns {
			if err := fixed(col[0], col[1]); err != nil {
				return nil, fail("claims", err)
			}
		}
		if k := len(out); k == 0 || out[k-1].ID != c.ID {
			out = append(out, c)
		}
		last := &out[len(out)-1]
		last.Notes = append(last.Notes, n)
	}
	return out, nil
}

// StopClaim stops an open claim for good and forgets the shares given; one that
// is not open is ErrConflict.
func (db *DB) StopClaim(ctx context.Context, h latchkey.HouseholdID, id chain.ClaimID, by latchkey.Kid) error {
	return db.inTx(ctx, "stop claim", func(tx *sql.Tx) error {
		const q = `UPDATE claims SET state = 'stopped', stopped_by = $3 WHERE household = $1 AND claim = $2 AND state = 'open'`
		if err := changedOne(tx.ExecContext(ctx, q, h[:], id[:], by[:])); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE claim_notes SET share = $3 WHERE household = $1 AND claim = $2`, h[:], id[:], nothing())
		return err
	})
}

// DoneClaim marks an open claim as done: the member is back.
func (db *DB) DoneClaim(ctx context.Context, h latchkey.HouseholdID, id chain.ClaimID) error {
	const q = `UPDATE claims SET state = 'done' WHERE household = $1 AND claim = $2 AND state = 'open'`
	_, err := db.write.ExecContext(ctx, q, h[:], id[:])
	return fail("done claim", err)
}

// ExpireClaims ends the open claims of a household that began before.
func (db *DB) ExpireClaims(ctx context.Context, h latchkey.HouseholdID, before time.Time) error {
	return db.inTx(ctx, "expire claims", func(tx *sql.Tx) error {
		const forget = `UPDATE claim_notes SET share = $3 WHERE household = $1 AND claim IN
			(SELECT claim FROM claims WHERE household = $1 AND state = 'open' AND first_ms < $2)`
		if _, err := tx.ExecContext(ctx, forget, h[:], before.UnixMilli(), nothing()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE claims SET state = 'ended' WHERE household = $1 AND state = 'open' AND first_ms < $2`, h[:], before.UnixMilli())
		return err
	})
}

// PutShare stores a contact's share for a claim that is open and began at or
// before; else, and from a contact without a note there, it is ErrConflict.
func (db *DB) PutShare(ctx context.Context, h latchkey.HouseholdID, id chain.ClaimID, contact latchkey.Kid, share []byte, before time.Time) error {
	return db.inTx(ctx, "put share", func(tx *sql.Tx) error {
		const q = `UPDATE claim_notes SET share = $4 WHERE household = $1 AND claim = $2 AND contact = $3 AND EXISTS
			(SELECT 1 FROM claims c WHERE c.household = $1 AND c.claim = $2 AND c.state = 'open' AND c.first_ms <= $5)`
		return changedOne(tx.ExecContext(ctx, q, h[:], id[:], contact[:], share, before.UnixMilli()))
	})
}

// nothing is what stands in place of sealed bytes that were forgotten.
func nothing() []byte { return []byte{} }

// changedOne is ErrConflict unless a row was changed.
func changedOne(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		return latchkey.ErrConflict
	}
	return err
}
