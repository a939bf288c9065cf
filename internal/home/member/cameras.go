package member

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

const (
	maxName       = 64 // runes of a display name
	statusUnknown = "unknown"
	statusOff     = "off"
)

// kindOrder is how tracks are listed.
var kindOrder = [...]latchkey.TrackKind{
	latchkey.KindVideo, latchkey.KindVideoSub, latchkey.KindAudio, latchkey.KindMeta, latchkey.KindBio,
}

// roster lists the declared cameras and tracks that this member may see, by
// right or by standing grant, with the vault's names and no state.
func (c *Client) roster(ctx context.Context) ([]Camera, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	var out []Camera
	me, now := state.Members[c.kid()], time.Now()
	for id, declared := range state.Cameras {
		cam := Camera{ID: id, Name: c.name(id.String()), Status: statusUnknown}
		cam.visible(declared.Tracks, state, me, now)
		if len(cam.Tracks) > 0 {
			out = append(out, cam)
		}
	}
	slices.SortFunc(out, func(a, b Camera) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return out, nil
}

// Cameras lists the cameras with the newest state that their hub sealed.
// Cameras that were removed are left out.
func (c *Client) Cameras(ctx context.Context) ([]Camera, error) {
	cams, err := c.roster(ctx)
	if err != nil {
		return nil, err
	}
	var out []Camera
	for _, cam := range cams {
		removed := cam.Name == "" && len(cam.Granted) == 0
		if err := c.newest(ctx, &cam); err != nil {
			return nil, err
		}
		if !removed || cam.Status != statusOff && cam.Status != statusUnknown {
			out = append(out, cam)
		}
	}
	return out, nil
}

// find resolves a camera's name (or hex id). Removed cameras are found by the
// name that their hub sealed, because their footage stays.
func (c *Client) find(ctx context.Context, name string) (Camera, error) {
	cams, err := c.roster(ctx)
	if err != nil {
		return Camera{}, err
	}
	if cam, ok := pick(cams, name); ok {
		return cam, nil
	}
	for i := range cams {
		if cams[i].Name == "" {
			if err := c.newest(ctx, &cams[i]); err != nil {
				return Camera{}, err
			}
		}
	}
	if cam, ok := pick(cams, name); ok {
		return cam, nil
	}
	return Camera{}, fmt.Errorf("member: no camera is called %q: %w", name, latchkey.ErrNotFound)
}

// pick finds a camera by id, exact name, or a name that differs in case only.
func pick(cams []Camera, name string) (Camera, bool) {
	for _, match := range []func(Camera) bool{
		func(cam Camera) bool { return cam.ID.String() == name },
		func(cam Camera) bool { return cam.Name == name },
		func(cam Camera) bool { return strings.EqualFold(cam.Name, name) },
	} {
		if i := slices.IndexFunc(cams, match); i >= 0 {
			return cams[i], true
		}
	}
	return Camera{}, false
}

// newest fills cam with the newest state record of its hub.
func (c *Client) newest(ctx context.Context, cam *Camera) error {
	track, ok := cam.Track(latchkey.KindMeta)
	switch {
	case !ok:
		return nil
	case len(cam.Granted) > 0:
		return c.granted(ctx, cam)
	}
	from := time.Now().Add(-2*recordEvery - edge)
	for range 2 {
		var m meta
		var first time.Time
		r := c.newReader(track.ID)
		err := r.read(ctx, query{from: from}, func(o opened) error {
			recs, err := metaRecords(cam.ID, o.records)
			if err != nil {
				return fmt.Errorf("member: read state of camera %v: %w", cam.ID, err)
			}
			if first.IsZero() {
				first = o.at()
			}
			cam.hub = o.epoch.note.Hub
			m.add(recs)
			return nil
		})
		switch {
		case errors.Is(err, latchkey.ErrNotFound):
			return nil // the hub has not begun with this camera
		case err != nil:
			return err
		case m.state.Type != "":
			cam.take(m.state)
			return nil
		case first.IsZero():
			return nil
		}
		// The last word was an event or a gap: the state is at most a minute older.
		from = first.Add(-recordEvery - edge)
	}
	return nil
}

// take fills cam from a state record; the vault's name goes before the hub's.
func (cam *Camera) take(s metaRecord) {
	if s.Type == "" {
		return
	}
	cam.Name = cmp.Or(cam.Name, s.Name)
	cam.Mode, cam.Status, cam.Error, cam.Hub = s.Mode, s.Status, s.Error, s.Hub
	cam.Seen = millis(s.At)
	for _, m := range s.Tracks {
		for i := range cam.Tracks {
			if t := &cam.Tracks[i]; t.ID.String() == m.Track {
				t.Codec, t.Width, t.Height, t.FPS, t.Kbps = m.Codec, m.Width, m.Height, m.FPS, m.Kbps
			}
		}
	}
}

// NewCamera is what a person says about a camera. URL may carry user and
// password; all of it goes to the hub only, sealed.
type NewCamera struct {
	Name           string
	URL, SubURL    string // rtsp:// or rtsps://; SubURL may be empty
	User, Password string // when not in URL
	Mode           string // continuous or events
	Audio          bool
	Hub            string // name or kid; may be empty with one hub
}

// cameraArgs are the arguments of the command `camera`.
type cameraArgs struct {
	Camera   string            `json:"camera"`
	Name     string            `json:"name"`
	URL      string            `json:"url"`
	SubURL   string            `json:"sub_url"`
	User     string            `json:"user"`
	Password string            `json:"password"`
	Mode     string            `json:"mode"`
	Audio    bool              `json:"audio"`
	Tracks   map[string]string `json:"tracks"`
}

// AddCamera declares a camera in the chain, names it in the vault and tells the
// hub. A camera of that name keeps its identity and gets the new settings, so
// that a repeated call heals one that broke off half-way.
func (c *Client) AddCamera(ctx context.Context, n NewCamera) (Camera, error) {
	args, err := n.args()
	if err != nil {
		return Camera{}, fmt.Errorf("member: add camera: %w", err)
	}
	hub, err := c.pickHub(ctx, n.Hub)
	if err != nil {
		return Camera{}, err
	}
	cam, known, err := c.inUse(ctx, n.Name)
	if err != nil {
		return Camera{}, err
	}
	if !known {
		_, _ = rand.Read(cam.ID[:])
		cam.Name, cam.Status = n.Name, statusUnknown
	}
	state, err := c.declare(ctx, &cam, n)
	if err != nil {
		return Camera{}, err
	}
	if err := c.changeNames(ctx, func(names map[string]string) { names[cam.ID.String()] = n.Name }); err != nil {
		return Camera{}, err
	}
	args.Camera = cam.ID.String()
	for _, t := range cam.Tracks {
		args.Tracks[string(t.Kind)] = t.ID.String()
	}
	cam.Mode, cam.hub = n.Mode, hub
	return cam, c.send(ctx, state, hub, "camera", args)
}

// inUse finds a camera that is not removed. One that another admin has added
// has its name from its hub.
func (c *Client) inUse(ctx context.Context, name string) (Camera, bool, error) {
	cams, err := c.roster(ctx)
	if err != nil {
		return Camera{}, false, err
	}
	if cam, ok := pick(cams, name); ok {
		return cam, true, nil
	}
	var others []Camera
	for _, cam := range cams {
		if cam.Name != "" {
			continue
		}
		if err := c.newest(ctx, &cam); err != nil {
			return Camera{}, false, err
		}
		if cam.Status != statusOff {
			others = append(others, cam)
		}
	}
	cam, ok := pick(others, name)
	return cam, ok, nil
}

// args checks what was said and takes the credentials out of the URLs.
func (n *NewCamera) args() (cameraArgs, error) {
	n.Mode = cmp.Or(n.Mode, "continuous")
	switch {
	case strings.TrimSpace(n.Name) != n.Name || n.Name == "" || utf8.RuneCountInString(n.Name) > maxName:
		return cameraArgs{}, fmt.Errorf("%w: a name has 1 to %d characters and no space around it", latchkey.ErrInvalid, maxName)
	case n.Mode != "continuous" && n.Mode != "events":
		return cameraArgs{}, fmt.Errorf("%w: the mode is continuous or events", latchkey.ErrInvalid)
	}
	a := cameraArgs{Name: n.Name, User: n.User, Password: n.Password, Mode: n.Mode, Audio: n.Audio, Tracks: map[string]string{}}
	var err error
	if a.URL, err = a.strip(n.URL); err != nil {
		return a, err
	}
	if n.SubURL != "" {
		a.SubURL, err = a.strip(n.SubURL)
	}
	return a, err
}

// strip checks an RTSP address and moves its credentials into a.
func (a *cameraArgs) strip(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "rtsp" && u.Scheme != "rtsps") || u.Host == "" {
		// The address is not repeated: it may hold a password.
		return "", fmt.Errorf("%w: the address is no rtsp:// address", latchkey.ErrInvalid)
	}
	if u.User != nil {
		a.User = cmp.Or(a.User, u.User.Username())
		password, _ := u.User.Password()
		a.Password = cmp.Or(a.Password, password)
		u.User = nil
	}
	return u.String(), nil
}

