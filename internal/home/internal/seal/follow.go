package seal

import (
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

// Follower opens one track's parts as they come, run after run, and knows what
// came before: it refuses repeats and steps back, checks the link between runs,
// and tells what is missing. Not safe for concurrent use.
type Follower struct {
	o     *Opener
	track latchkey.TrackID
	at    part.Header   // of the newest part; meaningless before the first
	hash  latchkey.Hash // its part hash
	any   bool
}

// Gap is what was left out between two runs: parts From … To−1 of an epoch. To
// is 0 when it is not known how many there were. Whether a gap is all right (a
// slow reader was told to skip, an hour is retained no longer) is for the
// caller to say.
type Gap struct {
	Epoch    latchkey.EpochID
	From, To uint32
}

// Follow starts following a track, from wherever its first run begins: whoever
// asked for a certain place looks at the first part.
func (o *Opener) Follow(track latchkey.TrackID) *Follower { return &Follower{o: o, track: track} }

// OpenRun is Opener.OpenRun for the next run of the same track. gaps tells what
// was left out between the run before and this one: inside an epoch by number,
// between epochs by what the new epoch's note says of the one before. Parts that
// were seen before, or that come from an earlier epoch of the same hub, are
// refused with ReasonReplay.
func (f *Follower) OpenRun(run []part.Part) (opened []Opened, gaps []Gap, err error) {
	if len(run) == 0 {
		return nil, nil, fmt.Errorf("seal: open run: %w: it is empty", latchkey.ErrInvalid)
	}
	prev, gaps, err := f.place(run[0].Header)
	if err != nil {
		return nil, nil, err
	}
	opened, err = f.o.openRun(run, prev)
	if err != nil {
		return nil, nil, err
	}
	last := opened[len(opened)-1]
	f.at, f.hash, f.any = last.Part.Header, last.Hash, true
	return opened, gaps, nil
}

// place finds out how a run that begins with h continues what was seen. prev is
// the hash it has to name, or nil where that is unknown.
func (f *Follower) place(h part.Header) (prev *latchkey.Hash, gaps []Gap, err error) {
	switch {
	case h.Track != f.track:
		return nil, nil, failure(ReasonTrack, "%v, following %v", h.Track, f.track)
	case !f.any:
		return nil, nil, nil
	case h.Epoch != f.at.Epoch:
		gaps, err = f.cross(h)
		return nil, gaps, err
	case h.Seq <= f.at.Seq:
		return nil, nil, failure(ReasonReplay, "part %v after part %d", h, f.at.Seq)
	case f.at.Flags&part.END != 0:
		return nil, nil, failure(ReasonLink, "part %v after the end of its epoch", h)
	case h.Slot < f.at.Slot:
		return nil, nil, failure(ReasonLink, "part %v goes back from slot %d to %d", h, f.at.Slot, h.Slot)
	case h.Seq == f.at.Seq+1:
		return &f.hash, nil, nil
	}
	return nil, []Gap{{Epoch: h.Epoch, From: f.at.Seq + 1, To: h.Seq}}, nil
}

// cross goes on to another epoch. It refuses one that the same hub announced
// before, and tells what is missing at the end of the old and the beginning of
// the new one.
func (f *Follower) cross(h part.Header) ([]Gap, error) {
	next, nextOK := f.o.held(h.Epoch)
	now, nowOK := f.o.held(f.at.Epoch)
	if !nextOK {
		return nil, failure(ReasonEpoch, "%v", h.Epoch)
	}
	if nowOK && next.note.Hub == now.note.Hub && next.note.N <= now.note.N {
		return nil, failure(ReasonReplay, "epoch %v (number %d) after epoch %v (number %d)", h.Epoch, next.note.N, f.at.Epoch, now.note.N)
	}
	adjacent := nowOK && next.note.Prev == now.noteHash
	gaps, err := f.missingTail(next.note, adjacent)
	if err == nil && h.Seq > 0 {
		gaps = append(gaps, Gap{Epoch: h.Epoch, From: 0, To: h.Seq})
	}
	return gaps, err
}

// missingTail compares the newest part seen with what the next epoch's note
// says was the last one.
func (f *Follower) missingTail(next chain.EpochNote, adjacent bool) ([]Gap, error) {
	unknown := []Gap{{Epoch: f.at.Epoch, From: f.at.Seq + 1}}
	if !adjacent {
		return unknown, nil
	}
	for _, l := range next.Last {
		switch {
		case l.Track != f.track || l.Epoch != f.at.Epoch:
		case l.Seq > f.at.Seq:
			return []Gap{{Epoch: f.at.Epoch, From: f.at.Seq + 1, To: l.Seq + 1}}, nil
		case l.Seq == f.at.Seq && !equalHash(l.Hash, f.hash):
			return nil, failure(ReasonHeads, "epoch %v names another last part than %v", next.Epoch, f.at)
		default:
			// A hub that lost power may know less of its past than was stored.
			return nil, nil
		}
	}
	if f.at.Flags&part.END != 0 {
		return nil, nil
	}
	return unknown, nil
}

// Behind compares what was followed with a verified heads note: how many parts
// of the track exist beyond the newest one seen. It fails with ReasonHeads when
// the note names another part than the one that was opened, which only a hub
// can bring about.
func (f *Follower) Behind(h chain.Heads) (uint32, error) {
	if !f.any || h.Epoch != f.at.Epoch {
		return 0, fmt.Errorf("seal: compare heads: %w: they are of another epoch", latchkey.ErrInvalid)
	}
	for _, head := range h.Heads {
		if head.Track != f.track {
			continue
		}
		if head.Seq == f.at.Seq && !equalHash(head.Hash, f.hash) {
			return 0, failure(ReasonHeads, "name another part %v than the one opened", f.at)
		}
		return head.Seq - min(head.Seq, f.at.Seq), nil
	}
	return 0, nil
}

// CheckHeads verifies a heads note against its epoch, which must have been
// added. The caller judges its age and that its counter does not go back.
func (o *Opener) CheckHeads(raw []byte) (chain.Heads, error) {
	n, err := chain.ParseNote(raw)
	if err != nil {
		return chain.Heads{}, failure(ReasonHeads, "%v", err)
	}
	h, err := chain.ParseHeads(n)
	if err != nil {
		return chain.Heads{}, failure(ReasonHeads, "%v", err)
	}
	e, ok := o.Epoch(h.Epoch)
	switch {
	case !ok:
		return chain.Heads{}, failure(ReasonEpoch, "%v", h.Epoch)
	case h.Household != e.Household || h.Hub != e.Hub:
		return chain.Heads{}, failure(ReasonHousehold, "heads of epoch %v name household %v and hub %v", h.Epoch, h.Household, h.Hub)
	}
	if err := n.Verify(e.Signer); err != nil {
		return chain.Heads{}, failure(ReasonSignature, "of the heads of epoch %v: %v", h.Epoch, err)
	}
	return h, nil
}
