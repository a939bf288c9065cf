package cloud_test

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// contactRows are the routes of trusted contacts: nobody in A has chosen any.
func contactRows() map[string][]row {
	const s = "POST /latchkey.v1.ContactService/"
	return map[string][]row{
		s + "SetContacts": {
			{"nothing", body(&v1.SetContactsRequest{}), "401 403 401 400 400 400 400 400"},
			{"of A, as everybody", asking(func(m *matrix, _ int) proto.Message {
				return m.a.setOf(1, someone{Person: m.people[viewer]}, someone{Person: m.people[member]}, someone{Person: m.people[porchMan]})
			}), "401 403 401 400 400 400 400 200"}, // oneself is not among the three
		},
		s + "RemoveContacts": {{"", body(&v1.RemoveContactsRequest{}), toMembers}},
		s + "GetContacts":    {{"", body(&v1.GetContactsRequest{}), "401 403 401 404 404 404 404 404"}},
		s + "ListEntrusted":  {{"", body(&v1.ListEntrustedRequest{}), toMembers}},
		s + "PutClaim": {
			{"nothing", body(&v1.PutClaimRequest{}), "401 403 401 400 400 400 400 400"},
			{"for the member, who trusts nobody", asking(func(m *matrix, role int) proto.Message {
				return &v1.PutClaimRequest{Note: m.claim(role)}
			}), "401 403 401 403 403 403 403 403"},
		},
		s + "ListClaims": {{"", body(&v1.ListClaimsRequest{}), toMembers}},
		s + "StopClaim": {
			{"no claim", body(&v1.StopClaimRequest{Claim: make([]byte, 16)}), "401 403 401 404 404 404 404 404"},
		},
		s + "PutShare": {
			{"no claim", body(&v1.PutShareRequest{Claim: make([]byte, 16)}), "401 403 401 404 404 404 404 404"},
		},
		s + "PollClaim": {
			{"nothing", body(&v1.PollClaimRequest{}), malformed},
			{"with the admin's own key", asking(func(m *matrix, _ int) proto.Message {
				return &v1.PollClaimRequest{Login: m.adminsLogin()}
			}), "401 401 401 401 401 401 401 401"},
		},
		s + "FinishClaim": {
			{"nothing", body(&v1.FinishClaimRequest{}), malformed},
			{"with the admin's own key", asking(func(m *matrix, _ int) proto.Message {
				return &v1.FinishClaimRequest{Login: m.adminsLogin(), Note: m.a.Chain[1]}
			}), "401 401 401 401 401 401 401 401"},
		},
	}
}

func (m *matrix) adminsLogin() []byte {
	c := m.a.challenge(m.T, m.a.Admin)
	return must[[]byte](m.T)(m.a.Login(m.a.Admin, c.GetServer(), c.GetNonce()))
}

// claim is signed by the role, for the member, or for the admin where that is
// himself.
func (m *matrix) claim(role int) []byte {
	by, of := m.people[admin], m.people[member]
	if m.people[role] != nil {
		by = m.people[role]
	}
	if by == of {
		of = m.people[admin]
	}
	k := m.a.newKeys()
	text := must[[]byte](m.T)(chain.Claim{
		Household: m.a.ID(), By: by.Kid(), Member: of.Kid(), Set: [16]byte(bytes.Repeat([]byte{1}, 16)),
		Ed: k.ed.Public(), X: k.x, Recovery: k.recovery.Public(), Time: time.Now().Unix(),
	}.Text())
	return chain.SignNote(text, by.Key)
}
