package catalog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// enrolment is a device of kidA that was made five seconds after the epoch.
func enrolment(h latchkey.HouseholdID, id byte) Enrolment {
	at := time.UnixMilli(5000)
	return Enrolment{
		Device:  Device{ID: DeviceID{id}, Secret: latchkey.Hash{id}, By: ByRecovery, Created: at, Seen: at},
		Session: Session{TokenHash: latchkey.Hash{id}, Household: h, Kid: kidA, Kind: Member, Device: DeviceID{id}, Seen: at},
	}
}

func TestDevices(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	first := enrolment(homeA, 1)
	first.First = true
	wantKind(t, db.Enrol(ctx, first), latchkey.ErrNotFound) // kidA has not joined just now
	try(t, db.AppendStatement(ctx, Change{Household: homeA, Seq: 1, Note: []byte("member"), New: []latchkey.Kid{kidA}}))
	try(t, db.Enrol(ctx, first))
	again := enrolment(homeA, 2)
	again.First = true
	wantKind(t, db.Enrol(ctx, again), latchkey.ErrNotFound) // the first device comes once
	try(t, db.Enrol(ctx, enrolment(homeA, 2)))

	s := enrolment(homeA, 1).Session
	s.TokenHash, s.Browser, s.Seen = latchkey.Hash{9}, true, time.UnixMilli(7000)
	wantKind(t, db.SignIn(ctx, s, latchkey.Hash{2}, nil), latchkey.ErrNotFound) // another's secret
	try(t, db.SignIn(ctx, s, latchkey.Hash{1}, []byte("label")))
	got, err := db.Session(ctx, latchkey.Hash{1}) // a device that has used a cookie stays a browser
	if err != nil || !got.Browser {
		t.Fatalf("%+v %v", got, err)
	}
	devices, err := db.Devices(ctx, homeA, kidA)
	if err != nil || len(devices) != 2 || devices[0].ID != s.Device || string(devices[0].Label) != "label" || devices[0].Seen != s.Seen || devices[0].By != ByRecovery {
		t.Fatalf("%+v %v", devices, err)
	}
	try(t, db.EndDevice(ctx, homeA, kidA, s.Device, time.Now()))
	wantKind(t, db.EndDevice(ctx, homeA, kidA, s.Device, time.Now()), latchkey.ErrNotFound)
	for _, hash := range []latchkey.Hash{{1}, {9}} {
		_, err = db.Session(ctx, hash)
		wantKind(t, err, ErrEnded)
	}
	s.TokenHash = latchkey.Hash{10}
	wantKind(t, db.SignIn(ctx, s, latchkey.Hash{1}, nil), ErrEnded)
	wantKind(t, db.SignIn(ctx, s, latchkey.Hash{7}, nil), latchkey.ErrNotFound)
	wantKind(t, db.CheckDevice(ctx, homeA, kidA, s.Device, latchkey.Hash{1}), ErrEnded)
	var label []byte
	try(t, db.read.QueryRowContext(ctx, `SELECT label FROM devices WHERE ended_ms > 0`).Scan(&label))
	if len(label) != 0 {
		t.Error("an ended device keeps its label")
	}
	try(t, db.Enrol(ctx, enrolment(homeA, 1))) // the id comes back, as a new device
	_, err = db.Session(ctx, latchkey.Hash{9})
	wantKind(t, err, latchkey.ErrNotFound)
	if n, err := db.EndOtherDevices(ctx, homeA, kidA, DeviceID{1}, time.Now()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	try(t, db.ForgetEndedDevices(ctx, time.Now().Add(endedForGood+time.Hour)))
	_, err = db.Session(ctx, latchkey.Hash{2})
	wantKind(t, err, latchkey.ErrNotFound)
	wantKind(t, db.CheckDevice(ctx, homeA, kidA, DeviceID{2}, latchkey.Hash{2}), latchkey.ErrNotFound)
}

// TestRoomForDevices: fifty devices; the next one takes the place of one that
// nobody has used for a month, or has none.
func TestRoomForDevices(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	add := func(id byte, at time.Time) error {
		e := enrolment(homeA, id)
		e.Device.Created, e.Device.Seen, e.Session.Seen = at, at, at
		return db.Enrol(ctx, e)
	}
	start := time.Now()
	for i := range MaxDevices {
		try(t, add(byte(i), start.Add(time.Duration(i)*time.Second)))
	}
	wantKind(t, add(100, start.Add(time.Hour)), latchkey.ErrTooMany)
	try(t, add(7, start.Add(time.Hour))) // one of them, again
	try(t, add(100, start.Add(idleDevice+time.Second)))
	devices, err := db.Devices(ctx, homeA, kidA)
	if err != nil || len(devices) != MaxDevices {
		t.Fatal(len(devices), err)
	}
	_, err = db.Session(ctx, latchkey.Hash{0})
	wantKind(t, err, ErrEnded)
	for i := range 200 { // what is left of ended devices does not grow either
		try(t, add(byte(i), start.Add(2*idleDevice)))
		try(t, db.EndDevice(ctx, homeA, kidA, DeviceID{byte(i)}, start.Add(time.Duration(i)*time.Second)))
	}
	var rows int
	try(t, db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM devices`).Scan(&rows))
	if rows > MaxDevices+maxEnded {
		t.Errorf("%d rows of devices", rows)
	}
}

func wrapOf(kind byte, credential string) []byte {
	w := append([]byte("LKW1"), kind)
	hash := sha256.Sum256([]byte(credential))
	if kind != wrapByPasskey {
		hash = [32]byte{}
	}
	return append(w, hash[:]...)
}

func TestPasskeys(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	handle, err := db.UserHandle(ctx, homeA, kidA)
	try(t, err)
	again, err := db.UserHandle(ctx, homeA, kidA)
	if err != nil || len(handle) != 32 || !bytes.Equal(handle, again) {
		t.Fatal(handle, again, err)
	}
	if h, k, err := db.MemberOfHandle(ctx, handle); err != nil || h != homeA || k != kidA {
		t.Fatal(h, k, err)
	}
	_, _, err = db.MemberOfHandle(ctx, []byte("nobody"))
	wantKind(t, err, latchkey.ErrNotFound)
	_, err = db.UserHandle(ctx, homeB, kidA)
	wantKind(t, err, latchkey.ErrNotFound)
	key := func(id string) Passkey {
		return Passkey{ID: []byte(id), PublicKey: []byte("pk"), SignCount: 5, Synced: id == "a", Created: time.UnixMilli(1), Used: time.UnixMilli(1)}
	}
	wantKind(t, db.AddPasskey(ctx, homeB, kidA, key("a"), wrapOf(1, "a")), latchkey.ErrNotFound)
	for _, id := range []string{"a", "b", "c"} {
		try(t, db.AddPasskey(ctx, homeA, kidA, key(id), wrapOf(1, id)))
	}
	wantKind(t, db.AddPasskey(ctx, homeA, kidA, key("a"), wrapOf(1, "a")), latchkey.ErrConflict)
	state := func() string {
		t.Helper()
		keys, err := db.Passkeys(ctx, homeA, kidA)
		try(t, err)
		v, err := db.GetVault(ctx, homeA, kidA)
		try(t, err)
		text := ""
		for _, k := range keys {
			text += string(k.ID)
		}
		return fmt.Sprint(text, len(v.Wraps))
	}
	if got := state(); got != "abc4" {
		t.Fatal(got)
	}
	try(t, db.UsedPasskey(ctx, []byte("a"), 5, 6, time.UnixMilli(9)))
	wantKind(t, db.UsedPasskey(ctx, []byte("a"), 5, 7, time.UnixMilli(9)), latchkey.ErrConflict)
	try(t, db.RemovePasskey(ctx, homeA, kidA, []byte("b")))
	wantKind(t, db.RemovePasskey(ctx, homeA, kidA, []byte("b")), latchkey.ErrNotFound)
	wantKind(t, db.RemovePasskey(ctx, homeB, kidA, []byte("a")), latchkey.ErrNotFound)
	if got := state(); got != "ac3" {
		t.Fatal(got)
	}
	put := Vault{Household: homeA, Kid: kidA, Version: 2, Vault: []byte("v2")}
	for _, bad := range [][][]byte{{wrapOf(2, ""), wrapOf(1, "b")}, {wrapOf(2, ""), wrapOf(1, "a"), wrapOf(1, "a")}} {
		put.Wraps = bad
		wantKind(t, db.PutVault(ctx, put, 1), latchkey.ErrInvalid)
	}
	if got := state(); got != "ac3" {
		t.Fatal(got)
	}
	put.Wraps = [][]byte{wrapOf(2, ""), wrapOf(1, "c")}
	try(t, db.PutVault(ctx, put, 1))
	if got := state(); got != "c2" {
		t.Fatal(got)
	}
	for i := range MaxPasskeys - 1 {
		try(t, db.AddPasskey(ctx, homeA, kidA, key(fmt.Sprint("x", i)), wrapOf(1, fmt.Sprint("x", i))))
	}
	wantKind(t, db.AddPasskey(ctx, homeA, kidA, key("last"), wrapOf(1, "last")), latchkey.ErrTooMany)
}

// TestMove: a rekey of the signing key takes everything along, but of the
// devices only the one that asked; with the vault, or not at all.
func TestMove(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	try(t, db.Enrol(ctx, enrolment(homeA, 1)))
	try(t, db.Enrol(ctx, enrolment(homeA, 2)))
	other := enrolment(homeA, 1).Session
	other.TokenHash = latchkey.Hash{11}
	try(t, db.SignIn(ctx, other, latchkey.Hash{1}, nil)) // a second session of the device that asks
	key := Passkey{ID: []byte("a"), PublicKey: []byte("pk"), Label: []byte("l"), Created: time.UnixMilli(1), Used: time.UnixMilli(1)}
	try(t, db.AddPasskey(ctx, homeA, kidA, key, wrapOf(1, "a")))
	try(t, db.PutDirectory(ctx, homeA, 0, 1, []Letter{{kidA, []byte("dear")}}))
	to := latchkey.Kid{44}
	c := Change{
		Household: homeA, Seq: 1, Note: []byte("rekey"), At: time.UnixMilli(8000),
		Moved: &Move{From: kidA, To: to, Session: latchkey.Hash{1}, Device: DeviceID{1}},
		Vault: &Vault{Household: homeA, Kid: to, Version: 7, Vault: []byte("v7"), RecoveryID: [16]byte{77}, Wraps: [][]byte{wrapOf(2, ""), wrapOf(1, "a")}},
	}
	for _, wrong := range []uint32{0, 5} {
		c.Expected = wrong
		wantKind(t, db.AppendStatement(ctx, c), latchkey.ErrConflict)
	}
	if notes, err := db.Statements(ctx, homeA, 0, 10); err != nil || len(notes) != 1 {
		t.Fatal("a statement without its vault was stored", notes, err)
	}
	c.Expected = 1
	try(t, db.AppendStatement(ctx, c))
	v, err := db.GetVault(ctx, homeA, to)
	if err != nil || v.Version != 7 || len(v.Wraps) != 2 || v.RecoveryID != [16]byte{77} {
		t.Fatalf("%+v %v", v, err)
	}
	if keys, err := db.Passkeys(ctx, homeA, to); err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	if n, letter, err := db.Directory(ctx, homeA, to); err != nil || n != 1 || string(letter) != "dear" {
		t.Fatal(n, letter, err)
	}
	s, err := db.Session(ctx, latchkey.Hash{1})
	if err != nil || s.Kid != to || s.Device != (DeviceID{1}) {
		t.Fatalf("%+v %v", s, err)
	}
	devices, err := db.Devices(ctx, homeA, to)
	if err != nil || len(devices) != 1 || devices[0].By != ByRekey {
		t.Fatalf("%+v %v", devices, err)
	}
	_, err = db.Session(ctx, latchkey.Hash{2})
	wantKind(t, err, ErrEnded)
	_, err = db.Session(ctx, latchkey.Hash{11})
	wantKind(t, err, latchkey.ErrNotFound)
	_, err = db.GetVault(ctx, homeA, kidA)
	wantKind(t, err, latchkey.ErrNotFound)
}

func TestSharing(t *testing.T) {
	db, ctx := openTest(t), t.Context()
	addHome(t, db, homeA)
	addHome(t, db, homeB)
	_, _, err := db.Directory(ctx, homeA, kidA)
	wantKind(t, err, latchkey.ErrNotFound)
	wantKind(t, db.PutDirectory(ctx, homeA, 3, 4, nil), latchkey.ErrConflict)
	try(t, db.PutDirectory(ctx, homeA, 0, 5, []Letter{{kidA, []byte("five")}}))
	wantKind(t, db.PutDirectory(ctx, homeA, 0, 6, nil), latchkey.ErrConflict)
	wantKind(t, db.PutDirectory(ctx, homeA, 4, 6, nil), latchkey.ErrConflict)
	if n, letter, err := db.Directory(ctx, homeA, kidA); err != nil || n != 5 || string(letter) != "five" {
		t.Fatal(n, letter, err)
	}
	try(t, db.PutDirectory(ctx, homeA, 5, 6, []Letter{{latchkey.Kid{50}, []byte("six")}}))
	_, _, err = db.Directory(ctx, homeA, kidA)
	wantKind(t, err, latchkey.ErrNotFound)
	_, _, err = db.Directory(ctx, homeB, latchkey.Kid{50})
	wantKind(t, err, latchkey.ErrNotFound)

	grant := latchkey.GrantID{1}
	try(t, db.PutGrantCapsule(ctx, homeA, grant, GrantCapsule{Capsule: []byte("capsule")})) // as version before proofs did
	try(t, db.PutGrantCapsule(ctx, homeA, grant, GrantCapsule{Capsule: []byte("capsule"), Proof: []byte("proof")}))
	try(t, db.PutGrantCapsule(ctx, homeA, grant, GrantCapsule{Capsule: []byte("capsule"), Proof: []byte("another proof")}))
	if c, err := db.GrantCapsule(ctx, homeA, grant); err != nil || string(c.Capsule) != "capsule" || string(c.Proof) != "proof" {
		t.Fatal(c, err)
	}
	_, err = db.GrantCapsule(ctx, homeB, grant)
	wantKind(t, err, latchkey.ErrNotFound)
}
