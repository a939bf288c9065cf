package cloud

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// Limits of pairing boxes (protocol 2.10).
const (
	boxLife   = 15 * time.Minute
	maxMail   = 4 << 10
	maxWait   = 25 * time.Second
	maxOffers = 10
)

// mailboxes hold the offers and answers of pairings, in memory: they live
// minutes, and a restart costs a new code.
type mailboxes struct {
	most int

	mu   sync.Mutex
	all  map[[16]byte]*box
	size int // bytes of mail in all boxes
}

// box holds offers, in the order they came, and the one answer. Who knows the
// rendezvous and not the code can leave offers too: they are all kept, so that
// the right one gets through among nine wrong ones.
type box struct {
	expires time.Time
	mail    [2][][]byte
	size    int
	changed chan struct{} // closed and replaced when mail comes
}

// room is how much mail each slot holds.
func room(slot int) int { return []int{maxOffers, 1}[slot] }

// maxBoxSize bounds the memory of all boxes, by what they hold on average.
const maxBoxSize = 2 * maxMail

func newMailboxes(most int) *mailboxes {
	return &mailboxes{most: most, all: map[[16]byte]*box{}}
}

// box returns the live box at rendezvous, or nil. Callers hold mu.
func (m *mailboxes) box(rendezvous [16]byte, now time.Time) *box {
	b := m.all[rendezvous]
	if b != nil && now.After(b.expires) {
		m.drop(rendezvous, b)
		return nil
	}
	return b
}

// drop forgets a box. Callers hold mu.
func (m *mailboxes) drop(rendezvous [16]byte, b *box) {
	delete(m.all, rendezvous)
	m.size -= b.size
}

// make returns the box at rendezvous, new if need be. Callers hold mu.
func (m *mailboxes) make(rendezvous [16]byte, now time.Time) (*box, error) {
	if b := m.box(rendezvous, now); b != nil {
		return b, nil
	}
	if len(m.all) >= m.most {
		return nil, fmt.Errorf("cloud: mail: %w pairings at once", latchkey.ErrTooMany)
	}
	b := &box{expires: now.Add(boxLife), changed: make(chan struct{})}
	m.all[rendezvous] = b
	return b, nil
}

// put adds mail to a slot; what is there already is there.
func (m *mailboxes) put(rendezvous [16]byte, slot int, body []byte, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.make(rendezvous, now)
	if err != nil {
		return err
	}
	for _, had := range b.mail[slot] {
		if bytes.Equal(had, body) {
			return nil
		}
	}
	if len(b.mail[slot]) == room(slot) {
		return fmt.Errorf("cloud: mail: %w: this slot is taken", latchkey.ErrConflict)
	}
	if m.size+len(body) > m.most*maxBoxSize {
		return fmt.Errorf("cloud: mail: %w pairings at once", latchkey.ErrTooMany)
	}
	b.mail[slot] = append(b.mail[slot], body)
	b.size += len(body)
	m.size += len(body)
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// look returns the mail of an index in a slot, or a channel that closes when
// the box changes (nil: there is no box yet).
func (m *mailboxes) look(rendezvous [16]byte, slot, index int, now time.Time) ([]byte, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.box(rendezvous, now)
	if b == nil {
		return nil, nil
	}
	if index < len(b.mail[slot]) {
		return b.mail[slot][index], nil
	}
	return nil, b.changed
}

// boxPoll is how often a waiter looks for a box that does not exist yet: a
// wait alone makes none, or anybody could fill the table.
const boxPoll = 250 * time.Millisecond

// get waits for a slot's mail until ctx ends; ErrNotFound when nothing came.
func (m *mailboxes) get(ctx context.Context, rendezvous [16]byte, slot, index int) ([]byte, error) {
	for {
		mail, changed := m.look(rendezvous, slot, index, time.Now())
		if mail != nil {
			return mail, nil
		}
		var poll <-chan time.Time
		if changed == nil {
			poll = time.After(boxPoll)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cloud: mail: %w", latchkey.ErrNotFound)
		case <-changed:
		case <-poll:
		}
	}
}

func (m *mailboxes) tidy(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r, b := range m.all {
		if now.After(b.expires) {
			m.drop(r, b)
		}
	}
}

// pairingService implements latchkey.v1.PairingService. It needs no session:
// who knows the rendezvous knows the code, and what is in the box is
// authenticated by it.
type pairingService struct{ s *Server }

func slotOf(rendezvous []byte, slot v1.MailSlot) ([16]byte, int, error) {
	if len(rendezvous) != 16 || slot != v1.MailSlot_MAIL_SLOT_OFFER && slot != v1.MailSlot_MAIL_SLOT_ANSWER {
		return [16]byte{}, 0, fmt.Errorf("cloud: mail: %w: want a rendezvous of 16 bytes and a slot", latchkey.ErrInvalid)
	}
	return [16]byte(rendezvous), int(slot) - 1, nil
}

func (p *pairingService) PutMail(ctx context.Context, req *connect.Request[v1.PutMailRequest]) (*connect.Response[v1.PutMailResponse], error) {
	at, slot, err := slotOf(req.Msg.GetRendezvous(), req.Msg.GetSlot())
	if err == nil && (len(req.Msg.GetBody()) == 0 || len(req.Msg.GetBody()) > maxMail) {
		err = fmt.Errorf("cloud: mail: %w: want 1 to %d bytes", latchkey.ErrInvalid, maxMail)
	}
	if err == nil {
		err = p.s.mail.put(at, slot, req.Msg.GetBody(), time.Now())
	}
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutMailResponse{}), nil
}

func (p *pairingService) GetMail(ctx context.Context, req *connect.Request[v1.GetMailRequest]) (*connect.Response[v1.GetMailResponse], error) {
	at, slot, err := slotOf(req.Msg.GetRendezvous(), req.Msg.GetSlot())
	index := req.Msg.GetIndex()
	if err == nil && index >= uint32(room(slot)) {
		err = fmt.Errorf("cloud: mail: %w: index %d", latchkey.ErrInvalid, index)
	}
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	wait := min(time.Duration(req.Msg.GetWaitSeconds())*time.Second, maxWait)
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	stop := context.AfterFunc(p.s.ctx, cancel) // a shutdown does not wait for pairings
	defer stop()
	body, err := p.s.mail.get(waiting, at, slot, int(index))
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetMailResponse{Body: body}), nil
}
