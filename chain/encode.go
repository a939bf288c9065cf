package chain

import (
	"fmt"

	"latchkey.dev/latchkey"
)

// head writes the common head of a statement that is not genesis.
func (w *writer) head(h Head) {
	if h.Seq == 0 {
		w.fail("seq", "0 is genesis")
	}
	w.line("household", latchkey.B64(h.Household[:]))
	w.line("seq", w.number("seq", h.Seq))
	w.line("prev", latchkey.B64(h.Prev[:]))
	w.headTail(h)
}

func (w *writer) headTail(h Head) {
	w.line("time", w.time("time", h.Time))
	w.line("by", latchkey.B64(h.By[:]))
	w.line("salt", latchkey.B64(h.Salt[:]))
}

// Text encodes the founding statement; the household id is H(text)[0:16].
func (s Genesis) Text() ([]byte, error) {
	w := newWriter(TypeGenesis)
	w.line("seq", "0")
	w.headTail(s.Head)
	w.ed("ed", s.Ed)
	w.x("x", s.X)
	w.ed("recovery", s.Recovery)
	w.line("ktag", latchkey.B64(s.KTag[:]))
	if _, _, err := ParseVKey(s.Operator); s.Operator != "" && err != nil {
		w.fail("operator", "not a verifier key")
	}
	w.line("operator", orNone(s.Operator))
	if s.Log != "" && (!isToken(s.Log) || s.Log == notSet) {
		w.fail("log", "not an origin")
	}
	w.line("log", orNone(s.Log))
	return w.done(TypeGenesis)
}

// Text encodes the statement.
func (s AddMember) Text() ([]byte, error) {
	w := newWriter(TypeMember)
	w.head(s.Head)
	w.ed("ed", s.Ed)
	w.x("x", s.X)
	w.ed("recovery", s.Recovery)
	if !s.Role.valid() {
		w.fail("role", "unknown")
	}
	w.line("role", string(s.Role))
	w.line("share", word(s.Share, yes, no))
	if s.AllTracks && len(s.Tracks) > 0 {
		w.fail("track", "all tracks and single ones")
	}
	if s.AllTracks {
		w.line("track", trackAll)
	}
	tracks := make([]string, len(s.Tracks))
	for i, t := range s.Tracks {
		tracks[i] = latchkey.B64(t[:])
	}
	w.lines("track", tracks)
	return w.done(TypeMember)
}

// Text encodes the statement.
func (s Unmember) Text() ([]byte, error) { return kidText(TypeUnmember, s.Head, s.Kid) }

// Text encodes the statement.
func (s Unhub) Text() ([]byte, error) { return kidText(TypeUnhub, s.Head, s.Kid) }

func kidText(noteType string, h Head, kid latchkey.Kid) ([]byte, error) {
	w := newWriter(noteType)
	w.head(h)
	w.line("kid", latchkey.B64(kid[:]))
	return w.done(noteType)
}

// Text encodes the statement.
func (s Rekey) Text() ([]byte, error) {
	w := newWriter(TypeRekey)
	w.head(s.Head)
	w.line("kid", latchkey.B64(s.Kid[:]))
	if len(s.Ed)+len(s.X)+len(s.Recovery) == 0 {
		w.fail("rekey", "no new key")
	}
	if len(s.Ed) > 0 {
		w.ed("ed", s.Ed)
	}
	if len(s.X) > 0 {
		w.x("x", s.X)
	}
	if len(s.Recovery) > 0 {
		w.ed("recovery", s.Recovery)
	}
	return w.done(TypeRekey)
}

// Text encodes the statement.
func (s AddHub) Text() ([]byte, error) {
	w := newWriter(TypeHub)
	w.head(s.Head)
	w.ed("ed", s.Ed)
	w.x("x", s.X)
	return w.done(TypeHub)
}

// Text encodes the statement; Tracks may be in any order.
func (s AddCamera) Text() ([]byte, error) {
	w := newWriter(TypeCamera)
	w.head(s.Head)
	w.line("camera", latchkey.B64(s.Camera[:]))
	if len(s.Tracks) == 0 {
		w.fail("track", "none declared")
	}
	seen := map[latchkey.TrackID]bool{}
	values := make([]string, 0, len(s.Tracks))
	for _, t := range s.Tracks {
		if !t.Kind.Valid() || seen[t.ID] {
			w.fail("track", "unknown kind, or declared twice")
		}
		seen[t.ID] = true
		values = append(values, latchkey.B64(t.ID[:])+" "+string(t.Kind))
	}
	w.lines("track", values)
	return w.done(TypeCamera)
}

// Text encodes the statement.
func (s Retain) Text() ([]byte, error) {
	w := newWriter(TypeRetain)
	w.head(s.Head)
	track := latchkey.B64(s.Track[:])
	if s.AllTracks {
		track = trackAll
	}
	w.line("track", track)
	if s.Seconds == 0 {
		w.fail("seconds", "less than one")
	}
	w.line("seconds", w.number("seconds", s.Seconds))
	return w.done(TypeRetain)
}

// Text encodes the statement.
func (s Erase) Text() ([]byte, error) {
	w := newWriter(TypeErase)
	w.head(s.Head)
	w.line("track", latchkey.B64(s.Track[:]))
	if s.From >= s.Until {
		w.fail("until", "not after from")
	}
	w.line("from", w.time("from", s.From))
	w.line("until", w.time("until", s.Until))
	return w.done(TypeErase)
}

// Text encodes the statement.
func (s Anchor) Text() ([]byte, error) {
	w := newWriter(TypeAnchor)
	w.head(s.Head)
	if len(s.Epochs)+len(s.Heads) == 0 {
		w.fail("anchor", "nothing anchored")
	}
	epochs := make([]string, len(s.Epochs))
	for i, e := range s.Epochs {
		epochs[i] = latchkey.B64(e[:])
	}
	w.lines("epoch", epochs)
	w.heads(s.Heads)
	return w.done(TypeAnchor)
}

func (w *writer) done(noteType string) ([]byte, error) {
	text, err := w.text()
	if err != nil {
		return nil, fmt.Errorf("chain: encode %s: %w", noteType, err)
	}
	return text, nil
}

func orNone(s string) string {
	if s == "" {
		return notSet
	}
	return s
}
