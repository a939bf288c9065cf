package member

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/lan"
)

const (
	lanPurpose = "lan"
	// lanPatience is how long a hub at home has to answer, and a server to tell
	// where it is, before the removal goes on without it.
	lanPatience = 5 * time.Second
)

// RemovalReport says who has heard of a removal. Any one of them is enough for
// the next epoch: a hub seals to fewer at once, and does not wait for the server.
type RemovalReport struct {
	Name string // of who or what was removed
	// Server is nil when its chain has the removal and shows it.
	Server error
	Hubs   []HubHeard
}

// HubHeard is one hub that should know.
type HubHeard struct {
	HubName
	Heard bool // the hub has the removal on its disk, told at home
	Why   string
}

// Heard reports whether anybody who acts on it has the removal.
func (r RemovalReport) Heard() bool {
	return r.Server == nil || slices.ContainsFunc(r.Hubs, func(h HubHeard) bool { return h.Heard })
}

// RemoveMember removes a person: signed by this admin, sent to the server and to
// every hub at home at once. It works without the server, from what this
// machine has seen last. The report says who has heard; the error is nil when
// the removal was signed and anybody has.
func (c *Client) RemoveMember(ctx context.Context, name string) (RemovalReport, error) {
	state := c.newestState(ctx)
	p, err := c.findPerson(state, name)
	if err != nil {
		return RemovalReport{}, err
	}
	if p.Me {
		return RemovalReport{}, fmt.Errorf("member: remove: %w: nobody removes himself; another admin can", latchkey.ErrRefused)
	}
	report, err := c.remove(ctx, named(p.Name, p.Kid), func(h chain.Head) chain.Statement { return chain.Unmember{Head: h, Kid: p.Kid} },
		func(s chain.State) bool { _, there := s.Members[p.Kid]; return !there })
	if err == nil && report.Server == nil {
		err = c.dropName(ctx, func(n *chain.Names) { delete(n.People, p.Kid) })
	}
	return report, err
}

// RemoveHub removes a hub. Its footage stays; what it would seal from now on
// nobody takes.
func (c *Client) RemoveHub(ctx context.Context, name string) (RemovalReport, error) {
	state := c.newestState(ctx)
	kid, err := c.hubNamed(state, name)
	if err != nil {
		return RemovalReport{}, err
	}
	report, err := c.remove(ctx, named(c.nameOf(kid), kid), func(h chain.Head) chain.Statement { return chain.Unhub{Head: h, Kid: kid} },
		func(s chain.State) bool { _, there := s.Hubs[kid]; return !there })
	if err == nil && report.Server == nil {
		err = c.dropName(ctx, func(n *chain.Names) { delete(n.Hubs, kid) })
	}
	return report, err
}

// dropName takes a name out of the directory. Where the keys of others are not
// proven yet it stays until the next change: the removal is done.
func (c *Client) dropName(ctx context.Context, edit func(*chain.Names)) error {
	err := c.changeDirectory(ctx, edit)
	if errors.Is(err, ErrNotProven) {
		c.log.Warn("the name stays in the directory until the next change", "err", err)
		return nil
	}
	return err
}

func named(name string, kid latchkey.Kid) string {
	if name == "" {
		return kid.String()
	}
	return name
}

// newestState is the household as the server shows it now or, when it cannot
// be reached or shows what does not verify, as this machine saw it last.
func (c *Client) newestState(ctx context.Context) chain.State {
	short, cancel := context.WithTimeout(ctx, 2*lanPatience)
	defer cancel()
	if _, err := c.refresh(short); err != nil {
		c.log.Warn("going by what was seen last", "err", err)
	}
	return c.past().head()
}

// remove signs a removal, writes it down, and tells server and hubs. gone says
// whether a state has it.
func (c *Client) remove(ctx context.Context, who string, make func(chain.Head) chain.Statement, gone func(chain.State) bool) (RemovalReport, error) {
	report := RemovalReport{Name: who}
	raw, _, err := c.sign(c.past().head(), func(h chain.Head, _ chain.State) (chain.Statement, error) { return make(h), nil })
	if err != nil {
		return report, fmt.Errorf("member: remove %s: %w", who, err)
	}
	if err := c.keepRemoval(raw); err != nil {
		return report, err
	}
	var both sync.WaitGroup
	both.Go(func() { report.Server = c.removeAtServer(ctx, raw, make, gone) })
	both.Go(func() { report.Hubs = c.removeAtHome(ctx, raw) })
	both.Wait()
	if err := c.settleRemovals(); err != nil {
		return report, err
	}
	if !report.Heard() {
		return report, fmt.Errorf("member: remove %s: nobody has heard of it: %w", who, report.Server)
	}
	return report, nil
}

