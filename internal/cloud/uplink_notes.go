package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/ingest"
)

// maxFields bounds the fields of a message. Two bytes on the wire can become a
// hundred in memory: they are counted before anything is made of them.
const maxFields = maxHeld + 16

func decode(b []byte, m proto.Message) error {
	err := countFields(b)
	if err == nil {
		err = proto.Unmarshal(b, m)
	}
	if err != nil {
		return fmt.Errorf("cloud: uplink: %w: %s: %v", latchkey.ErrInvalid, m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

func countFields(b []byte) error {
	for n := 0; len(b) > 0; n++ {
		_, _, size := protowire.ConsumeField(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		if n >= maxFields {
			return fmt.Errorf("more than %d fields", maxFields)
		}
		b = b[size:]
	}
	return nil
}

// watched tells the hub what is watched live.
func (u *uplink) watched(tracks []latchkey.TrackID) {
	m := &v1.UplinkWatched{Tracks: make([][]byte, len(tracks))}
	for i := range tracks {
		m.Tracks[i] = tracks[i][:]
	}
	u.send(msgWatched, m)
}

// epoch stores an epoch note with its seal lines and capsules. One that was
// stored before with the same note is receipted again.
func (u *uplink) epoch(body []byte) error {
	var m v1.UplinkEpoch
	if err := decode(body, &m); err != nil {
		return err
	}
	row, capsules, err := u.checkEpoch(&m)
	if err != nil {
		return u.report(&ingest.Refusal{Epoch: row.ID, Err: err})
	}
	err = u.s.catalog.PutEpoch(u.ctx, row, capsules)
	if errors.Is(err, latchkey.ErrConflict) {
		err = u.sameEpoch(row)
	}
	if err != nil {
		if k, _ := kindOf(err); errors.Is(k.err, latchkey.ErrFull) || errors.Is(k.err, latchkey.ErrConflict) {
			return u.report(&ingest.Refusal{Epoch: row.ID, Err: err})
		}
		return err
	}
	to := make([]latchkey.Kid, len(capsules))
	for i, c := range capsules {
		to[i] = c.Kid
	}
	u.s.seals.keep(row.ID, to) // the live path asks no disk for it
	u.send(msgEpochReceipt, &v1.EpochReceipt{Epoch: row.ID[:]})
	return nil
}

// checkEpoch holds an announcement against the chain: this hub's signature,
// and exactly the capsules that the note's seals name.
func (u *uplink) checkEpoch(m *v1.UplinkEpoch) (catalog.Epoch, []catalog.Capsule, error) {
	var row catalog.Epoch
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return row, nil, err
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		return row, nil, err
	}
	row = catalog.Epoch{
		ID: note.Epoch, Household: note.Household, Hub: note.Hub, N: note.N, Start: note.Start,
		Note: m.GetNote(), Received: time.Now(),
	}
	state, err := u.s.homes.state(u.ctx, u.hub.Household)
	if err != nil {
		return row, nil, err
	}
	if note.Household != u.hub.Household || note.Hub != u.hub.Kid {
		return row, nil, fmt.Errorf("%w: the epoch note is another hub's", latchkey.ErrInvalid)
	}
	if err := n.Verify(state.Hubs[u.hub.Kid].Ed); err != nil {
		return row, nil, err
	}
	if note.N > 1<<62 || note.Start < 0 || note.Start > maxUnix || len(note.Tracks) > u.s.cfg.Limits.Tracks {
		return row, nil, fmt.Errorf("%w: epoch %d from %d with %d tracks", latchkey.ErrInvalid, note.N, note.Start, len(note.Tracks))
	}
	capsules, err := checkCapsules(m, note.Seals)
	return row, capsules, err
}

// maxUnix bounds times in notes, in unix seconds: the year 9999.
const maxUnix = 253402300799

// checkCapsules matches seal lines and capsules one to one.
func checkCapsules(m *v1.UplinkEpoch, seals latchkey.Hash) ([]catalog.Capsule, error) {
	hashes := map[latchkey.Kid]latchkey.Hash{}
	var lines []chain.SealLine
	for _, l := range m.GetSeals() {
		if len(l.GetKid()) != latchkey.IDSize || len(l.GetHash()) != latchkey.HashSize {
			return nil, fmt.Errorf("%w: a seal line", latchkey.ErrInvalid)
		}
		line := chain.SealLine{Kid: latchkey.Kid(l.GetKid()), Hash: latchkey.Hash(l.GetHash())}
		hashes[line.Kid] = line.Hash
		lines = append(lines, line)
	}
	if chain.Seals(lines) != seals {
		return nil, fmt.Errorf("%w: the seal lines are not those of the note", latchkey.ErrVerify)
	}
	var out []catalog.Capsule
	for _, c := range m.GetCapsules() {
		if len(c.GetKid()) != latchkey.IDSize {
			return nil, fmt.Errorf("%w: a capsule", latchkey.ErrInvalid)
		}
		kid := latchkey.Kid(c.GetKid())
		want, ok := hashes[kid]
		if !ok || chain.TextHash(c.GetCapsule()) != want {
			return nil, fmt.Errorf("%w: a capsule that no seal line names", latchkey.ErrVerify)
		}
		delete(hashes, kid)
		out = append(out, catalog.Capsule{Kid: kid, Hash: want, Capsule: c.GetCapsule()})
	}
	if len(hashes) != 0 || len(out) != len(lines) {
		return nil, fmt.Errorf("%w: %d seal lines, %d capsules", latchkey.ErrInvalid, len(lines), len(out))
	}
	return out, nil
}

func (u *uplink) sameEpoch(row catalog.Epoch) error {
	had, err := u.s.catalog.Epoch(u.ctx, row.ID)
	if err != nil {
		return err
	}
	if string(had.Note) != string(row.Note) {
		return fmt.Errorf("cloud: uplink: %w: another note is stored for this epoch", latchkey.ErrConflict)
	}
	return nil
}

// heads keeps and relays a heads note.
func (u *uplink) heads(body []byte) error {
	raw := append([]byte(nil), body...)
	n, err := chain.ParseNote(raw)
	if err != nil {
		return u.report(&ingest.Refusal{Err: err})
	}
	h, err := chain.ParseHeads(n)
	if err != nil {
		return u.report(&ingest.Refusal{Err: err})
	}
	ep, err := u.s.ingest.Epoch(u.ctx, h.Epoch)
	if err != nil {
		return u.report(&ingest.Refusal{Epoch: h.Epoch, Err: err})
	}
	if ep.Hub != u.hub || h.Household != u.hub.Household || h.Hub != u.hub.Kid || h.N > 1<<62 {
		return u.report(&ingest.Refusal{Epoch: h.Epoch, Err: fmt.Errorf("%w: heads of another hub", latchkey.ErrInvalid)})
	}
	if err := n.Verify(ep.Signer); err != nil {
		return u.report(&ingest.Refusal{Epoch: h.Epoch, Err: err})
	}
	u.source.Heads(h.Epoch, raw)
	if err := u.s.catalog.PutHeads(u.ctx, h.Epoch, h.N, raw); err != nil {
		return u.report(&ingest.Refusal{Epoch: h.Epoch, Err: err})
	}
	return nil
}

// command carries a sealed command to the hub and waits for its result.
func (u *uplink) command(ctx context.Context, sealed []byte) (v1.CommandResult, error) {
	answer := make(chan v1.CommandResult, 1)
	u.mu.Lock()
	u.nextID++
	id := u.nextID
	u.commands[id] = answer
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.commands, id)
	}()
	u.send(msgCommand, &v1.UplinkCommand{Id: id, Sealed: sealed})
	lost := fmt.Errorf("cloud: command: %w: the hub did not answer", latchkey.ErrUnavailable)
	select {
	case r := <-answer:
		return r, nil
	case <-u.ctx.Done():
		return 0, lost
	case <-ctx.Done():
		return 0, lost
	}
}

// result hands a command's result to who waits for it.
func (u *uplink) result(body []byte) error {
	var m v1.UplinkCommandResult
	if err := decode(body, &m); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.commands[m.GetId()]; c != nil {
		delete(u.commands, m.GetId())
		c <- m.GetResult()
	}
	return nil
}

// opening carries an opening to the hub and waits for what it releases.
func (u *uplink) opening(ctx context.Context, m *v1.UplinkOpening) ([]byte, error) {
	answer := make(chan *v1.UplinkReleased, 1)
	u.mu.Lock()
	u.nextID++
	m.Id = u.nextID
	u.openings[m.Id] = answer
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.openings, m.Id)
	}()
	u.send(msgOpening, m)
	lost := fmt.Errorf("cloud: release: %w: the hub did not answer", latchkey.ErrUnavailable)
	select {
	case r := <-answer:
		switch r.GetResult() {
		case v1.OpeningResult_OPENING_RESULT_RELEASED:
			return r.GetReleased(), nil
		case v1.OpeningResult_OPENING_RESULT_REFUSED:
			return nil, fmt.Errorf("cloud: release: %w: the household's hub does not release this", latchkey.ErrRefused)
		}
		return nil, lost
	case <-u.ctx.Done():
		return nil, lost
	case <-ctx.Done():
		return nil, lost
	}
}

