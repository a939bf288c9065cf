package chain

import (
	"fmt"

	"latchkey.dev/latchkey"
)

// Statement is one parsed statement of a household's chain.
type Statement interface {
	// Type is the word after "latchkey/v1 ".
	Type() string
	// Common is the head that all statements have.
	Common() Head
	// Text is the one encoding of the statement, to be signed. It fails with
	// latchkey.ErrInvalid on fields that no parser would accept.
	Text() ([]byte, error)
}

// Head is the common head of a statement (spec/chain, "Head").
type Head struct {
	Household latchkey.HouseholdID // not written in genesis: it is the hash of its text
	Seq       uint64
	Prev      latchkey.Hash // H(text) of Seq−1; not written in genesis
	Time      int64         // unix seconds
	By        latchkey.Kid  // of the signing Ed25519 key
	Salt      [16]byte      // random, so that a hash of the text tells nothing of it
}

// Common returns the head itself, for the statements that embed it.
func (h Head) Common() Head { return h }

// Role of a member.
type Role string

// The roles of protocol version 1.
const (
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleViewer Role = "viewer"
)

func (r Role) valid() bool { return r == RoleAdmin || r == RoleMember || r == RoleViewer }

// Genesis founds a household; its signer is the first admin. Head.Household,
// Seq and Prev are not read by Text; ParseStatement sets Household.
type Genesis struct {
	Head
	Ed, X, Recovery []byte        // founder's Ed25519, X-Wing and recovery Ed25519 keys
	KTag            latchkey.Hash // H of the log tag key
	Operator        string        // C2SP vkey of the operator; empty when the household has none yet
	Log             string        // origin of the transparency log; empty when there is none yet
}

// AddMember admits a person. With exactly the three keys of a member it
// restates him: role, share and tracks are replaced.
type AddMember struct {
	Head
	Ed, X, Recovery []byte
	Role            Role
	Share           bool // may grant to others
	AllTracks       bool // sees every track, those of later cameras too; Tracks is empty then
	Tracks          []latchkey.TrackID
}

// Unmember removes a person.
type Unmember struct {
	Head
	Kid latchkey.Kid // of the member's Ed25519 key
}

// Rekey replaces keys of the member Kid. Empty keys stay; at least one is set.
type Rekey struct {
	Head
	Kid             latchkey.Kid
	Ed, X, Recovery []byte
}

// AddHub admits a hub.
type AddHub struct {
	Head
	Ed, X []byte // identity key; key that commands are sealed to
}

// Unhub removes a hub.
type Unhub struct {
	Head
	Kid latchkey.Kid // of the hub's Ed25519 key
}

// TrackDecl declares one track of a camera.
type TrackDecl struct {
	ID   latchkey.TrackID
	Kind latchkey.TrackKind
}

// AddCamera declares a camera and its tracks. For a camera that is known
// already it has to repeat every earlier track, with its kind, and may add more.
type AddCamera struct {
	Head
	Camera latchkey.CameraID
	Tracks []TrackDecl // at least one
}

// Retain sets how long footage is kept.
type Retain struct {
	Head
	AllTracks bool // the default for every track; Track is zero then
	Track     latchkey.TrackID
	Seconds   uint64 // at least 1
}

// Erase orders the deletion of footage of one track in [From, Until).
type Erase struct {
	Head
	Track       latchkey.TrackID
	From, Until int64 // unix seconds
}

// Anchor puts a hub's epochs and heads into the chain, hence into the log.
type Anchor struct {
	Head
	Epochs []latchkey.Hash // H(text) of epoch notes
	Heads  []HeadOf
}

func (Genesis) Type() string   { return TypeGenesis }
func (AddMember) Type() string { return TypeMember }
func (Unmember) Type() string  { return TypeUnmember }
func (Rekey) Type() string     { return TypeRekey }
func (AddHub) Type() string    { return TypeHub }
func (Unhub) Type() string     { return TypeUnhub }
func (AddCamera) Type() string { return TypeCamera }
func (Retain) Type() string    { return TypeRetain }
func (Erase) Type() string     { return TypeErase }
func (Anchor) Type() string    { return TypeAnchor }

// ParseStatement reads the values of a note of a statement type. Other types,
// and statements that this version cannot apply, are latchkey.ErrInvalid.
func ParseStatement(n Note) (Statement, error) {
	parse := statementParser(n.Type)
	if parse == nil {
		return nil, fmt.Errorf("chain: parse statement: %w", invalid("%q is not a statement of this version", n.Type))
	}
	r := &reader{lines: n.lines}
	s := parse(r, r.head(n))
	if r.err != nil {
		return nil, fmt.Errorf("chain: parse %s: %w", n.Type, r.err)
	}
	return s, nil
}