// removeAtServer appends the removal. Of a lost race it signs again for the next
// place. What the server takes and does not show is latchkey.ErrVerify.
func (c *Client) removeAtServer(ctx context.Context, raw []byte, make func(chain.Head) chain.Statement, gone func(chain.State) bool) error {
	first := true
	_, err := c.append(ctx, "remove", func(h chain.Head, s chain.State) (chain.Statement, error) {
		if gone(s) {
			return nil, errGone
		}
		if n, err := chain.ParseNote(raw); err == nil && first {
			// The very note that hubs get, where it still fits: then the chain and
			// they have the same text.
			if st, err := chain.ParseStatement(n); err == nil && st.Common().Seq == h.Seq && st.Common().Prev == h.Prev {
				h = st.Common()
			}
		}
		first = false
		return make(h), nil
	})
	if errors.Is(err, errGone) {
		return nil
	}
	return err
}

// errGone ends an append of what is there already.
var errGone = errors.New("it is done already")

// removeAtHome hands the removal to every hub: where it was reachable at home
// last; then, for those that are not there, where they say now that they are and
// where anything on this network says that it is a hub. Who has heard shows by
// its receipt, not by its address.
func (c *Client) removeAtHome(ctx context.Context, raw []byte) []HubHeard {
	t := newTelling(c, raw)
	before := c.lanAddresses()
	t.all(ctx, before)
	if t.done() {
		return t.hubs
	}
	short, cancel := context.WithTimeout(ctx, lanPatience)
	defer cancel()
	t.enough = cancel
	var both sync.WaitGroup
	both.Go(func() { t.anybody(short, c.browse) })
	both.Go(func() {
		if _, err := c.Hubs(short); err != nil { // it keeps the addresses that it learns
			c.log.Warn("hubs are sought where they were last", "err", err)
		}
		t.all(short, c.lanAddresses())
	})
	both.Wait()
	return t.hubs
}

// telling is one removal on its way to the hubs of the household.
type telling struct {
	raw    []byte
	body   latchkey.Hash // of the request
	state  chain.State   // whose hubs count
	enough context.CancelFunc

	mu    sync.Mutex
	tried map[string]bool // by address
	hubs  []HubHeard
}

func newTelling(c *Client, raw []byte) *telling {
	t := &telling{
		raw: raw, body: sha256.Sum256(lan.PackNotes([][]byte{raw})), state: c.past().head(),
		enough: func() {}, tried: map[string]bool{},
	}
	for kid := range t.state.Under(c.early()).Hubs {
		t.hubs = append(t.hubs, HubHeard{HubName: HubName{Kid: kid, Name: c.nameOf(kid)}, Why: "it did not answer on this network"})
	}
	slices.SortFunc(t.hubs, func(a, b HubHeard) int { return strings.Compare(a.Kid.String(), b.Kid.String()) })
	return t
}

// done reports whether every hub has heard.
func (t *telling) done() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(t.hubs, func(h HubHeard) bool { return !h.Heard })
}

// all tries the addresses that are known of the hubs, at once.
func (t *telling) all(ctx context.Context, addrs map[latchkey.Kid][]string) {
	var all sync.WaitGroup
	for kid, list := range addrs {
		for _, addr := range list {
			all.Go(func() {
				if err := t.tell(ctx, addr); err != nil {
					t.failed(kid, err)
				}
			})
		}
	}
	all.Wait()
}

// maxFound bounds how many addresses on the network are believed to be hubs.
const maxFound = 32

// anybody tries whatever says on the home network that it is a hub, until ctx
// ends.
func (t *telling) anybody(ctx context.Context, browse func(context.Context, string, func(instance, addr string))) {
	var mu sync.Mutex
	found := 0
	var all sync.WaitGroup
	browse(ctx, lan.RemovalService, func(_, addr string) {
		mu.Lock()
		defer mu.Unlock()
		if found == maxFound || ctx.Err() != nil || !atHome(addr) {
			return
		}
		found++
		all.Go(func() { _ = t.tell(ctx, addr) }) // it may be anybody's
	})
	all.Wait()
}

