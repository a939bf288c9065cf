package chain

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"

	"latchkey.dev/latchkey"
)

// maxSkew is how far a statement's time may lie after now, and before the time
// of the statement before it, in seconds.
const maxSkew = 600

// Apply returns the state after n. The zero State takes only genesis. now is
// the caller's clock in unix seconds.
//
// Malformed statements and types this version does not know are
// latchkey.ErrInvalid; a wrong place in the chain is latchkey.ErrConflict; a
// wrong signature is latchkey.ErrVerify; a signer without the right, or an
// effect the rules forbid, is latchkey.ErrRefused. s is never changed.
func Apply(s State, n Note, now int64) (State, error) {
	st, err := ParseStatement(n)
	if err != nil {
		return State{}, err
	}
	h := st.Common()
	if err := s.checkPlace(n, h, now); err != nil {
		return State{}, fmt.Errorf("chain: apply %s %d: %w", n.Type, h.Seq, err)
	}
	next, err := s.applyStatement(st, n)
	if err != nil {
		return State{}, fmt.Errorf("chain: apply %s %d: %w", n.Type, h.Seq, err)
	}
	next.Seq, next.Hash, next.Time = h.Seq, n.Hash(), h.Time
	return next, nil
}

// Replay applies a whole chain, genesis first. One wrong note fails it all.
func Replay(notes [][]byte, now int64) (State, error) {
	return Extend(State{}, notes, now)
}

