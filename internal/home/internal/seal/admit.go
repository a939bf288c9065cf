package seal

import (
	"crypto/ed25519"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// EpochMaterial is what the server hands a member about one epoch, with the
// chain state the member verified himself.
type EpochMaterial struct {
	Note    []byte           // signed epoch note
	Seals   []chain.SealLine // all of them
	Capsule []byte           // the member's own; empty when the epoch is not sealed to him
	Chain   chain.State      // at the position the note names
}

// Admission is what came of an accepted epoch.
type Admission struct {
	Note   chain.EpochNote
	Tracks []latchkey.TrackID // whose root the hub sealed to this member, sorted
	// Shared reports whether the hub sealed the epoch to this member at all. One
	// that it did not is held without keys, but for those of a grant.
	Shared bool
	// LeftOut are the keys that the chain prescribes and the hub has not sealed
	// to, sorted: it heard of a removal that the chain does not have yet, or is
	// hostile. It harms only who is left out.
	LeftOut []latchkey.Kid
	// Stray counts entries, of the capsule and of grants that were waiting for
	// this epoch, that nobody had the right to give, or that are not what the
	// note commits to. They were discarded; a client reports them.
	Stray int
}

// AddEpoch checks an epoch note with its seal lines and the member's capsule
// (protocol 2.6, 2.8) and keeps the keys inside. boxes are the member's current
// and retained sealing keys. Every refusal is a *Failure. Adding an epoch again
// changes nothing.
func (o *Opener) AddEpoch(m EpochMaterial, boxes []*keys.Sealing) (Admission, error) {
	note, hash, err := o.checkNote(m)
	if err != nil {
		return Admission{}, err
	}
	adm := Admission{Note: note}
	if adm.LeftOut, err = checkSeals(note, m); err != nil {
		return Admission{}, err
	}
	if err := checkTracks(note, m.Chain); err != nil {
		return Admission{}, err
	}
	box, err := pickBox(note, m, boxes)
	if err != nil {
		return Admission{}, err
	}
	var roots []entry
	var stretches []granted
	if box != nil {
		entries, err := o.openOwn(note, m.Capsule, box)
		if err != nil {
			return Admission{}, err
		}
		defer eraseEntries(entries)
		mine := recipientOf(note, m.Chain, box.Kid())
		if roots, err = checkRoots(note, mine, entries); err != nil {
			return Admission{}, err
		}
		stretches = stretchesOf(mine, entries)
		defer eraseGranted(stretches)
		adm.Shared, adm.Stray = true, len(entries)-len(roots)-len(stretches)
	}
	for i := range roots {
		adm.Tracks = append(adm.Tracks, roots[i].track)
	}
	stray, err := o.hold(note, hash, roots, stretches)
	adm.Stray += stray
	return adm, err
}

// openOwn opens the capsule that the hub sealed to box.
func (o *Opener) openOwn(note chain.EpochNote, capsule []byte, box *keys.Sealing) ([]entry, error) {
	plain, err := box.OpenCapsule(o.household, note.Epoch, capsule)
	if err != nil {
		return nil, failure(ReasonCapsule, "of epoch %v: %v", note.Epoch, err)
	}
	defer clear(plain)
	entries, err := parseCapsule(plain)
	if err != nil {
		return nil, failure(ReasonCapsule, "of epoch %v: %v", note.Epoch, err)
	}
	return entries, nil
}

// checkNote checks the note itself: household, chain position, hub, signature.
func (o *Opener) checkNote(m EpochMaterial) (chain.EpochNote, latchkey.Hash, error) {
	raw, err := chain.ParseNote(m.Note)
	if err != nil {
		return chain.EpochNote{}, latchkey.Hash{}, failure(ReasonNote, "%v", err)
	}
	note, err := chain.ParseEpochNote(raw)
	if err != nil {
		return chain.EpochNote{}, latchkey.Hash{}, failure(ReasonNote, "%v", err)
	}
	if note.Household != o.household || m.Chain.Household != o.household {
		return note, latchkey.Hash{}, failure(ReasonHousehold, "epoch %v is of household %v", note.Epoch, note.Household)
	}
	if note.ChainSeq != m.Chain.Seq || note.ChainHash != m.Chain.Hash {
		return note, latchkey.Hash{}, failure(ReasonPosition, "epoch %v was made at statement %d (%v), given is %d", note.Epoch, note.ChainSeq, note.ChainHash, m.Chain.Seq)
	}
	hub, ok := m.Chain.Hubs[note.Hub]
	if !ok {
		return note, latchkey.Hash{}, failure(ReasonHub, "%v of epoch %v is not in the household", note.Hub, note.Epoch)
	}
	if err := raw.Verify(hub.Ed); err != nil {
		return note, latchkey.Hash{}, failure(ReasonSignature, "of the note of epoch %v: %v", note.Epoch, err)
	}
	return note, raw.Hash(), nil
}

// checkSeals checks that the epoch is sealed to nobody whom the chain does not
// prescribe, and to none twice. It returns those whom it leaves out.
func checkSeals(note chain.EpochNote, m EpochMaterial) (leftOut []latchkey.Kid, err error) {
	if !equalHash(chain.Seals(m.Seals), note.Seals) {
		return nil, failure(ReasonSeals, "%d seal lines do not belong to the note of epoch %v", len(m.Seals), note.Epoch)
	}
	kids := make([]latchkey.Kid, len(m.Seals))
	for i, l := range m.Seals {
		kids[i] = l.Kid
	}
	if leftOut, err = chain.RecipientsFit(kids, m.Chain, note.Start); err != nil {
		return nil, failure(ReasonRecipients, "of epoch %v: %v", note.Epoch, err)
	}
	return leftOut, nil
}

// checkTracks checks that every track of the note is declared.
func checkTracks(note chain.EpochNote, state chain.State) error {
	for _, c := range note.Tracks {
		if _, _, declared := state.Track(c.Track); !declared {
			return failure(ReasonTrack, "%v of epoch %v is not declared in the chain", c.Track, note.Epoch)
		}
	}
	return nil
}

// pickBox finds the key of ours that the epoch is sealed to; nil when there is
// none. What a seal line promises must be there: a capsule that is withheld or
// exchanged is refused.
func pickBox(note chain.EpochNote, m EpochMaterial, boxes []*keys.Sealing) (*keys.Sealing, error) {
	var box *keys.Sealing
	var want latchkey.Hash
	for _, l := range m.Seals {
		for _, b := range boxes {
			if b.Kid() == l.Kid {
				box, want = b, l.Hash
			}
		}
	}
	switch {
	case box == nil && len(m.Capsule) == 0:
		return nil, nil
	case box == nil:
		return nil, failure(ReasonCapsule, "given for epoch %v, which is sealed to none of the keys here", note.Epoch)
	case len(m.Capsule) == 0:
		return nil, failure(ReasonCapsule, "of epoch %v is withheld: its note lists one for us", note.Epoch)
	case !equalHash(chain.TextHash(m.Capsule), want):
		return nil, failure(ReasonCapsule, "given for epoch %v is not the one its note lists", note.Epoch)
	}
	return box, nil
}

// recipientOf is what the chain gives a key in the epoch of the note.
func recipientOf(note chain.EpochNote, state chain.State, kid latchkey.Kid) chain.Recipient {
	all := state.Recipients(note.Start)
	i := slices.IndexFunc(all, func(r chain.Recipient) bool { return r.Kid == kid })
	if i < 0 {
		return chain.Recipient{}
	}
	return all[i]
}

// stretchesOf are the entries of tracks that standing grants give stretches of,
// to be judged like those of any grant. One may be missing: a hub that knows of
// a revocation gives less than the chain yet says.
func stretchesOf(mine chain.Recipient, entries []entry) []granted {
	var out []granted
	for i := range entries {
		if lines := linesOf(mine.Windows, entries[i].track); len(lines) > 0 {
			out = append(out, granted{entry: entries[i], lines: lines})
		}
	}
	return out
}

// checkRoots holds the entries of a capsule against the chain (which tracks)
// and the note (which roots). It returns those that may be kept.
func checkRoots(note chain.EpochNote, mine chain.Recipient, entries []entry) ([]entry, error) {
	var granted []entry
	for _, c := range note.Tracks {
		if !slices.Contains(mine.Tracks, c.Track) {
			continue
		}
		i := slices.IndexFunc(entries, func(e entry) bool {
			return e.epoch == note.Epoch && e.track == c.Track && e.node == part.Node{}
		})
		if i < 0 {
			return nil, failure(ReasonCapsule, "of epoch %v lacks track %v", note.Epoch, c.Track)
		}
		if !equalHash(rootCommit(&entries[i].key, note.Epoch, c.Track), c.Commit) {
			return nil, failure(ReasonCommitment, "root of track %v in epoch %v is another than the note commits to", c.Track, note.Epoch)
		}
		granted = append(granted, entries[i])
	}
	return granted, nil
}

// AddGrantedEpoch admits an epoch for somebody who has no chain: its note has to
// be signed by one of the hubs that his grant names. Whom it is sealed to he does
// not learn; its keys are what AddGrant brings, within the grant's lines. stray
// counts entries that were waiting for it and are discarded.
func (o *Opener) AddGrantedEpoch(raw []byte, hubs []ed25519.PublicKey) (note chain.EpochNote, stray int, err error) {
	n, err := chain.ParseNote(raw)
	if err != nil {
		return note, 0, failure(ReasonNote, "%v", err)
	}
	if note, err = chain.ParseEpochNote(n); err != nil {
		return note, 0, failure(ReasonNote, "%v", err)
	}
	if note.Household != o.household {
		return note, 0, failure(ReasonHousehold, "epoch %v is of household %v", note.Epoch, note.Household)
	}
	i := slices.IndexFunc(hubs, func(k ed25519.PublicKey) bool { return chain.KidOf(k) == note.Hub })
	if i < 0 {
		return note, 0, failure(ReasonHub, "%v of epoch %v is not one that the grant names", note.Hub, note.Epoch)
	}
	if err := n.Verify(hubs[i]); err != nil {
		return note, 0, failure(ReasonSignature, "of the note of epoch %v: %v", note.Epoch, err)
	}
	stray, err = o.hold(note, n.Hash(), nil, nil)
	return note, stray, err
}
