package member

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// A grant under way lies in a file of its own under the machine key, from
// before its statement is appended until its capsule is at the server:
// "grant-" ‖ id in hex. A process that dies at any step, or a log that is away,
// loses nothing, and nothing is signed or handed over twice.
const (
	pendingPrefix  = "grant-"
	pendingPurpose = "grant"
)

// pendingGrant is such a file.
type pendingGrant struct {
	Grant   chain.AddGrant `json:"grant"`             // without head
	Capsule []byte         `json:"capsule,omitempty"` // none: of what is to come only
	Mask    []byte         `json:"mask,omitempty"`    // LKM1, of a two-key grant
	Made    int64          `json:"made"`              // unix seconds
	Link    string         `json:"link,omitempty"`    // fragment of a link
	Words   []byte         `json:"words,omitempty"`   // of a link, sealed
	Handed  bool           `json:"handed,omitempty"`  // a link that is served and was not shown to its maker yet
	Seq     uint64         `json:"-"`                 // of the statement, once it is in the chain
}

func (p *pendingGrant) file() string { return pendingPrefix + p.Grant.Grant.String() }

// keepPending writes a grant down before anything of it leaves this machine.
func (c *Client) keepPending(p *pendingGrant) error {
	return c.store.saveSealedAs(pendingPurpose, p.file(), p)
}

// pendingGrants are those under way on this machine.
func (c *Client) pendingGrants() ([]*pendingGrant, error) {
	names, err := c.store.pending()
	if err != nil {
		return nil, err
	}
	var out []*pendingGrant
	for _, name := range names {
		p := &pendingGrant{}
		there, err := c.store.loadSealedAs(pendingPurpose, name, p)
		if err != nil {
			return nil, err
		}
		if there {
			out = append(out, p)
		}
	}
	return out, nil
}

// pending names the files of grants under way.
func (s *store) pending() ([]string, error) {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("member: read grants: %w", err)
	}
	var out []string
	for _, e := range list {
		id, ok := strings.CutPrefix(e.Name(), pendingPrefix)
		if _, err := latchkey.ParseGrantID(id); ok && err == nil && filepath.Base(e.Name()) == e.Name() {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// issue takes a grant that was written down through all steps: its statement,
// the proof of it, and only then its capsule. One without capsule hands nothing
// over: hubs wait for the log themselves.
func (c *Client) issue(ctx context.Context, p *pendingGrant, patience time.Duration, step func(GrantStep)) error {
	if err := c.write(ctx, p); err != nil {
		return err
	}
	step(StepWritten)
	if len(p.Capsule) == 0 {
		return c.store.drop(p.file())
	}
	proof, err := c.awaitProof(ctx, p.Seq, patience, step)
	if err != nil {
		return err
	}
	if err := c.hand(ctx, p, proof); err != nil {
		return err
	}
	step(StepReleased)
	if p.Link != "" {
		p.Handed = true
		return c.keepPending(p)
	}
	return c.store.drop(p.file())
}

// write appends the statement, unless the chain has it. A grant that the
// chain's rules refuse will never be one: its file goes.
func (c *Client) write(ctx context.Context, p *pendingGrant) error {
	_, err := c.append(ctx, "grant", func(h chain.Head, s chain.State) (chain.Statement, error) {
		if _, there := s.Grants[p.Grant.Grant]; there {
			return nil, errGone
		}
		g := p.Grant
		g.Head = h
		return g, nil
	})
	if err != nil && !errors.Is(err, errGone) {
		if errors.Is(err, latchkey.ErrRefused) || errors.Is(err, latchkey.ErrInvalid) {
			err = errors.Join(err, c.store.drop(p.file()))
		}
		return err
	}
	g := c.past().head().Grants[p.Grant.Grant]
	if g.Capsule != p.Grant.Capsule || g.To != p.Grant.To {
		return fmt.Errorf("member: grant: %w: the chain has another grant %v", latchkey.ErrVerify, p.Grant.Grant)
	}
	p.Seq = g.Seq
	if g.Revoked || time.Now().Unix() >= g.Until {
		return errors.Join(fmt.Errorf("member: grant: %w: it has ended before it was handed over", latchkey.ErrRefused), c.store.drop(p.file()))
	}
	return nil
}

// hand gives the server the capsule with its proof; of a link all that its
// holder fetches.
func (c *Client) hand(ctx context.Context, p *pendingGrant, proof []byte) error {
	id := p.Grant.Grant
	if p.Link == "" {
		_, err := call(ctx, c, "hand over the grant", c.api.chain.PutCapsule, &latchkeyv1.PutCapsuleRequest{Grant: id[:], Capsule: p.Capsule, Proof: proof, Mask: p.Mask})
		return err
	}
	link, err := keys.ParseLink(p.Link)
	if err != nil {
		return err
	}
	defer link.Erase()
	entry, err := c.entryOf(p.Seq)
	if err != nil {
		return err
	}
	kid := link.Kid()
	_, err = call(ctx, c, "hand over the link", c.api.link.PutLink, &latchkeyv1.PutLinkRequest{
		Grant: id[:], Capsule: p.Capsule, Proof: proof, Mac: link.MAC(entry.Value), Words: p.Words, Kid: kid[:],
	})
	return err
}

// Released is a grant that an earlier command had begun and that was handed
// over now.
type Released struct {
	Grant latchkey.GrantID
	Link  string // of a link: what its maker has not been shown yet
}

// ReleaseGrants goes on with the grants that this machine has under way, without
// waiting longer than patience for the log. What came of each stands in done and
// waiting; an error of one does not hold up the others. Names that waited for a
// proof go on, too.
func (c *Client) ReleaseGrants(ctx context.Context, patience time.Duration) (done []Released, waiting []latchkey.GrantID, err error) {
	list, err := c.pendingGrants()
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, p := range list {
		if !p.Handed {
			err := c.issue(ctx, p, patience, func(GrantStep) {})
			if errors.Is(err, latchkey.ErrUnavailable) {
				waiting = append(waiting, p.Grant.Grant)
				continue
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		done = append(done, Released{Grant: p.Grant.Grant, Link: c.linkURL(p.Link)})
	}
	if err := c.nameNow(ctx); err != nil {
		errs = append(errs, err)
	}
	return done, waiting, errors.Join(errs...)
}

// LinkShown forgets the secret of a link that its maker has.
func (c *Client) LinkShown(id latchkey.GrantID) error {
	return c.store.drop(pendingPrefix + id.String())
}

// linkURL is what a sharer hands on; empty for no fragment.
func (c *Client) linkURL(fragment string) string {
	if fragment == "" {
		return ""
	}
	return c.Server() + linkPath + fragment
}
