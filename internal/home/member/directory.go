package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// directory is the newest verified directory that this machine has seen.
type directory struct {
	n     uint64 // 0: none
	hash  latchkey.Hash
	names chain.Names
}

// pullDirectory fetches the names of people and hubs, and returns the number
// that the server says it has. A directory that is older than the one seen
// before, or another of the same number, is a rollback: latchkey.ErrVerify.
func (c *Client) pullDirectory(ctx context.Context, state chain.State) (served uint64, err error) {
	res, err := call(ctx, c, "get directory", c.api.chain.GetDirectory, &latchkeyv1.GetDirectoryRequest{})
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, latchkey.ErrNotFound) {
		if c.directory.n > 0 {
			return 0, fmt.Errorf("member: get directory: %w: the server has none, and had number %d", latchkey.ErrVerify, c.directory.n)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	d, err := c.openDirectory(res.Letter, state)
	switch {
	case errors.Is(err, errFormerAdmin):
		// What a removed admin has signed is nobody's word any more: names that
		// were seen before stay, until another admin writes a directory.
		c.log.Warn("the directory is signed by a former admin; it is not used")
		return res.N, nil
	case err != nil:
		return 0, fmt.Errorf("member: get directory: %w", err)
	case d.n != res.N:
		return 0, fmt.Errorf("member: get directory: %w: number %d came as %d", latchkey.ErrVerify, d.n, res.N)
	case d.n < c.directory.n, d.n == c.directory.n && d.hash != c.directory.hash:
		return 0, fmt.Errorf("member: get directory: %w: number %d was shown after number %d", latchkey.ErrVerify, d.n, c.directory.n)
	case d.n == c.directory.n:
		return d.n, nil
	}
	c.directory, c.rec.Directory = d, directoryRecord{N: d.n, Hash: d.hash.String(), Letter: res.Letter}
	return d.n, c.store.save(c.rec)
}

// errFormerAdmin is a directory whose signer was an admin once.
var errFormerAdmin = errors.New("signed by a former admin")

// openDirectory opens a letter and verifies the note inside; the caller holds mu.
func (c *Client) openDirectory(letter []byte, state chain.State) (directory, error) {
	plain, err := keys.OpenLetter(c.vault.Sealing, c.vault.Household, letter)
	if err != nil {
		return directory{}, asVerify(err)
	}
	n, err := chain.ParseNote(plain)
	if err != nil {
		return directory{}, asVerify(err)
	}
	d, err := chain.OpenDirectory(n, state)
	if errors.Is(err, latchkey.ErrRefused) {
		if d, err = c.history.openFormer(n); err == nil {
			err = errFormerAdmin
		}
	}
	if err != nil && !errors.Is(err, errFormerAdmin) {
		return directory{}, asVerify(err)
	}
	return directory{n: d.N, hash: n.Hash(), names: d.Names}, err
}

// asVerify makes err one of kind ErrVerify: what a server hands out in place of
// a signed thing does not verify, whatever is wrong with it.
func asVerify(err error) error {
	if errors.Is(err, latchkey.ErrVerify) {
		return err
	}
	return fmt.Errorf("%w: %v", latchkey.ErrVerify, err)
}

// openFormer opens a directory of somebody who was an admin at some place in
// the chain.
func (h history) openFormer(n chain.Note) (d chain.Directory, err error) {
	err = fmt.Errorf("%w: signed by nobody who ever was an admin", latchkey.ErrVerify)
	for i := len(h.states) - 1; i >= 0 && err != nil; i-- {
		d, err = chain.OpenDirectory(n, h.states[i])
	}
	return d, err
}

// loadDirectory takes the directory that this machine kept. Its names were
// believed once and stay, if its signer is no admin any more; its number is
// pinned in any case.
func (c *Client) loadDirectory() error {
	if c.rec.Directory.N == 0 {
		return nil
	}
	hash, err := parseHash(c.rec.Directory.Hash)
	if err != nil {
		return fmt.Errorf("member: open: %s: directory: %w", memberFile, err)
	}
	c.directory = directory{n: c.rec.Directory.N, hash: hash}
	d, err := c.openDirectory(c.rec.Directory.Letter, c.history.head())
	if (err == nil || errors.Is(err, errFormerAdmin)) && d.n == c.directory.n && d.hash == hash {
		c.directory.names = d.names
	}
	return nil
}

// nameOf is what a person or hub is called, by any kid that he ever had.
func (c *Client) nameOf(kids ...latchkey.Kid) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kid := range kids {
		for _, names := range []map[latchkey.Kid]string{c.directory.names.People, c.directory.names.Hubs} {
			if name := names[kid]; name != "" {
				return name
			}
		}
	}
	for _, kid := range kids {
		if name := c.vault.Names[kid.String()]; name != "" {
			return name
		}
	}
	return ""
}

