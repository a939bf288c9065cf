package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

func openTest(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "c?a#t%alog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

// TestSchema is claim C27 for the database: these columns, which protocol 2.15
// lists, and no other. A new column needs a line here and a reason there.
func TestSchema(t *testing.T) {
	allowed := map[string]string{
		"server":         "name value",                                                                                                      // one random secret of the server itself
		"households":     "household created_ms log_tag_key",                                                                                // household id; the key that names its leaves in the public log
		"statements":     "household seq note received_ms",                                                                                  // roster kids, roles, grants
		"vaults":         "household kid version vault recovery_id user_handle",                                                             // sealed; a random name for passkeys
		"wraps":          "household kid n wrap",                                                                                            // sealed
		"passkeys":       "credential household kid public_key sign_count synced label created_ms used_ms",                                  // public keys, a sealed label, times of logins
		"devices":        "household kid device label secret_hash enrolled_by browser created_ms seen_ms ended_ms",                          // a sealed label, a hash, times of logins
		"newcomers":      "household kid",                                                                                                   // roster kids
		"sessions":       "token_hash household kid kind device seen_ms",                                                                    // times of logins
		"presence":       "household hub seen_ms doubled_ms",                                                                                // times of logins
		"grant_capsules": "household grant_id capsule proof mask",                                                                           // sealed; which grants there are; hashes of the public log
		"directories":    "household n",                                                                                                     // how often names have changed
		"letters":        "household kid letter",                                                                                            // sealed
		"epochs":         "epoch household hub n start_s until_s note heads heads_n received_ms",                                            // signed notes, part headers
		"capsules":       "epoch kid hash capsule",                                                                                          // sealed
		"reels":          "epoch track first_seq last_seq first_slot last_slot household start_s n bytes digest first_prev last_hash parts", // part headers: track, slot, seq, RAP, size

		"contact_sets":    "household owner set_id wrap created_ms dead",                         // who trusts whom; sealed
		"contact_letters": "household owner contact letter",                                      // sealed
		"claims":          "household claim member set_id claimed_kid state first_ms stopped_by", // signed
		"claim_notes":     "household claim contact note received_ms share",                      // signed; sealed

		"links": "kid household grant_id mac words views last_view_ms", // the kid and a MAC of a random secret, sealed; how often it was opened

		"applicants":     "kid note mac received_ms",                                                                                                    // public notes of who is to be staff
		"staff":          "note_hash kid x_kid staff_id role from_s until_s note",                                                                       // public notes of who is
		"shifts":         "token_hash kid began_ms seen_ms",                                                                                             // times of logins of staff
		"suspended":      "kid staff_id kind at_ms lifted_ms",                                                                                           // staff who may do nothing
		"tickets":        "ticket household opened_by topic state agent opened_ms updated_ms messages",                                                  // that there is one, of a closed list of topics, and who has it
		"ticket_letters": "ticket n kid letter",                                                                                                         // sealed
		"ticket_health":  "ticket hub letter received_ms",                                                                                               // sealed
		"ticket_grants":  "ticket household grant_id",                                                                                                   // which grants are for a ticket
		"legal":          "request kind country household from_s until_s document gag_until_s state entered_by decided_by entered_ms listing salt told", // what authorities asked for, and ids and hashes of what was handed over
		"decisions":      "n at_ms staff_id kid role action household ticket allowed rules",                                                             // what staff asked for

		"outbox":    "n household seq entry",        // hashes of statements under tags, public notes
		"leaves":    "log leaf household seq entry", // the same, and where they stand in the log
		"log_batch": "log first_n size",
		"log_sets":  "log size note", // public notes
	}
	db := openTest(t)
	rows, err := db.read.QueryContext(t.Context(), `SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'goose_%' ORDER BY m.name, p.cid`)
	try(t, err)
	type column struct{ table, name string }
	all, err := collect(rows, func(c *column) []any { return []any{&c.table, &c.name} })
	try(t, err)
	got := map[string][]string{}
	for _, c := range all {
		got[c.table] = append(got[c.table], c.name)
	}
	for table, columns := range got {
		want := strings.Fields(allowed[table])
		slices.Sort(want)
		slices.Sort(columns)
		if !slices.Equal(want, columns) {
			t.Errorf("table %s has %v, allowed are %v", table, columns, want)
		}
	}
	if len(got) != len(allowed) {
		t.Errorf("%d tables, want %d", len(got), len(allowed))
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	db, err := Open(t.Context(), path)
	try(t, err)
	a, err := db.Secret(t.Context(), "x")
	try(t, err)
	try(t, db.Close())
	db, err = Open(t.Context(), path)
	try(t, err)
	b, err := db.Secret(t.Context(), "x")
	try(t, err)
	try(t, db.Close())
	if len(a) != 32 || !bytes.Equal(a, b) {
		t.Fatal("the secret changed")
	}
	ro, err := OpenReadOnly(t.Context(), path)
	try(t, err)
	if _, err := ro.Secret(t.Context(), "y"); err == nil {
		t.Fatal("a read-only catalog was written")
	}
	try(t, ro.Close())
	_, err = OpenReadOnly(t.Context(), path+".none")
	if err == nil {
		t.Fatal("a missing catalog was opened")
	}
}

var (
	homeA = latchkey.HouseholdID{1}
	homeB = latchkey.HouseholdID{2}
	kidA  = latchkey.Kid{3}
)

func addHome(t *testing.T, db *DB, h latchkey.HouseholdID) {
	t.Helper()
	v := Vault{Household: h, Kid: kidA, Version: 1, Vault: []byte("v1"), RecoveryID: [16]byte{h[0]}, Wraps: [][]byte{[]byte("w1")}}
	try(t, db.CreateHousehold(t.Context(), Founding{Genesis: []byte("genesis"), Vault: v}, time.Now()))
}

func TestAccounts(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	other := Vault{Household: homeB, Kid: kidA, RecoveryID: [16]byte{1}, Vault: []byte("x")}
	wantKind(t, db.CreateHousehold(ctx, Founding{Genesis: []byte("g"), Vault: other}, time.Now()), latchkey.ErrConflict)
	_, err := db.Household(ctx, homeB)
	wantKind(t, err, latchkey.ErrNotFound) // nothing of it stayed
	h, k, err := db.HouseholdOfRecovery(ctx, [16]byte{1})
	if err != nil || h != homeA || k != kidA {
		t.Fatal(h, k, err)
	}
	put := Vault{Household: homeA, Kid: kidA, Version: 2, Vault: []byte("v2")}
	wantKind(t, db.PutVault(ctx, put, 5), latchkey.ErrConflict)
	try(t, db.PutVault(ctx, put, 1))
	got, err := db.GetVault(ctx, homeA, kidA)
	if err != nil || got.Version != 2 || string(got.Vault) != "v2" || len(got.Wraps) != 1 || got.RecoveryID != [16]byte{1} {
		t.Fatalf("%+v %v", got, err)
	}
	put.Version, put.Wraps, put.RecoveryID = 3, [][]byte{{1}, {2}}, [16]byte{9}
	try(t, db.PutVault(ctx, put, 2))
	got, err = db.GetVault(ctx, homeA, kidA)
	if err != nil || len(got.Wraps) != 2 || got.RecoveryID != [16]byte{9} {
		t.Fatalf("%+v %v", got, err)
	}
	wantKind(t, db.PutVault(ctx, put, 0), latchkey.ErrConflict) // there is one
	put.Kid = latchkey.Kid{77}
	wantKind(t, db.PutVault(ctx, put, 3), latchkey.ErrNotFound)
	put.RecoveryID = [16]byte{10}
	try(t, db.PutVault(ctx, put, 0))
}

func TestChainAndSessions(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	addHome(t, db, homeB)
	s := enrolment(homeA, 1).Session
	try(t, db.Enrol(ctx, enrolment(homeA, 1)))
	same := enrolment(homeB, 2).Session
	try(t, db.Enrol(ctx, enrolment(homeB, 2)))
	got, err := db.Session(ctx, s.TokenHash)
	if err != nil || got != s {
		t.Fatalf("%+v %v", got, err)
	}
	s.Seen = time.UnixMilli(9000)
	try(t, db.TouchSession(ctx, s))
	if devices, err := db.Devices(ctx, homeA, kidA); err != nil || len(devices) != 1 || devices[0].Seen != s.Seen {
		t.Fatal(devices, err)
	}
	try(t, db.AppendStatement(ctx, Change{Household: homeA, Seq: 1, Note: []byte("one"), At: time.Now(), Gone: []latchkey.Kid{kidA}}))
	_, err = db.Session(ctx, s.TokenHash)
	wantKind(t, err, latchkey.ErrNotFound)
	_, err = db.GetVault(ctx, homeA, kidA)
	wantKind(t, err, latchkey.ErrNotFound)
	_, err = db.Session(ctx, same.TokenHash) // the same kid in another household
	try(t, err)
	wantKind(t, db.AppendStatement(ctx, Change{Household: homeA, Seq: 1, Note: []byte("two"), At: time.Now()}), latchkey.ErrConflict)
	notes, err := db.Statements(ctx, homeA, 0, 10)
	if err != nil || len(notes) != 2 || string(notes[1]) != "one" {
		t.Fatal(notes, err)
	}
	try(t, db.DeleteIdleSessions(ctx, Member, time.UnixMilli(6000)))
	_, err = db.Session(ctx, same.TokenHash)
	wantKind(t, err, latchkey.ErrNotFound)
	try(t, db.SawHub(ctx, homeA, kidA, time.UnixMilli(1)))
	try(t, db.SawHubTwice(ctx, homeA, kidA, time.UnixMilli(7)))
	try(t, db.SawHub(ctx, homeA, kidA, time.UnixMilli(2)))
	try(t, db.SawHubTwice(ctx, homeB, kidA, time.UnixMilli(3)))
	for h, want := range map[latchkey.HouseholdID]Presence{homeA: {2, 7}, homeB: {0, 3}} {
		seen, err := db.HubsSeen(ctx, h)
		if err != nil || len(seen) != 1 || seen[kidA] != want {
			t.Fatal(seen, err)
		}
	}
}

func addEpoch(t *testing.T, db *DB, h latchkey.HouseholdID, id byte, start int64) latchkey.EpochID {
	t.Helper()
	e := Epoch{ID: latchkey.EpochID{id}, Household: h, Hub: kidA, N: uint64(id), Start: start, Note: []byte{id}, Received: time.Now()}
	try(t, db.PutEpoch(t.Context(), e, []Capsule{{Kid: kidA, Hash: latchkey.Hash{id}, Capsule: []byte{id, id}}}))
	return e.ID
}

func TestEpochs(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	addHome(t, db, homeB)
	a := addEpoch(t, db, homeA, 1, 10_000)
	addEpoch(t, db, homeA, 2, 90_000)
	addEpoch(t, db, homeB, 3, 10_000)
	wantKind(t, db.PutEpoch(ctx, Epoch{ID: a, Household: homeB, Note: []byte{1}}, nil), latchkey.ErrConflict)
	reel := Reel{Household: homeA, Epoch: a, Track: latchkey.TrackID{1}, Start: 10_000, N: 1, LastSeq: 9, FirstSlot: 5, LastSlot: 4999, Parts: []byte{1}}
	try(t, db.InsertReels(ctx, []Reel{reel}))
	for _, c := range []struct {
		from, to int64
		want     int
	}{{0, 10_000, 0}, {0, 10_001, 1}, {14_000, 14_001, 1}, {20_000, 80_000, 0}, {0, 100_000, 2}} {
		got, err := db.Epochs(ctx, EpochQuery{Household: homeA, From: c.from, To: c.to, Limit: 10})
		if err != nil || len(got) != c.want {
			t.Errorf("[%d,%d): %d epochs, want %d, %v", c.from, c.to, len(got), c.want, err)
		}
	}
	got, err := db.Epochs(ctx, EpochQuery{Household: homeA, To: 1e6, Hub: latchkey.Kid{9}, Limit: 10})
	if err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
	try(t, db.PutHeads(ctx, a, 5, []byte("five")))
	try(t, db.PutHeads(ctx, a, 4, []byte("four")))
	e, err := db.Epoch(ctx, a)
	if err != nil || string(e.Heads) != "five" || e.Until != 15_000 {
		t.Fatalf("%+v %v", e, err)
	}
	c, err := db.Capsule(ctx, a, kidA)
	if err != nil || !bytes.Equal(c, []byte{1, 1}) {
		t.Fatal(c, err)
	}
}

// TestEpochPages: however many epochs begin at one instant, pages repeat none
// and leave none out.
func TestEpochPages(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	addHome(t, db, homeB)
	const n = 57
	for i := range byte(n) {
		e := Epoch{ID: latchkey.EpochID{i + 1}, Household: homeA, Hub: latchkey.Kid{i % 3}, N: uint64(i % 4), Start: 1000 + int64(i/30), Note: []byte{i}}
		try(t, db.PutEpoch(ctx, e, nil))
		try(t, db.PutEpoch(ctx, Epoch{ID: latchkey.EpochID{i + 100}, Household: homeB, N: uint64(i), Start: 1000, Note: []byte{i}}, nil))
	}
	for _, limit := range []int{1, 7, n} {
		var all []Epoch
		q := EpochQuery{Household: homeA, To: 1e6, Limit: limit}
		for {
			page, err := db.Epochs(ctx, q)
			try(t, err)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			q.After = page[len(page)-1]
		}
		seen := map[latchkey.EpochID]bool{}
		for i, e := range all {
			if i > 0 && e.Start < all[i-1].Start {
				t.Errorf("pages of %d: %d after %d", limit, e.Start, all[i-1].Start)
			}
			seen[e.ID] = true
		}
		if len(all) != n || len(seen) != n {
			t.Errorf("pages of %d: %d epochs, %d of them different, want %d", limit, len(all), len(seen), n)
		}
	}
}

func TestReels(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	one, two := addEpoch(t, db, homeA, 1, 1000), addEpoch(t, db, homeA, 2, 2000)
	track := latchkey.TrackID{7}
	var rows []Reel
	for i, e := range []latchkey.EpochID{one, one, two} {
		n := uint32(i)
		rows = append(rows, Reel{Household: homeA, Epoch: e, Track: track, Start: 1000 * int64(e[0]), N: uint64(e[0]),
			FirstSeq: n * 10, LastSeq: n*10 + 9, FirstSlot: n * 60, LastSlot: n*60 + 59, Bytes: 100, Parts: []byte{1, byte(n)}})
	}
	try(t, db.InsertReels(ctx, rows))
	wantKind(t, db.InsertReels(ctx, []Reel{{Household: homeA, Epoch: two, Track: track, FirstSeq: 99, LastSeq: 99, Parts: []byte{1}}, rows[0]}), latchkey.ErrConflict)
	_, err := db.ReelAt(ctx, two, track, 99)
	wantKind(t, err, latchkey.ErrNotFound) // its transaction was undone
	name := func(r Reel, err error) string {
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(r.Epoch[0], "/", r.FirstSeq)
	}
	if got := name(db.ReelAt(ctx, one, track, 13)); got != "1/10" {
		t.Error(got)
	}
	if got := name(db.LastReelBegun(ctx, homeA, track, 1999)); got != "1/10" {
		t.Error(got)
	}
	if got := name(db.LastReelBegun(ctx, homeA, track, 1059)); got != "1/0" {
		t.Error(got)
	}
	_, err = db.LastReelBegun(ctx, homeB, track, 9999)
	wantKind(t, err, latchkey.ErrNotFound)
	after, err := db.ReelsAfter(ctx, homeA, track, Position{1000, 1, 1}, 10)
	if err != nil || len(after) != 2 || after[0].FirstSeq != 10 {
		t.Error(after, err)
	}
	before, err := db.ReelsBefore(ctx, homeA, track, Position{2000, 2, 20}, 10)
	if err != nil || len(before) != 2 || before[0].FirstSeq != 10 {
		t.Error(before, err)
	}
	between, err := db.ReelsBetween(ctx, homeA, track, 1059, 1060, Position{}, 10)
	if err != nil || len(between) != 1 || between[0].FirstSeq != 0 {
		t.Error(between, err)
	}
	between, err = db.ReelsBetween(ctx, homeA, track, 0, 9999, Position{1000, 1, 10}, 10)
	if err != nil || len(between) != 2 || between[0].FirstSeq != 10 {
		t.Error(between, err)
	}
	all, err := db.EveryReel(ctx, Reel{}, 2)
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	rest, err := db.EveryReel(ctx, all[1], 10)
	if err != nil || len(rest) != 1 || rest[0].FirstSeq != 20 {
		t.Error(rest, err)
	}
	spans, err := db.Spans(ctx, one, track)
	if err != nil || len(spans) != 2 || spans[1].Last != 19 {
		t.Error(spans, err)
	}
}

func testIndex() []PartAt {
	var parts []PartAt
	var offset int64
	for i, ct := range []int{21, 300, part.MaxCT, 5000} {
		p := PartAt{Offset: offset, Size: part.HeaderSize + ct + part.SigSize, Slot: uint32(70 + i*i*1000), Flags: part.Flags(i)}
		offset += int64(p.Size)
		parts = append(parts, p)
	}
	return parts
}

func TestIndex(t *testing.T) {
	for _, want := range [][]PartAt{{}, testIndex(), testIndex()[:1]} {
		if len(want) > 0 {
			want = slices.Clone(want)
		}
		b := AppendIndex(nil, want)
		got, err := ParseIndex(b)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v %v, want %v", got, err, want)
		}
	}
	for _, bad := range [][]byte{nil, {}, {2}, {1}, {1, 0x80, 0}, {1, 5}, {1, 0, 20, 0}, {1, 0, 21}, {1, 0, 21, 4}, {1, 0xff, 0xff, 0xff, 0x7f}} {
		if _, err := ParseIndex(bad); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// FuzzIndex: whatever parses encodes to the same bytes.
func FuzzIndex(f *testing.F) {
	f.Add(AppendIndex(nil, testIndex()))
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := ParseIndex(b)
		if err != nil {
			return
		}
		if again := AppendIndex(nil, parts); !bytes.Equal(again, b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}
