package hub

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/home/uplink"
)

// roster is the hub's copy of the household's chain, verified from genesis. It
// only ever grows: a server that shows another history is not believed. On top
// of it lie early removals, which came without the server (removals.go).
type roster struct {
	store     *store
	session   *uplink.Session
	client    latchkeyv1connect.ChainServiceClient
	household latchkey.HouseholdID

	sync  sync.Mutex // one fetch, or one removal, at a time: guards what is on disk
	mu    sync.Mutex
	raw   [][]byte
	now   chain.State // what the chain says
	early chain.Overlay
	// covered is the newest statement whose additions count: the public log proves
	// the chain up to there, or an admin has vouched for it (protocol 2.7).
	covered uint64
	proven  chain.State // what the chain says up to covered
	// removal is the newest unmember up to searched (lastRemoval).
	removal, searched uint64
	anchored          anchorSeen
	under             chain.State // proven, without what removals take away, early ones and any later in the chain
}

// maxPage bounds one answer with statements, in bytes after decompression: 500
// of the largest fit. A hostile server must not end recording by its size.
const maxPage = 500*chain.MaxNote + 1<<20

// openRoster replays the chain on disk. The clock is not asked: statements
// that were accepted once stay accepted, whatever time it is at boot. covered is
// the newest statement whose additions count.
func openRoster(st *store, session *uplink.Session, client *http.Client, household latchkey.HouseholdID, covered uint64) (*roster, error) {
	r := &roster{
		store: st, session: session, household: household, covered: covered,
		client: latchkeyv1connect.NewChainServiceClient(client, session.Server(), connect.WithReadMaxBytes(maxPage)),
	}
	var err error
	if r.raw, err = st.readChain(); err != nil {
		return nil, err
	}
	if len(r.raw) == 0 {
		return r, nil
	}
	r.now, err = chain.Replay(r.raw, anyTime)
	if err != nil {
		return nil, fmt.Errorf("chain on disk: %w", err)
	}
	if r.now.Household != household {
		return nil, fmt.Errorf("chain on disk: %w: it is of household %v", latchkey.ErrInvalid, r.now.Household)
	}
	if err := r.prove(); err != nil {
		return nil, err
	}
	return r, r.openEarly()
}

// state returns the newest state that the public log proves, without whom a
// removal takes away, proven or not: what counts for everything that the hub does
// from now on (protocol 2.7: add late, remove early).
func (r *roster) state() chain.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.under
}

// verified returns what the chain alone says.
func (r *roster) verified() chain.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// latest is the whole chain without what early removals take away: what counts
// for what is not an addition by somebody new.
func (r *roster) latest() chain.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Under(r.early)
}

// isMeta reports whether the track carries records; without them nobody learns
// why other parts are missing.
func (r *roster) isMeta(id latchkey.TrackID) bool {
	_, decl, ok := r.state().Track(id)
	return ok && decl.Kind == latchkey.KindMeta
}

// refresh fetches what the chain has grown by, verifies it against what we
// hold, and makes it durable before it counts. It reports whether it grew.
func (r *roster) refresh(ctx context.Context) (grew bool, err error) {
	r.sync.Lock()
	defer r.sync.Unlock()
	for {
		n, err := r.page(ctx)
		grew = grew || n > 0
		if err != nil {
			return grew, fmt.Errorf("hub: fetch chain: %w", err)
		}
		if n == 0 {
			return grew, nil
		}
	}
}

func (r *roster) page(ctx context.Context) (int, error) {
	have, state := r.raw, r.verified()
	var notes [][]byte
	err := r.session.Do(ctx, func(token string) error {
		req := connect.NewRequest(&latchkeyv1.GetChainRequest{FromSeq: uint64(len(have))})
		req.Header().Set("Authorization", "Bearer "+token)
		res, err := r.client.GetChain(ctx, req)
		if err != nil {
			return uplink.Kind(err)
		}
		notes = res.Msg.GetNotes()
		return nil
	})
	if err != nil || len(notes) == 0 {
		return 0, err
	}
	next, err := chain.Extend(state, notes, time.Now().Unix())
	if err != nil {
		return 0, err
	}
	if next.Household != r.household {
		return 0, fmt.Errorf("%w: the server shows the chain of another household", latchkey.ErrVerify)
	}
	all := append(have[:len(have):len(have)], notes...)
	if err := r.store.writeChain(all); err != nil {
		return 0, err
	}
	return len(notes), r.settle(all, next)
}

// reaches checks that our chain has the statement with this hash at seq.
func (r *roster) reaches(seq uint64, hash latchkey.Hash) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq >= uint64(len(r.raw)) {
		return fmt.Errorf("%w: the chain ends before statement %d", latchkey.ErrVerify, seq)
	}
	n, err := chain.ParseNote(r.raw[seq])
	if err != nil {
		return err
	}
	if n.Hash() != hash {
		return fmt.Errorf("%w: statement %d is not the one the admin signed", latchkey.ErrVerify, seq)
	}
	return nil
}