// atHome reports whether an address is one of a home network.
func atHome(addr string) bool {
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return false
	}
	ip := a.Addr().Unmap()
	return ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback()
}

// tell hands the removal to an address that was not tried yet, and keeps whose
// receipt came back.
func (t *telling) tell(ctx context.Context, addr string) error {
	t.mu.Lock()
	before := t.tried[addr]
	t.tried[addr] = true
	t.mu.Unlock()
	if before {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, lanPatience)
	defer cancel()
	receipt, err := lan.Remove(short, addr, t.raw)
	if err != nil {
		return err
	}
	heard, err := t.open(receipt)
	if err != nil {
		return fmt.Errorf("member: remove: what answers at %s: %w", addr, err)
	}
	t.mu.Lock()
	for i := range t.hubs {
		if t.hubs[i].Kid == heard.By {
			t.hubs[i].Heard, t.hubs[i].Why = true, ""
		}
	}
	t.mu.Unlock()
	if t.done() {
		t.enough()
	}
	return nil
}

// open reads a receipt for this very removal.
func (t *telling) open(receipt []byte) (chain.Heard, error) {
	n, err := chain.ParseNote(receipt)
	if err != nil {
		return chain.Heard{}, err
	}
	h, err := chain.OpenHeard(n, t.state)
	if err == nil && h.Removals != t.body {
		err = fmt.Errorf("%w: a receipt for something else", latchkey.ErrVerify)
	}
	return h, err
}

// failed says why a hub that has not heard has not.
func (t *telling) failed(kid latchkey.Kid, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.hubs {
		if t.hubs[i].Kid == kid && !t.hubs[i].Heard {
			t.hubs[i].Why = err.Error()
		}
	}
}

// keepRemoval writes a removal down before it is sent.
func (c *Client) keepRemoval(raw []byte) error {
	n, err := chain.ParseNote(raw)
	if err != nil {
		return fmt.Errorf("member: remove: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next, err := c.removals.Add(c.history.head(), n, time.Now().Unix())
	if err != nil {
		return fmt.Errorf("member: remove: %w", err)
	}
	return c.setRemovals(next)
}

// settleRemovals forgets removals that the chain has.
func (c *Client) settleRemovals() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setRemovals(c.removals.Settle(c.history.head()))
}

// setRemovals keeps the removals; the caller holds mu.
func (c *Client) setRemovals(o chain.Overlay) error {
	notes := o.Notes()
	c.removals = o
	if len(notes) == 0 && len(c.rec.Removals) == 0 {
		return nil
	}
	c.rec.Removals = notes
	return c.store.save(c.rec)
}

// early are the removals that the server's chain does not have yet.
func (c *Client) early() chain.Overlay {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removals.Settle(c.history.head())
}

// lanAddresses are where hubs said last that they can be reached at home.
func (c *Client) lanAddresses() map[latchkey.Kid][]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.openLan()
}

// openLan reads the addresses kept on this machine; the caller holds mu.
func (c *Client) openLan() map[latchkey.Kid][]string {
	out := map[latchkey.Kid][]string{}
	if len(c.rec.Lan) == 0 {
		return out
	}
	plain, err := c.store.machine.OpenLocal(lanPurpose, c.rec.Lan)
	var doc map[string][]string
	if err != nil || json.Unmarshal(plain, &doc) != nil {
		return out // only addresses; they are learned again
	}
	for k, addrs := range doc {
		if kid, err := latchkey.ParseKid(k); err == nil {
			out[kid] = addrs
		}
	}
	return out
}

// keepLan remembers where a hub says that it is.
func (c *Client) keepLan(hub latchkey.Kid, addrs []string) error {
	if len(addrs) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.openLan()
	if slices.Equal(known[hub], addrs) {
		return nil
	}
	known[hub] = addrs
	maps.DeleteFunc(known, func(k latchkey.Kid, _ []string) bool { _, in := c.history.head().Hubs[k]; return !in })
	doc := map[string][]string{}
	for k, a := range known {
		doc[k.String()] = a
	}
	plain, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("member: keep addresses: %w", err)
	}
	sealed, err := c.store.machine.SealLocal(lanPurpose, plain)
	if err != nil {
		return fmt.Errorf("member: keep addresses: %w", err)
	}
	c.rec.Lan = sealed
	return c.store.save(c.rec)
}
