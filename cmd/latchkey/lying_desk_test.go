package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/proto"

	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

// C14: nothing is sealed to keys that the server names unless the staff root has
// signed for them, for support, for now, in the log. Neither words, nor reports of
// hubs, nor footage.
func TestC14LyingServer(t *testing.T) {
	if testing.Short() {
		t.Skip("records for some seconds")
	}
	d := startDemo(t)
	d.hires(t, "olga", ledger.RoleAuditor)
	l := newLiar(t, d.server)
	home := filepath.Join(t.TempDir(), "mum")
	recoverAt(t, home, l.URL, d.code).Close()
	span := recorded(t, d.client, "porch", 4e9)
	var open openTicket
	if code, words := types(t, home, &open, "ticket", "open", "hello", "--json"); code != exitDone {
		t.Fatalf("open: exit %d\n%s", code, words)
	}
	sam, olga := staffEntry(t, d.server, agentID), staffEntry(t, d.server, "olga")
	thief, _, err := note.GenerateKey(nil, "staff.invalid")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(thief)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := bytes.Cut(sam.GetNote(), []byte("\n\n"))
	forged, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*latchkeyv1.StaffEntry{
		"another root":        {Note: forged, Proof: sam.GetProof()},
		"another role":        olga,
		"another's proof":     {Note: sam.GetNote(), Proof: olga.GetProof()},
		"altered in one byte": {Note: bytes.Replace(sam.GetNote(), []byte("id "+agentID), []byte("id tam"), 1), Proof: sam.GetProof()},
	} {
		t.Run(name, func(t *testing.T) {
			sealed := false
			put := func(body []byte) proto.Message {
				sealed = true
				return &latchkeyv1.PutMessageResponse{}
			}
			l.tell(t, lie{
				answer: map[string]func([]byte) proto.Message{
					"OpenTicket": func(b []byte) proto.Message { m := decode(b, &latchkeyv1.OpenTicketResponse{}); m.Agent = e; return m },
					"GetTicket":  func(b []byte) proto.Message { m := decode(b, &latchkeyv1.GetTicketResponse{}); m.Agent = e; return m },
				},
				swallow: map[string]func([]byte) proto.Message{"PutMessage": put, "PutCapsule": put, "SendCommand": put},
			})
			for _, args := range [][]string{
				{"ticket", "open", "hello"}, {"ticket", "reply", fmt.Sprint(open.Ticket), "hello"}, {"ticket", "health", fmt.Sprint(open.Ticket)},
				{"grant", "porch", "--to", "staff:" + agentID, "--purpose", fmt.Sprintf("support:%d", open.Ticket), "--from", stamp(span.From), "--to", stamp(span.To)},
			} {
				if code, words := types(t, home, nil, args...); code != exitVerify && code != exitRefused || sealed {
					t.Errorf("%v: exit %d, sealed: %v\n%s", args, code, sealed, words)
				}
				sealed = false
			}
		})
	}
	c, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if grants, err := c.Grants(t.Context()); err != nil || len(grants) != 0 {
		t.Errorf("granted: %+v, %v", grants, err)
	}
}

// staffEntry is what a server says of somebody of staff.
func staffEntry(t *testing.T, server, id string) *latchkeyv1.StaffEntry {
	t.Helper()
	res, err := latchkeyv1connect.NewStaffServiceClient(http.DefaultClient, server).ListStaff(context.Background(), connect.NewRequest(&latchkeyv1.ListStaffRequest{Id: id}))
	if err != nil || len(res.Msg.GetStaff()) != 1 || !strings.Contains(string(res.Msg.GetStaff()[0].GetNote()), "id "+id+"\n") {
		t.Fatalf("%s: %v, %v", id, res, err)
	}
	return res.Msg.GetStaff()[0]
}