// maxReleased bounds what a hub releases at once, in bytes.
const maxReleased = 64 << 10

// released hands what a hub released to who waits for it.
func (u *uplink) released(body []byte) error {
	m := &v1.UplinkReleased{}
	if len(body) > maxReleased {
		return fmt.Errorf("cloud: uplink: %w: %d bytes released", latchkey.ErrInvalid, len(body))
	}
	if err := decode(body, m); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.openings[m.GetId()]; c != nil {
		delete(u.openings, m.GetId())
		c <- m
	}
	return nil
}

// health stores a hub's report for a ticket. One for a ticket that has ended, or
// sealed to somebody else than who has it, is dropped: the hub learns of both.
func (u *uplink) health(body []byte) error {
	var m v1.UplinkHealth
	if err := decode(body, &m); err != nil {
		return err
	}
	t, err := u.s.ticket(u.ctx, m.GetTicket())
	if errors.Is(err, latchkey.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	who, err := u.s.staffNow(u.ctx, t.Agent, time.Now())
	if err != nil || checkSealed(letterMagic, m.GetLetter(), maxTicketBody, who.XKid) != nil {
		u.s.log.DebugContext(u.ctx, "a hub's report for somebody who does not have the ticket", "ticket", m.GetTicket())
		return nil
	}
	err = u.s.catalog.PutHealth(u.ctx, t.N, u.hub.Household, u.hub.Kid, m.GetLetter(), time.Now())
	if errors.Is(err, latchkey.ErrConflict) {
		return nil
	}
	return err
}
