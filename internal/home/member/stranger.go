package member

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// Shared is what somebody without an account, or a person with a card, has opened with a link: verified
// down to the notes of the epochs. Close it.
type Shared struct {
	From, Camera, Note string // the words of who made the link; proven is only that it was he
	Zone               string // time zone of the words; may be empty
	Span               Span   // of footage, of the picture
	Until              time.Time
	Sound              bool
	Own                bool      // it is to a person, with his own keys
	Log                string    // origin of the public log
	Witnesses          int       // that its policy names
	Logged             time.Time // by then the grant stood in the log; zero without witnesses
	Stray              int       // entries beyond the grant; discarded

	opener *seal.Opener
	epochs map[latchkey.EpochID]*epoch
	tracks []latchkey.TrackID
	get    getter
	base   string // of footage
}

// ParseLinkURL splits what a sharer hands on into the server's origin and the
// fragment, which holds the secret. Errors do not quote it.
func ParseLinkURL(link string) (origin, fragment string, err error) {
	address, rest, ok := strings.Cut(strings.TrimSpace(link), "#")
	u, parseErr := url.Parse(address)
	if !ok || parseErr != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.TrimSuffix(u.Path, "/") != linkPath || u.RawQuery != "" || u.User != nil || strings.Contains(u.Host, "%") {
		return "", "", fmt.Errorf("member: open link: %w: a link looks like https://cloud.example%s#LK1.…", latchkey.ErrInvalid, linkPath)
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), "#" + rest, nil
}

// OpenLink opens a link in the order of spec/keys, "Links": it needs no account,
// pins nothing, and trusts the server with nothing. What does not hold is named,
// and is latchkey.ErrVerify; a link that has ended is latchkey.ErrNotFound, one
// to a person is latchkey.ErrRefused: OpenOwnLink opens it.
func OpenLink(ctx context.Context, client *http.Client, link string) (*Shared, error) {
	return openLink(ctx, client, link, nil)
}

// OpenOwnLink opens a link, also one to this member as a person, with his own
// keys. The server of the link may be another than his.
func (c *Client) OpenOwnLink(ctx context.Context, client *http.Client, link string) (*Shared, error) {
	return openLink(ctx, client, link, c.sealing())
}

func openLink(ctx context.Context, client *http.Client, link string, own []*keys.Sealing) (*Shared, error) {
	origin, fragment, err := ParseLinkURL(link)
	if err != nil {
		return nil, err
	}
	secret, err := keys.ParseLink(fragment)
	if err != nil {
		return nil, fmt.Errorf("member: open link: %w", err)
	}
	defer secret.Erase()
	if !secret.ToPerson() {
		own = []*keys.Sealing{secret.Sealing()}
	} else if len(own) == 0 {
		return nil, fmt.Errorf("member: open link: %w: it is to one person, whose keys are not on this machine", latchkey.ErrRefused)
	}
	a, err := newAPI(origin, client)
	if err != nil {
		return nil, err
	}
	kid := secret.Kid()
	res, err := invoke(ctx, "open link", "", a.link.OpenLink, &latchkeyv1.OpenLinkRequest{Kid: kid[:]})
	if err != nil {
		return nil, err
	}
	o := &linkOpening{api: a, secret: secret, own: own, res: res}
	s, err := o.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("member: open link: %w", err)
	}
	s.Own = secret.ToPerson()
	s.base, s.get = origin+"/v1/links/"+kid.String(), a.getPlain
	return s, nil
}

// linkOpening is one share object on its way through the checks.
type linkOpening struct {
	api    *api
	secret *keys.Link
	own    []*keys.Sealing // of which the grant is to one
	res    *latchkeyv1.OpenLinkResponse

	note   chain.Note
	grant  chain.AddGrant
	words  keys.LinkWords
	policy *ledger.Policy
}