// changeDirectory edits the directory and hands it to every member, starting
// over when another admin was first. Only an admin can. While the keys of a
// member are not proven it is ErrNotProven, and nobody is handed anything.
func (c *Client) changeDirectory(ctx context.Context, edit func(*chain.Names)) error {
	for range appendTries {
		state, err := c.sync(ctx)
		if err != nil {
			return err
		}
		if err := c.awaitPeople(ctx, state); err != nil {
			return err
		}
		served, err := c.pullDirectory(ctx, state)
		if err != nil {
			return err
		}
		err = c.putDirectory(ctx, state, served, edit)
		if !errors.Is(err, latchkey.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("member: put directory: %w: others kept changing it", latchkey.ErrConflict)
}

// putDirectory stores the directory that follows number served.
func (c *Client) putDirectory(ctx context.Context, state chain.State, served uint64, edit func(*chain.Names)) error {
	req, hash, err := c.newDirectory(state, served, edit)
	if err != nil {
		return fmt.Errorf("member: put directory: %w", err)
	}
	_, sendErr := call(ctx, c, "put directory", c.api.chain.PutDirectory, req)
	if sendErr != nil && !errors.Is(sendErr, latchkey.ErrUnavailable) {
		return sendErr
	}
	// Whether it was stored, the server shows: an answer can get lost, and a
	// server's yes is no proof.
	if _, err := c.pullDirectory(ctx, state); err != nil {
		return errors.Join(sendErr, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.directory.hash == hash:
		return nil
	case c.directory.n >= req.N:
		return latchkey.ErrConflict
	case sendErr != nil:
		return sendErr
	}
	return fmt.Errorf("member: put directory: %w: the server took number %d and does not show it", latchkey.ErrVerify, req.N)
}

// newDirectory signs a directory and seals it to every member. Whoever is gone
// is left out.
func (c *Client) newDirectory(state chain.State, served uint64, edit func(*chain.Names)) (*latchkeyv1.PutDirectoryRequest, latchkey.Hash, error) {
	state = state.Under(c.early())
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.namesNow(state)
	edit(&names)
	dropEmpty(names.People)
	dropEmpty(names.Hubs)
	d := chain.Directory{
		Household: state.Household, By: c.kid(), N: max(served, c.directory.n) + 1, Time: time.Now().Unix(), Names: names,
	}
	text, err := d.Text()
	if err != nil {
		return nil, latchkey.Hash{}, err
	}
	note := chain.SignNote(text, c.vault.Signing)
	req := &latchkeyv1.PutDirectoryRequest{ExpectedN: served, N: d.N}
	for kid, m := range state.Members {
		letter, err := keys.SealLetter(state.Household, m.X, note)
		if err != nil {
			return nil, latchkey.Hash{}, err
		}
		req.Letters = append(req.Letters, &latchkeyv1.Letter{Kid: kid[:], Body: letter})
	}
	return req, chain.TextHash(text), nil
}

// namesNow are the names of all who are in state, by their present kids; what
// the directory does not say, the own vault may. The caller holds mu.
func (c *Client) namesNow(state chain.State) chain.Names {
	old := c.directory.names
	names := chain.Names{
		Household: cmp.Or(old.Household, c.vault.Names[nameHousehold]),
		People:    map[latchkey.Kid]string{}, Hubs: map[latchkey.Kid]string{},
	}
	for kid, m := range state.Members {
		names.People[kid] = pickName(old.People, append([]latchkey.Kid{kid}, m.PastEd...)...)
		if kid == c.kid() {
			names.People[kid] = cmp.Or(names.People[kid], c.vault.Names[nameMe])
		}
	}
	for kid := range state.Hubs {
		names.Hubs[kid] = cmp.Or(old.Hubs[kid], c.vault.Names[kid.String()])
	}
	return names
}

func pickName(names map[latchkey.Kid]string, kids ...latchkey.Kid) string {
	for _, kid := range kids {
		if names[kid] != "" {
			return names[kid]
		}
	}
	return ""
}

func dropEmpty(names map[latchkey.Kid]string) {
	maps.DeleteFunc(names, func(_ latchkey.Kid, name string) bool { return name == "" })
}