// Extend applies further notes to a state, in order. One wrong note fails it all.
func Extend(s State, notes [][]byte, now int64) (State, error) {
	for _, raw := range notes {
		n, err := ParseNote(raw)
		if err != nil {
			return State{}, err
		}
		if s, err = Apply(s, n, now); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// founded tells a household's state from the zero State.
func (s State) founded() bool { return s.Members != nil }

// checkPlace checks that the statement comes right after s and at a credible time.
func (s State) checkPlace(n Note, h Head, now int64) error {
	genesis := n.Type == TypeGenesis
	switch {
	case genesis && s.founded():
		return fmt.Errorf("%w: the household is founded already", latchkey.ErrConflict)
	case !genesis && !s.founded():
		return fmt.Errorf("%w: the chain begins with genesis", latchkey.ErrConflict)
	case h.Time-maxSkew > now:
		return fmt.Errorf("%w: its time is in the future", latchkey.ErrRefused)
	case genesis:
		return nil
	case h.Household != s.Household:
		return fmt.Errorf("%w: it belongs to another household", latchkey.ErrConflict)
	case h.Seq != s.Seq+1:
		return fmt.Errorf("%w: seq %d after %d", latchkey.ErrConflict, h.Seq, s.Seq)
	case h.Prev != s.Hash:
		return fmt.Errorf("%w: prev is not the statement before", latchkey.ErrConflict)
	case h.Time < s.Time-maxSkew:
		return fmt.Errorf("%w: its time is before the statement before", latchkey.ErrRefused)
	}
	return nil
}

func (s State) applyStatement(st Statement, n Note) (State, error) {
	switch st := st.(type) {
	case Genesis:
		return found(st, n)
	case Rekey:
		return s.rekey(st, n)
	case Anchor:
		hub, ok := s.Hubs[st.By]
		if !ok {
			return State{}, refused("signed by no hub")
		}
		return s, n.Verify(hub.Ed)
	case AddGrant:
		return s.grant(st, n)
	case Revoke:
		return s.revoke(st, n)
	case Access:
		return s.access(st, n)
	case Notice:
		return s, s.verifyOperator(st.By, n)
	}
	if err := s.verifyAdmin(st.Common().By, n); err != nil {
		return State{}, err
	}
	switch st := st.(type) {
	case AddMember:
		return s.addMember(st)
	case Unmember:
		return s.unmember(st)
	case AddHub:
		return s.addHub(st)
	case Unhub:
		return s.unhub(st)
	case AddCamera:
		return s.addCamera(st)
	case Retain:
		return s.retain(st)
	case Erase:
		return s.erase(st)
	}
	return State{}, invalid("%s cannot be applied", st.Type())
}

// verifyAdmin checks that by is an admin in s and signed n.
func (s State) verifyAdmin(by latchkey.Kid, n Note) error {
	m, ok := s.Members[by]
	if !ok || m.Role != RoleAdmin {
		return refused("signed by no admin")
	}
	return n.Verify(m.Ed)
}

func found(g Genesis, n Note) (State, error) {
	if KidOf(g.Ed) != g.By {
		return State{}, refused("not signed by the founder")
	}
	if bytes.Equal(g.Ed, g.Recovery) {
		return State{}, refused("the recovery key is the signing key")
	}
	if err := n.Verify(g.Ed); err != nil {
		return State{}, err
	}
	founder := Member{Ed: g.Ed, X: g.X, Recovery: g.Recovery, Role: RoleAdmin, Share: true, AllTracks: true}
	return State{
		Household: g.Household, KTag: g.KTag, Operator: g.Operator, Log: g.Log,
		Members: map[latchkey.Kid]Member{g.By: founder},
		Hubs:    map[latchkey.Kid]Hub{},
		Cameras: map[latchkey.CameraID]Camera{},
		Retain:  map[latchkey.TrackID]uint64{},
		Grants:  map[latchkey.GrantID]Grant{},
	}, nil
}

// addMember admits a person, or, with exactly the keys of a member, restates him.
func (s State) addMember(st AddMember) (State, error) {
	m, restated := s.Members[KidOf(st.Ed)]
	if restated = restated && bytes.Equal(m.X, st.X) && bytes.Equal(m.Recovery, st.Recovery); !restated {
		if s.keyInUse(st.Ed) || s.keyInUse(st.X) || s.keyInUse(st.Recovery) || bytes.Equal(st.Ed, st.Recovery) {
			return State{}, refused("a key is in use already")
		}
		m = Member{Ed: st.Ed, X: st.X, Recovery: st.Recovery}
	}
	for _, t := range st.Tracks {
		if _, _, ok := s.Track(t); !ok {
			return State{}, refused("track %v is not declared", t)
		}
	}
	if m.Role == RoleAdmin && st.Role != RoleAdmin && s.admins() == 1 {
		return State{}, refused("%v is the last admin", KidOf(st.Ed))
	}
	m.Role, m.Share, m.AllTracks, m.Tracks, m.Seq = st.Role, st.Share, st.AllTracks, slices.Clone(st.Tracks), st.Seq
	slices.SortFunc(m.Tracks, func(a, b latchkey.TrackID) int { return bytes.Compare(a[:], b[:]) })
	s.Members = maps.Clone(s.Members)
	s.Members[KidOf(st.Ed)] = m
	return s, nil
}

func (s State) unmember(st Unmember) (State, error) {
	m, ok := s.Members[st.Kid]
	if !ok {
		return State{}, refused("%v is no member", st.Kid)
	}
	if st.Kid == st.By {
		return State{}, refused("nobody removes himself: the signer would be gone with his statement")
	}
	if m.Role == RoleAdmin && s.admins() == 1 {
		return State{}, refused("%v is the last admin", st.Kid)
	}
	return s.without(st.Kid), nil
}

// without is s without a member. Grants to him end: were he admitted again, he
// would have to be given them again.
func (s State) without(kid latchkey.Kid) State {
	kids := s.Members[kid].Kids()
	s.Members = maps.Clone(s.Members)
	delete(s.Members, kid)
	grants := maps.Clone(s.Grants)
	for id, g := range grants {
		if g.Kind == GrantMember && slices.Contains(kids, g.To) {
			g.Revoked = true
			grants[id] = g
		}
	}
	s.Grants = grants
	return s
}

// rekey replaces keys of a member. It is signed by his key or, when that is
// lost, by his recovery key.
func (s State) rekey(st Rekey, n Note) (State, error) {
	m, ok := s.Members[st.Kid]
	if !ok {
		return State{}, refused("%v is no member", st.Kid)
	}
	signer := m.Ed
	if st.By != st.Kid {
		signer = m.Recovery
	}
	if KidOf(signer) != st.By {
		return State{}, refused("signed by neither the member's key nor the recovery key")
	}
	if err := n.Verify(signer); err != nil {
		return State{}, err
	}
	for _, key := range [][]byte{st.Ed, st.X, st.Recovery} {
		if key != nil && s.keyInUse(key) {
			return State{}, refused("a key is in use already")
		}
	}
	m = m.withKeys(st)
	if bytes.Equal(m.Ed, m.Recovery) {
		return State{}, refused("the recovery key is the signing key")
	}
	s.Members = maps.Clone(s.Members)
	delete(s.Members, st.Kid)
	s.Members[KidOf(m.Ed)] = m
	s.Grants = reissued(s.Grants, st.Kid, KidOf(m.Ed))
	return s, nil
}

// reissued files the grants of a member whose key changed under the new one.
func reissued(grants map[latchkey.GrantID]Grant, from, to latchkey.Kid) map[latchkey.GrantID]Grant {
	grants = maps.Clone(grants)
	for id, g := range grants {
		if g.By == from {
			g.By = to
			grants[id] = g
		}
	}
	return grants
}

// withKeys replaces keys. Clip: two states that grow from one must not share a
// backing array.
func (m Member) withKeys(st Rekey) Member {
	if st.Ed != nil {
		m.PastEd = append(slices.Clip(m.PastEd), KidOf(m.Ed))
		m.Ed = st.Ed
	}
	if st.X != nil {
		m.Past = append(slices.Clip(m.Past), KidOf(m.X))
		m.X = st.X
	}
	if st.Recovery != nil {
		m.Recovery = ed25519.PublicKey(st.Recovery)
	}
	return m
}

func (s State) addHub(st AddHub) (State, error) {
	if s.keyInUse(st.Ed) || s.keyInUse(st.X) {
		return State{}, refused("a key is in use already")
	}
	s.Hubs = maps.Clone(s.Hubs)
	s.Hubs[KidOf(st.Ed)] = Hub{Ed: st.Ed, X: st.X, Seq: st.Seq}
	return s, nil
}

func (s State) unhub(st Unhub) (State, error) {
	if _, ok := s.Hubs[st.Kid]; !ok {
		return State{}, refused("%v is no hub", st.Kid)
	}
	s.Hubs = maps.Clone(s.Hubs)
	delete(s.Hubs, st.Kid)
	return s, nil
}

// addCamera declares a camera, or adds tracks to one. A track never changes
// its kind or camera: rights and keys hang on both.
func (s State) addCamera(st AddCamera) (State, error) {
	for _, t := range st.Tracks {
		camera, earlier, ok := s.Track(t.ID)
		if ok && (camera != st.Camera || earlier != t) {
			return State{}, refused("track %v is declared otherwise", t.ID)
		}
	}
	for _, t := range s.Cameras[st.Camera].Tracks {
		if !slices.Contains(st.Tracks, t) {
			return State{}, refused("track %v of the camera is left out", t.ID)
		}
	}
	c := Camera{Tracks: slices.Clone(st.Tracks)}
	sortTracks(c.Tracks)
	s.Cameras = maps.Clone(s.Cameras)
	s.Cameras[st.Camera] = c
	return s, nil
}

func (s State) retain(st Retain) (State, error) {
	if st.AllTracks {
		s.RetainAll = st.Seconds
		return s, nil
	}
	if _, _, ok := s.Track(st.Track); !ok {
		return State{}, refused("track %v is not declared", st.Track)
	}
	s.Retain = maps.Clone(s.Retain)
	s.Retain[st.Track] = st.Seconds
	return s, nil
}

func (s State) erase(st Erase) (State, error) {
	if _, _, ok := s.Track(st.Track); !ok {
		return State{}, refused("track %v is not declared", st.Track)
	}
	// Clip: two states that grow from this one must not share a backing array.
	s.Erased = append(slices.Clip(s.Erased), Erasure{Track: st.Track, From: st.From, Until: st.Until})
	return s, nil
}

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", latchkey.ErrRefused, fmt.Sprintf(format, args...))
}
