package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

const (
	footageChunk = 4 << 20  // bytes asked for at once
	footageMax   = 17 << 20 // bytes a server may answer: 16 MiB, or one largest part
	footageTries = 4        // attempts at one chunk while the server is away
)

// place is a position in a track: the first part to be sent.
type place struct {
	epoch latchkey.EpochID
	seq   uint32
}

// query asks for parts of one track (docs/spec, "Footage").
type query struct {
	track latchkey.TrackID
	at    *place    // where to go on; nil: by time
	from  time.Time // without at: begins with the last random-access part at or before it
	to    time.Time // exclusive, by slot; zero: no end
	max   int       // bytes; 0: footageChunk
}

// url is that of the query below base, such as https://cloud.example/v1/footage.
func (q query) url(base string) string {
	v := url.Values{}
	if q.at != nil {
		v.Set("epoch", q.at.epoch.String())
		v.Set("seq", strconv.FormatUint(uint64(q.at.seq), 10))
	} else {
		v.Set("from", seconds(q.from))
	}
	if !q.to.IsZero() {
		v.Set("to", seconds(q.to))
	}
	size := q.max
	if size == 0 {
		size = footageChunk
	}
	v.Set("max", strconv.Itoa(size))
	return base + "/" + q.track.String() + "?" + v.Encode()
}

// seconds writes a time as unix seconds with milliseconds.
func seconds(t time.Time) string {
	ms := t.UnixMilli()
	return fmt.Sprintf("%d.%03d", ms/1000, ms%1000)
}

// fetch gets one chunk of parts and where the next begins (nil at the end). It
// tries again while the server cannot be reached. The parts are parsed and not
// verified.
func (c *Client) fetch(ctx context.Context, q query) ([]part.Part, *place, error) {
	return fetch(ctx, c.get, q.url(c.api.origin+"/v1/footage"))
}

// getter sends one GET and returns an answer of 200.
type getter func(ctx context.Context, url string) (*http.Response, error)

func fetch(ctx context.Context, get getter, url string) ([]part.Part, *place, error) {
	wait := 200 * time.Millisecond
	for try := 1; ; try++ {
		parts, next, err := fetchOnce(ctx, get, url)
		if err == nil || ctx.Err() != nil || try == footageTries || !errors.Is(err, latchkey.ErrUnavailable) {
			return parts, next, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, nil, err
		}
		wait *= 2
	}
}

func fetchOnce(ctx context.Context, get getter, url string) ([]part.Part, *place, error) {
	res, err := get(ctx, url)
	if err != nil {
		return nil, nil, fmt.Errorf("member: get footage: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, footageMax+1))
	if err != nil {
		return nil, nil, fmt.Errorf("member: get footage: %w: the answer broke off: %v", latchkey.ErrUnavailable, err)
	}
	if len(body) > footageMax {
		return nil, nil, fmt.Errorf("member: get footage: %w: more than %d bytes", latchkey.ErrInvalid, footageMax)
	}
	parts, err := parseParts(body)
	if err != nil {
		return nil, nil, fmt.Errorf("member: get footage: %w: %w", latchkey.ErrVerify, err)
	}
	next, err := parsePlace(res.Header.Get("Latchkey-Next"))
	return parts, next, err
}

// get sends one authenticated GET; it signs in again once.
func (c *Client) get(ctx context.Context, target string) (*http.Response, error) {
	stale := ""
	for {
		token, err := c.session(ctx, stale)
		if err != nil {
			return nil, c.obey(err)
		}
		res, err := c.api.get(ctx, target, token)
		if err == nil {
			return res, nil
		}
		if !errors.Is(err, latchkey.ErrUnauthenticated) || stale != "" || errors.Is(err, ErrDeviceEnded) {
			return nil, c.obey(err)
		}
		stale = token
	}
}

// parseParts splits a concatenation; bytes that end inside a part are an error.
func parseParts(b []byte) ([]part.Part, error) {
	var parts []part.Part
	for len(b) > 0 {
		p, rest, err := part.Next(b)
		if err != nil {
			return nil, err
		}
		parts, b = append(parts, p), rest
	}
	return parts, nil
}

// parsePlace reads the Latchkey-Next header, "<epoch>:<seq>"; empty is the end.
func parsePlace(s string) (*place, error) {
	if s == "" {
		return nil, nil
	}
	epoch, seq, ok := strings.Cut(s, ":")
	id, err := latchkey.ParseEpochID(epoch)
	n, seqErr := strconv.ParseUint(seq, 10, 32)
	if !ok || err != nil || seqErr != nil {
		return nil, fmt.Errorf("member: get footage: %w: Latchkey-Next %q", latchkey.ErrInvalid, s)
	}
	return &place{epoch: id, seq: uint32(n)}, nil
}
