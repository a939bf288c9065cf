package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

// liveLies do to the live socket what footageLies do to recordings.
func (s *scene) liveLies(t *testing.T) {
	pass := func(msg []byte) [][]byte { return [][]byte{msg} }
	at := func(n int, what func(msg []byte) [][]byte) func(int, []byte) [][]byte {
		return func(i int, msg []byte) [][]byte {
			if i == n {
				return what(msg)
			}
			return pass(msg)
		}
	}
	var held []byte
	tests := []struct {
		name   string
		live   func(int, []byte) [][]byte
		notice string // empty: refused
	}{
		{"drop", at(30, func([]byte) [][]byte { return nil }), "missing"},
		{"duplicate", at(30, func(m []byte) [][]byte { return [][]byte{m, m} }), ""},
		{"reorder", func(i int, m []byte) [][]byte {
			switch i {
			case 30:
				held = bytes.Clone(m)
				return nil
			case 31:
				return [][]byte{m, held}
			}
			return pass(m)
		}, ""},
		{"replay an earlier part", at(30, func(m []byte) [][]byte { return [][]byte{m, s.porch[len(s.porch)/2].Raw} }), ""},
		{"replay an earlier epoch", at(30, func(m []byte) [][]byte { return [][]byte{m, s.earlier[0].Raw} }), ""},
		{"splice another track", at(30, func(m []byte) [][]byte { return [][]byte{s.driveway[0].Raw, m} }), ""},
		{"splice another household", at(30, func(m []byte) [][]byte { return [][]byte{s.neighbour[0], m} }), ""},
		{"flip a bit", at(30, func(m []byte) [][]byte { m[len(m)/2] ^= 4; return [][]byte{m} }), ""},
		{"flip a bit of the signature", at(30, func(m []byte) [][]byte { m[len(m)-3] ^= 4; return [][]byte{m} }), ""},
		{"cut a part", at(30, func(m []byte) [][]byte { return [][]byte{m[:len(m)-1]} }), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.liar.tell(t, lie{live: tt.live})
			told, err := s.watch(t, tt.notice)
			for try := 0; told == "skipped" && try < 3; try++ {
				// A machine too slow to follow is skipped honestly; that hides the lie.
				told, err = s.watch(t, tt.notice)
			}
			if tt.notice == "" && !errors.Is(err, latchkey.ErrVerify) {
				t.Errorf("err = %v, want %v", err, latchkey.ErrVerify)
			}
			if tt.notice != "" && told != tt.notice {
				t.Errorf("told %q (err %v), want %q", told, err, tt.notice)
			}
		})
	}
}

// watch looks at the porch until the notice comes; empty waits for an error.
// It returns the newest notice.
func (s *scene) watch(t *testing.T, notice string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	told := ""
	err := s.person(t).Live(ctx, member.LiveRequest{Camera: "porch", Notice: func(n member.Notice) {
		if told == notice && notice != "" {
			return // it came; what follows is the end of this watch
		}
		if told = n.Kind; told == notice {
			cancel()
		}
	}}, func(member.Media) error { return nil })
	return told, err
}