func statementParser(noteType string) func(*reader, Head) Statement {
	switch noteType {
	case TypeGenesis:
		return parseGenesis
	case TypeMember:
		return parseMember
	case TypeUnmember:
		return parseUnmember
	case TypeRekey:
		return parseRekey
	case TypeHub:
		return parseHub
	case TypeUnhub:
		return parseUnhub
	case TypeCamera:
		return parseCamera
	case TypeRetain:
		return parseRetain
	case TypeErase:
		return parseErase
	case TypeAnchor:
		return parseAnchor
	case TypeGrant:
		return parseGrant
	case TypeRevoke:
		return parseRevoke
	case TypeAccess:
		return parseAccess
	case TypeNotice:
		return parseNotice
	}
	return nil
}

// head reads the common head. In genesis the household is the hash of the text.
func (r *reader) head(n Note) Head {
	var h Head
	genesis := n.Type == TypeGenesis
	if genesis {
		hash := n.Hash()
		h.Household = latchkey.HouseholdID(hash[:latchkey.IDSize])
	} else {
		h.Household = r.id("household", r.next("household"))
	}
	h.Seq = r.number("seq", r.next("seq"))
	if genesis != (h.Seq == 0) {
		r.fail("seq", "genesis has 0 and nothing else has")
	}
	if !genesis {
		h.Prev = r.hash("prev", r.next("prev"))
	}
	h.Time = r.time("time", r.next("time"))
	h.By = r.id("by", r.next("by"))
	h.Salt = r.id("salt", r.next("salt"))
	return h
}

func parseGenesis(r *reader, h Head) Statement {
	s := Genesis{Head: h, Ed: r.ed("ed"), X: r.x("x"), Recovery: r.ed("recovery")}
	s.KTag = r.hash("ktag", r.next("ktag"))
	if v := r.next("operator"); v != notSet {
		if _, _, err := ParseVKey(v); err != nil {
			r.fail("operator", "not a verifier key")
		}
		s.Operator = v
	}
	if v := r.next("log"); v != notSet {
		if !isToken(v) {
			r.fail("log", "not an origin")
		}
		s.Log = v
	}
	return s
}

func parseMember(r *reader, h Head) Statement {
	s := AddMember{Head: h, Ed: r.ed("ed"), X: r.x("x"), Recovery: r.ed("recovery"), Role: Role(r.next("role"))}
	if !s.Role.valid() {
		r.fail("role", "unknown")
	}
	s.Share = r.choice("share", yes, no)
	for r.has("track") {
		v := r.next("track")
		if v == trackAll {
			s.AllTracks = true
			continue
		}
		s.Tracks = append(s.Tracks, r.id("track", v))
	}
	if s.AllTracks && len(s.Tracks) > 0 {
		r.fail("track", "all tracks and single ones")
	}
	return s
}

func parseUnmember(r *reader, h Head) Statement {
	return Unmember{Head: h, Kid: r.id("kid", r.next("kid"))}
}

func parseRekey(r *reader, h Head) Statement {
	s := Rekey{Head: h, Kid: r.id("kid", r.next("kid"))}
	if r.has("ed") {
		s.Ed = r.ed("ed")
	}
	if r.has("x") {
		s.X = r.x("x")
	}
	if r.has("recovery") {
		s.Recovery = r.ed("recovery")
	}
	if s.Ed == nil && s.X == nil && s.Recovery == nil {
		r.fail("rekey", "no new key")
	}
	return s
}

func parseHub(r *reader, h Head) Statement {
	return AddHub{Head: h, Ed: r.ed("ed"), X: r.x("x")}
}

func parseUnhub(r *reader, h Head) Statement {
	return Unhub{Head: h, Kid: r.id("kid", r.next("kid"))}
}

func parseCamera(r *reader, h Head) Statement {
	s := AddCamera{Head: h, Camera: r.id("camera", r.next("camera"))}
	seen := map[latchkey.TrackID]bool{}
	for r.has("track") {
		f := r.fields("track", 2)
		t := TrackDecl{ID: r.id("track", f[0]), Kind: latchkey.TrackKind(f[1])}
		if !t.Kind.Valid() {
			r.fail("track", "unknown kind")
		}
		if seen[t.ID] {
			r.fail("track", "declared twice")
		}
		seen[t.ID] = true
		s.Tracks = append(s.Tracks, t)
	}
	return s
}

func parseRetain(r *reader, h Head) Statement {
	s := Retain{Head: h}
	if v := r.next("track"); v == trackAll {
		s.AllTracks = true
	} else {
		s.Track = r.id("track", v)
	}
	s.Seconds = r.number("seconds", r.next("seconds"))
	if r.err == nil && s.Seconds == 0 {
		r.fail("seconds", "less than one")
	}
	return s
}

func parseErase(r *reader, h Head) Statement {
	s := Erase{Head: h, Track: r.id("track", r.next("track"))}
	s.From, s.Until = r.time("from", r.next("from")), r.time("until", r.next("until"))
	if r.err == nil && s.From >= s.Until {
		r.fail("until", "not after from")
	}
	return s
}

func parseAnchor(r *reader, h Head) Statement {
	s := Anchor{Head: h}
	for r.has("epoch") {
		s.Epochs = append(s.Epochs, r.hash("epoch", r.next("epoch")))
	}
	s.Heads = r.heads()
	if len(s.Epochs)+len(s.Heads) == 0 {
		r.fail("anchor", "nothing anchored")
	}
	return s
}