// open runs the checks in their order.
func (o *linkOpening) open(ctx context.Context) (*Shared, error) {
	s := &Shared{epochs: map[latchkey.EpochID]*epoch{}}
	for _, step := range []struct {
		what string
		do   func(context.Context, *Shared) error
	}{
		{"the grant", o.checkMAC}, {"the words", o.openWords}, {"the log's policy", o.checkPolicy}, {"the grant", o.checkGrant},
		{"the proof that the grant stands in the public log", o.checkProof}, {"the keys", o.openCapsule}, {"an epoch", o.addEpochs},
	} {
		if err := step.do(ctx, s); err != nil {
			if !errors.Is(err, latchkey.ErrUnavailable) && !errors.Is(err, latchkey.ErrNotFound) && !errors.Is(err, latchkey.ErrRefused) && !errors.Is(err, latchkey.ErrVerify) && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
			}
			s.Close()
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return s, nil
}

func (o *linkOpening) checkMAC(context.Context, *Shared) error {
	var err error
	if o.note, err = chain.ParseNote(o.res.Note); err != nil {
		return err
	}
	return o.secret.CheckMAC(o.note.Hash(), o.res.Mac)
}

func (o *linkOpening) openWords(_ context.Context, s *Shared) error {
	var err error
	o.words, err = o.secret.OpenWords(o.res.Words)
	s.From, s.Camera, s.Note, s.Zone = o.words.From, o.words.Camera, o.words.Note, o.words.Zone
	return err
}

// checkPolicy takes the server's policy if it is the one that the sharer has
// pinned: the server cannot choose who watches its log for a stranger.
func (o *linkOpening) checkPolicy(ctx context.Context, s *Shared) error {
	text, err := readFile(ctx, o.api.getPlain, o.api.origin+"/log/policy", ledger.MaxPolicy)
	if err != nil {
		return err
	}
	if chain.TextHash(text) != o.words.Policy {
		return fmt.Errorf("%w: the server names other keys or watchers of its log than the sharer knew", latchkey.ErrVerify)
	}
	if o.policy, err = ledger.ParsePolicy(string(text)); err != nil {
		return err
	}
	s.Log, s.Witnesses = o.policy.Origin(), len(o.policy.Witnesses)
	return nil
}

// checkGrant reads the statement. Its signature is that of somebody whom a
// stranger does not know; the MAC says that who made the link meant it.
func (o *linkOpening) checkGrant(_ context.Context, s *Shared) error {
	st, err := chain.ParseStatement(o.note)
	if err != nil {
		return err
	}
	g, ok := st.(chain.AddGrant)
	kind := chain.GrantLink
	if o.secret.ToPerson() {
		kind = chain.GrantContact
	}
	to := func(s *keys.Sealing) bool { return s.Kid() == g.To && string(s.Public()) == string(g.Key) }
	switch {
	case !ok || g.Kind != kind || kind == chain.GrantLink && !slices.ContainsFunc(o.own, to):
		return fmt.Errorf("%w: it is not to this link", latchkey.ErrVerify)
	case !slices.ContainsFunc(o.own, to):
		return fmt.Errorf("%w: it is to somebody else's key", latchkey.ErrRefused)
	case g.Standing || g.Capsule == (latchkey.Hash{}) || g.Release != (latchkey.Kid{}):
		return fmt.Errorf("%w: it is of a kind that links do not have", latchkey.ErrVerify)
	case time.Now().Unix() >= g.Until:
		return fmt.Errorf("%w: its time was over at %s", latchkey.ErrNotFound, time.Unix(g.Until, 0).UTC().Format(time.RFC3339))
	}
	o.grant, s.Until = g, time.Unix(g.Until, 0).UTC()
	return nil
}

func (o *linkOpening) checkProof(_ context.Context, s *Shared) error {
	proof, err := ledger.ParseProof(o.res.Proof)
	if err != nil {
		return err
	}
	if len(proof.Extra) != ledger.TagSize {
		return fmt.Errorf("%w: it names no tag", latchkey.ErrVerify)
	}
	entry := ledger.Entry{Tag: ledger.Tag(proof.Extra), Value: o.note.Hash()}
	checkpoint, err := proof.Check(o.policy, entry.Encode())
	s.Logged = checkpoint.Witnessed
	return err
}

func (o *linkOpening) openCapsule(_ context.Context, s *Shared) error {
	g := o.grant
	s.opener = seal.NewOpener(g.Household)
	_, err := s.opener.AddGrant(g.Grant, chain.Grant{To: g.To, Kind: g.Kind, Tracks: g.Tracks, Until: g.Until, Capsule: g.Capsule},
		o.res.Capsule, o.own)
	return err
}

// addEpochs admits the epochs and holds the keys of the capsule against them.
func (o *linkOpening) addEpochs(_ context.Context, s *Shared) error {
	var hubs []ed25519.PublicKey
	for _, vkey := range o.grant.Hubs {
		_, pub, err := chain.ParseVKey(vkey)
		if err != nil {
			return err
		}
		hubs = append(hubs, pub)
	}
	if len(o.res.Epochs) == 0 {
		return fmt.Errorf("%w: the server has none for this time any more", latchkey.ErrNotFound)
	}
	for _, e := range o.res.Epochs {
		note, stray, err := s.opener.AddGrantedEpoch(e.Note, hubs)
		if err != nil {
			return err
		}
		s.Stray += stray
		n, err := chain.ParseNote(e.Note)
		if err != nil {
			return err
		}
		s.epochs[note.Epoch] = &epoch{note: note, hash: n.Hash()}
		if len(e.Heads) > 0 {
			heads, err := s.opener.CheckHeads(e.Heads)
			if err != nil || heads.Epoch != note.Epoch {
				return fmt.Errorf("%w: the heads do not belong to epoch %v (%v)", latchkey.ErrVerify, note.Epoch, err)
			}
		}
	}
	s.Span = linesSpan(o.grant.Tracks)
	for _, l := range o.grant.Tracks {
		if !slices.Contains(s.tracks, l.Track) {
			s.tracks = append(s.tracks, l.Track)
		}
	}
	s.Sound = len(s.tracks) > 1
	return nil
}

// Close erases the keys.
func (s *Shared) Close() {
	if s.opener != nil {
		s.opener.Close()
	}
}

// Export writes one plain mp4 of what was shared. Every part was opened with the
// link's keys and verified; what is missing is reported. A span without footage
// is latchkey.ErrNotFound.
func (s *Shared) Export(ctx context.Context, w io.WriteSeeker, progress func(seconds int64)) (ExportReport, error) {
	video, audio, err := s.kinds(ctx)
	if err != nil {
		return ExportReport{}, fmt.Errorf("member: open link: %w", err)
	}
	var sound iter.Seq2[pack.Piece, error]
	if audio != nil {
		sound = audio.pieces(ctx, s.Span, nil)
	}
	done, err := pack.Export(w, video.pieces(ctx, s.Span, progress), sound, s.Span.From, s.Span.To)
	if err != nil {
		return ExportReport{}, fmt.Errorf("member: open link: %w", err)
	}
	report := ExportReport{Span: Span{done.From, done.To}, Parts: video.parts, Bytes: video.bytes, VideoFrames: done.VideoSamples, Gaps: gapsOfParts(s.Span, video, nil)}
	if audio != nil {
		report.Parts, report.Bytes, report.AudioParts = report.Parts+audio.parts, report.Bytes+audio.bytes, audio.parts
	}
	return report, nil
}

// kinds finds out which track is the picture and which the sound (nil: none):
// a statement does not say, the first init record of each does.
func (s *Shared) kinds(ctx context.Context) (video, audio *reader, err error) {
	for _, t := range s.tracks {
		info, err := s.firstInit(ctx, t)
		switch {
		case errors.Is(err, latchkey.ErrNotFound): // nothing of it was recorded
		case err != nil:
			return nil, nil, err
		case info.Video && video == nil:
			video = s.newReader(t)
		case !info.Video && audio == nil:
			audio = s.newReader(t)
		}
	}
	if video == nil {
		return nil, nil, pack.ErrNoPicture
	}
	return video, audio, nil
}

// firstInit is what the first init record of a track says.
func (s *Shared) firstInit(ctx context.Context, track latchkey.TrackID) (pack.Info, error) {
	found := errors.New("found")
	var info pack.Info
	err := s.newReader(track).read(ctx, query{from: s.Span.From, to: s.Span.To, max: probeChunk}, func(o opened) error {
		init, _ := o.media()
		if init == nil {
			return nil
		}
		var err error
		if info, err = pack.ParseInit(init); err != nil {
			return err
		}
		return found
	})
	switch {
	case errors.Is(err, found):
		return info, nil
	case err == nil:
		err = pack.ErrNoPicture
	}
	return info, err
}

// probeChunk is what is asked for to learn of which kind a track is, in bytes.
const probeChunk = 256 << 10

func (s *Shared) newReader(track latchkey.TrackID) *reader {
	return newReader(source{
		opener: s.opener,
		fetch: func(ctx context.Context, q query) ([]part.Part, *place, error) {
			return fetch(ctx, s.get, q.url(s.base))
		},
		epoch: func(_ context.Context, id latchkey.EpochID) (*epoch, error) {
			if e := s.epochs[id]; e != nil {
				return e, nil
			}
			return nil, fmt.Errorf("%w: the server has footage of epoch %v and not its note", latchkey.ErrVerify, id)
		},
	}, track)
}

// readFile reads a public file of at most most bytes.
func readFile(ctx context.Context, get getter, target string, most int64) ([]byte, error) {
	res, err := get(ctx, target)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("%w: the answer broke off: %v", latchkey.ErrUnavailable, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", latchkey.ErrInvalid, most)
	}
	return b, nil
}