// declare appends a camera statement when the chain lacks a track.
func (c *Client) declare(ctx context.Context, cam *Camera, n NewCamera) (chain.State, error) {
	wanted := []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindMeta}
	if n.SubURL != "" {
		wanted = append(wanted, latchkey.KindVideoSub)
	}
	if n.Audio {
		wanted = append(wanted, latchkey.KindAudio)
	}
	added := false
	for _, kind := range wanted {
		if _, ok := cam.Track(kind); !ok {
			t := Track{Kind: kind}
			_, _ = rand.Read(t.ID[:])
			cam.Tracks, added = append(cam.Tracks, t), true
		}
	}
	if !added {
		return c.past().head(), nil
	}
	return c.append(ctx, "declare camera", func(h chain.Head, _ chain.State) (chain.Statement, error) {
		s := chain.AddCamera{Head: h, Camera: cam.ID}
		for _, t := range cam.Tracks {
			s.Tracks = append(s.Tracks, chain.TrackDecl{ID: t.ID, Kind: t.Kind})
		}
		return s, nil
	})
}

// RemoveCamera tells the hub to stop recording; footage and track stay.
func (c *Client) RemoveCamera(ctx context.Context, name string) error {
	cam, hub, err := c.findWithHub(ctx, name)
	if err != nil {
		return err
	}
	if err := c.send(ctx, c.past().head(), hub, "camera-remove", map[string]string{"camera": cam.ID.String()}); err != nil {
		return err
	}
	return c.changeNames(ctx, func(names map[string]string) { delete(names, cam.ID.String()) })
}

// StartEvent has the hub keep the next seconds of a camera as an event.
func (c *Client) StartEvent(ctx context.Context, name string, d time.Duration) error {
	cam, hub, err := c.findWithHub(ctx, name)
	if err != nil {
		return err
	}
	args := map[string]any{"camera": cam.ID.String(), "label": "manual", "seconds": int(d.Seconds())}
	return c.send(ctx, c.past().head(), hub, "event-start", args)
}

// findWithHub finds a camera and the hub that records it.
func (c *Client) findWithHub(ctx context.Context, name string) (Camera, latchkey.Kid, error) {
	cam, err := c.find(ctx, name)
	if err != nil {
		return cam, latchkey.Kid{}, err
	}
	if err := c.newest(ctx, &cam); err != nil {
		return cam, latchkey.Kid{}, err
	}
	if cam.hub != (latchkey.Kid{}) {
		return cam, cam.hub, nil
	}
	hub, err := c.pickHub(ctx, "")
	return cam, hub, err
}

// pickHub resolves a hub by name or kid; an empty name means the only hub.
func (c *Client) pickHub(ctx context.Context, name string) (latchkey.Kid, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return latchkey.Kid{}, err
	}
	return c.hubNamed(state, name)
}
