package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
)

// version is what a server had of a household at one time, and how a client
// looked that had seen it.
type version struct {
	vault []byte
	home  string
}

// TestC24OlderVersions replays every older version of roster and vault to a client
// of every later state: none goes back (claim C24).
func TestC24OlderVersions(t *testing.T) {
	d := startDemo(t)
	s := &scene{demo: d, liar: newLiar(t, d.server), home: filepath.Join(t.TempDir(), "ann")}
	var now version
	honest := lie{answer: map[string]func([]byte) proto.Message{
		"GetVault": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetVaultResponse{})
			now.vault = m.Vault
			return m
		},
	}}
	s.liar.tell(t, honest)
	var all []version
	for i := range 4 {
		if i > 0 {
			if _, err := d.client.AddCamera(t.Context(), member.NewCamera{Name: fmt.Sprintf("shed %d", i), URL: "rtsp://127.0.0.1:1/none"}); err != nil {
				t.Fatal(err)
			}
		}
		c := s.person(t)
		if _, err := c.Household(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Close()
		v := version{vault: now.vault, home: filepath.Join(t.TempDir(), "then")}
		if err := os.CopyFS(v.home, os.DirFS(s.home)); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	tried := 0
	for i, client := range all {
		for j, old := range all[:i] {
			for what, replay := range map[string]lie{
				"roster": {answer: map[string]func([]byte) proto.Message{"GetChain": func(body []byte) proto.Message {
					m := decode(body, &latchkeyv1.GetChainResponse{})
					m.Notes = nil // it asks from its newest statement on, which an older server does not have
					return m
				}}},
				"vault": {answer: map[string]func([]byte) proto.Message{"GetVault": func(body []byte) proto.Message {
					m := decode(body, &latchkeyv1.GetVaultResponse{})
					m.Vault = old.vault
					return m
				}}},
			} {
				if what == "vault" && bytes.Equal(old.vault, client.vault) {
					continue
				}
				tried++
				s.liar.tell(t, replay)
				copied := filepath.Join(t.TempDir(), "again")
				if err := os.CopyFS(copied, os.DirFS(client.home)); err != nil {
					t.Fatal(err)
				}
				c, err := member.Open(member.Options{Home: copied})
				if err == nil {
					_, err = c.Household(t.Context())
					c.Close()
				}
				if !errors.Is(err, latchkey.ErrVerify) {
					t.Errorf("%s of version %d to a client of version %d: err = %v, want %v", what, j, i, err, latchkey.ErrVerify)
				}
			}
		}
	}
	if tried < 6 {
		t.Errorf("%d versions were replayed: this would prove nothing", tried)
	}
}
