package cloud

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/sequencer"
)

func (l LogConfig) withDefaults(publicURL string) LogConfig {
	if u, err := url.Parse(publicURL); l.Name == "" && err == nil {
		l.Name = u.Host
	}
	if l.Name == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		l.Name = "latchkey-" + hex.EncodeToString(b[:])
	}
	for _, d := range []struct {
		at    *time.Duration
		value time.Duration
	}{{&l.Checkpoint, time.Second}, {&l.Set, time.Hour}, {&l.SetSoon, 10 * time.Second}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	return l
}

func (s *Server) openLedger() error {
	var err error
	s.ledger, err = sequencer.Open(s.ctx, sequencer.Config{
		FS: s.cfg.FS, Dir: filepath.Join(s.cfg.DataDir, logDir), Name: s.cfg.Log.Name, Watchers: s.cfg.Log.Watchers,
		Catalog: s.catalog, Logger: s.log, HTTP: &http.Client{Timeout: requestWait},
		Checkpoint: s.cfg.Log.Checkpoint, Set: s.cfg.Log.Set, SetSoon: s.cfg.Log.SetSoon,
	})
	if err == nil {
		s.closers = append(s.closers, s.ledger)
	}
	return err
}

// LogPath is the path below which the public log's files are served.
func (s *Server) LogPath() string { return s.ledger.Policy().Path() }

func (c *chainService) GetLeaves(ctx context.Context, req *connect.Request[v1.GetLeavesRequest]) (*connect.Response[v1.GetLeavesResponse], error) {
	from := req.Msg.GetFromSeq()
	if from > 1<<62 {
		return nil, c.s.answer(ctx, fmt.Errorf("cloud: get leaves: %w: seq %d", latchkey.ErrInvalid, from))
	}
	leaves, err := c.s.catalog.Leaves(ctx, sessionOf(ctx).Household, from, maxStatements)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	res := &v1.GetLeavesResponse{Log: c.s.ledger.Policy().Origin()}
	for i, l := range leaves {
		if l.Seq != from+uint64(i) {
			return nil, c.s.answer(ctx, fmt.Errorf("cloud: get leaves: statement %d is not in the log, %d is", from+uint64(i), l.Seq))
		}
		res.Leaves = append(res.Leaves, uint64(l.Index))
	}
	return connect.NewResponse(res), nil
}

func (c *chainService) GetCompleteness(ctx context.Context, _ *connect.Request[v1.GetCompletenessRequest]) (*connect.Response[v1.GetCompletenessResponse], error) {
	h, err := c.s.catalog.Household(ctx, sessionOf(ctx).Household)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	proof, err := c.s.ledger.Completeness(ctx, h.ID, &h.LogTagKey)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetCompletenessResponse{Proof: proof}), nil
}

// servePolicy serves what a household pins when it is founded. Whoever has it
// already never asks.
func (s *Server) servePolicy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, s.ledger.Policy().String()) // the caller has gone
}

func (s *Server) serveLog(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, s.ledger.Policy().Path()) {
		s.refuse(w, r, fmt.Errorf("cloud: log: %w", latchkey.ErrNotFound))
		return
	}
	if err := s.ledger.ServeFile(w, r); err != nil {
		s.refuse(w, r, err)
	}
}

// takeSetLine takes a set note with an auditor's signature, which is what
// entitles him.
func (s *Server) takeSetLine(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
	if err != nil || !strings.HasPrefix(r.URL.Path, s.ledger.Policy().Path()) {
		s.refuse(w, r, fmt.Errorf("cloud: set: %w", latchkey.ErrNotFound))
		return
	}
	note, err := io.ReadAll(r.Body)
	if err == nil {
		err = s.ledger.AddLine(r.Context(), size, note)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
