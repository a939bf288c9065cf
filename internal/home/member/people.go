package member

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// People lists the members: roles and rights from the verified chain, names
// from the directory.
func (c *Client) People(ctx context.Context) ([]Person, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return c.people(state), nil
}

// people lists the members of state, oneself first, then by name.
func (c *Client) people(state chain.State) []Person {
	under := state.Under(c.early())
	admins := 0
	for _, m := range under.Members {
		if m.Role == chain.RoleAdmin {
			admins++
		}
	}
	replaced := c.past().newKeys()
	var out []Person
	for kid, m := range state.Members {
		p := Person{Kid: kid, Name: c.personName(kid, m), Role: string(m.Role), Rights: rightsOf(m, state), Me: kid == c.kid(), NewKeys: replaced[kid]}
		_, stays := under.Members[kid]
		p.Leaving = !stays
		p.Removable = !p.Me && (m.Role != chain.RoleAdmin || admins > 1)
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Person) int {
		switch {
		case a.Me != b.Me && a.Me:
			return -1
		case a.Me != b.Me:
			return 1
		}
		if n := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); n != 0 {
			return n
		}
		return bytes.Compare(a.Kid[:], b.Kid[:])
	})
	return out
}

// personName is what a member is called; oneself by the own vault too.
func (c *Client) personName(kid latchkey.Kid, m chain.Member) string {
	name := c.nameOf(append([]latchkey.Kid{kid}, m.PastEd...)...)
	if name == "" && kid == c.kid() {
		return c.name(nameMe)
	}
	return name
}

// findPerson resolves a name or a kid. Two people of one name are told apart by
// their kids.
func (c *Client) findPerson(state chain.State, name string) (Person, error) {
	var found []Person
	for _, p := range c.people(state) {
		if p.Kid.String() == name || p.Name != "" && strings.EqualFold(p.Name, name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Person{}, fmt.Errorf("member: nobody is called %q: %w", name, latchkey.ErrNotFound)
	}
	return Person{}, fmt.Errorf("member: %w: %d people are called %q; give the kid of one", latchkey.ErrInvalid, len(found), name)
}

// MemberChange is what is to become of a person's role and rights; what is nil
// stays.
type MemberChange struct {
	Role   *string
	Rights *RightsByName
}

// RightsByName are rights as a person says them.
type RightsByName struct {
	Cameras []string // names or ids; empty: all
	NoSound bool
}

// ChangeMember restates a member with other rights or another role, signed by
// this admin. It counts for epochs from then on; footage that he could see
// stays his.
func (c *Client) ChangeMember(ctx context.Context, name string, change MemberChange) (Person, error) {
	state, err := c.asAdmin(ctx, "change member")
	if err != nil {
		return Person{}, err
	}
	p, err := c.findPerson(state, name)
	if err != nil {
		return Person{}, err
	}
	rights := p.Rights
	if change.Rights != nil {
		if rights, err = c.resolve(ctx, *change.Rights); err != nil {
			return Person{}, err
		}
	}
	role := chain.Role(p.Role)
	if change.Role != nil {
		if role, err = parseRole(*change.Role); err != nil {
			return Person{}, fmt.Errorf("member: change member: %w", err)
		}
	}
	state, err = c.append(ctx, "change member", func(h chain.Head, s chain.State) (chain.Statement, error) {
		m, ok := s.Members[p.Kid]
		if !ok {
			return nil, fmt.Errorf("%s is no member any more: %w", name, latchkey.ErrNotFound)
		}
		tracks, err := rights.tracks(s)
		return chain.AddMember{
			Head: h, Ed: m.Ed, X: m.X, Recovery: m.Recovery, Role: role, Share: mayShare(role), AllTracks: rights.All, Tracks: tracks,
		}, err
	})
	if err != nil {
		return Person{}, err
	}
	return c.findPerson(state, p.Kid.String())
}

// resolve turns named cameras into rights. Without sound, or for some cameras
// only, they are those of today: a later camera is not among them.
func (c *Client) resolve(ctx context.Context, r RightsByName) (Rights, error) {
	if len(r.Cameras) == 0 && !r.NoSound {
		return Rights{All: true}, nil
	}
	var rights Rights
	add := func(cam Camera) {
		if !slices.ContainsFunc(rights.Cameras, func(o CameraRight) bool { return o.Camera == cam.ID }) {
			rights.Cameras = append(rights.Cameras, CameraRight{Camera: cam.ID, Sound: !r.NoSound})
		}
	}
	if len(r.Cameras) == 0 {
		cams, err := c.Cameras(ctx)
		if err != nil {
			return rights, err
		}
		for _, cam := range cams {
			add(cam)
		}
		return rights, nil
	}
	for _, name := range r.Cameras {
		cam, err := c.find(ctx, name)
		if err != nil {
			return rights, err
		}
		add(cam)
	}
	return rights, nil
}

// RenameMember changes what a person is called in the directory.
func (c *Client) RenameMember(ctx context.Context, name, to string) error {
	if err := checkName(to); err != nil {
		return fmt.Errorf("member: rename: %w", err)
	}
	state, err := c.asAdmin(ctx, "rename member")
	if err != nil {
		return err
	}
	p, err := c.findPerson(state, name)
	if err != nil {
		return err
	}
	return c.changeDirectory(ctx, func(n *chain.Names) { n.People[p.Kid] = to })
}

// asAdmin brings everything up to date and refuses whoever is no admin.
func (c *Client) asAdmin(ctx context.Context, what string) (chain.State, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return state, err
	}
	if state.Members[c.kid()].Role != chain.RoleAdmin {
		return state, fmt.Errorf("member: %s: %w: only an admin may", what, latchkey.ErrRefused)
	}
	return state, nil
}

// checkName refuses what a directory would not take, or a screen not show.
func checkName(name string) error {
	if strings.TrimSpace(name) != name || name == "" || len([]rune(name)) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%w: a name has 1 to %d characters and no space around it", latchkey.ErrInvalid, maxName)
	}
	return nil
}
