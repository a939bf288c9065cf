package cloud_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// someone is a member of the household, signed in.
type someone struct {
	*hometest.Person
	contact latchkeyv1connect.ContactServiceClient
}

func (s someone) kid() []byte { k := s.Key.Kid(); return k[:] }

func contactClient(a *api) latchkeyv1connect.ContactServiceClient {
	bearer := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			if a.token != "" {
				r.Header().Set("Authorization", "Bearer "+a.token)
			}
			return next(ctx, r)
		}
	})
	return latchkeyv1connect.NewContactServiceClient(http.DefaultClient, a.url, connect.WithInterceptors(bearer))
}

// joins makes a member of the household and signs him in.
func (h *house) joins(t *testing.T) someone {
	t.Helper()
	p, raw, err := h.AddMember(hometest.Rights{Role: chain.RoleMember})
	try(t, err)
	h.append(t, raw)
	return someone{Person: p, contact: contactClient(newAPI(h.url, signIn(t, h.url, p, p.Key)))}
}

func letterTo(h *house, x []byte) []byte {
	kid := chain.KidOf(x)
	return append(append([]byte("LKS1"), kid[:]...), h.Rand.Bytes(1120+300)...)
}

// setOf is a right request to trust three others.
func (h *house) setOf(set byte, to ...someone) *v1.SetContactsRequest {
	id := bytes.Repeat([]byte{set}, 16)
	credential := sha256.Sum256(id)
	m := &v1.SetContactsRequest{Set: id, Wrap: append(append([]byte("LKW1\x03"), credential[:]...), h.Rand.Bytes(64)...)}
	for _, s := range to {
		m.Letters = append(m.Letters, &v1.Letter{Kid: s.kid(), Body: letterTo(h, s.X)})
	}
	return m
}

// newKeys are what somebody comes back with.
type newKeys struct {
	ed, recovery hometest.Key
	x            []byte
}

func (h *house) newKeys() newKeys {
	return newKeys{ed: h.Rand.Key(), recovery: h.Rand.Key(), x: h.Rand.Bytes(chain.XSize)}
}

func (h *house) claimFor(t *testing.T, by, member someone, set byte, k newKeys, at time.Time) []byte {
	t.Helper()
	c := chain.Claim{
		Household: h.ID(), By: by.Key.Kid(), Member: member.Key.Kid(), Set: [16]byte(bytes.Repeat([]byte{set}, 16)),
		Ed: k.ed.Public(), X: k.x, Recovery: k.recovery.Public(), Time: at.Unix(),
	}
	return chain.SignNote(must[[]byte](t)(c.Text()), by.Key)
}

func (s someone) putClaim(t *testing.T, note []byte) ([]byte, error) {
	t.Helper()
	res, err := s.contact.PutClaim(t.Context(), connect.NewRequest(&v1.PutClaimRequest{Note: note}))
	if err != nil {
		return nil, err
	}
	return res.Msg.GetClaim(), nil
}

func (s someone) claims(t *testing.T) []*v1.ClaimInfo {
	t.Helper()
	return must[*connect.Response[v1.ListClaimsResponse]](t)(s.contact.ListClaims(t.Context(), connect.NewRequest(&v1.ListClaimsRequest{}))).Msg.GetClaims()
}

func (s someone) share(t *testing.T, claim, letter []byte) error {
	t.Helper()
	_, err := s.contact.PutShare(t.Context(), connect.NewRequest(&v1.PutShareRequest{Claim: claim, Letter: letter}))
	return err
}

func (h *house) poll(t *testing.T, k hometest.Key) (*v1.PollClaimResponse, error) {
	t.Helper()
	c := h.challenge(t, k)
	res, err := contactClient(newAPI(h.url, "")).PollClaim(t.Context(), connect.NewRequest(&v1.PollClaimRequest{
		Login: must[[]byte](t)(h.Login(k, c.GetServer(), c.GetNonce())),
	}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// people are Ann, who trusts ben, carl and dora, and eve, whom nobody asked.
func trusting(t *testing.T, wait time.Duration) (h *house, ann, ben, carl, dora, eve someone) {
	t.Helper()
	h = found(t, startServer(t, cloud.Config{ContactWait: wait}).URL, 1, 1)
	ann, ben, carl, dora, eve = h.joins(t), h.joins(t), h.joins(t), h.joins(t), h.joins(t)
	_, err := ann.contact.SetContacts(t.Context(), connect.NewRequest(h.setOf(1, ben, carl, dora)))
	try(t, err)
	return h, ann, ben, carl, dora, eve
}

func TestContactSets(t *testing.T) {
	h, ann, ben, carl, dora, eve := trusting(t, time.Hour)
	set := func(m *v1.SetContactsRequest) error {
		_, err := ann.contact.SetContacts(t.Context(), connect.NewRequest(m))
		return err
	}
	edit := func(change func(*v1.SetContactsRequest)) *v1.SetContactsRequest {
		m := h.setOf(2, ben, carl, dora)
		change(m)
		return m
	}
	for name, m := range map[string]*v1.SetContactsRequest{
		"nothing":          {},
		"two letters":      h.setOf(2, ben, carl),
		"four letters":     h.setOf(2, ben, carl, dora, eve),
		"one twice":        h.setOf(2, ben, ben, dora),
		"oneself":          h.setOf(2, ann, ben, carl),
		"a stranger":       h.setOf(2, ben, carl, someone{Person: &hometest.Person{Key: h.Rand.Key(), X: ben.X}}),
		"a passkey's wrap": edit(func(m *v1.SetContactsRequest) { m.Wrap[4] = 1 }),
		"a short wrap":     edit(func(m *v1.SetContactsRequest) { m.Wrap = m.Wrap[:100] }),
		"a short set":      edit(func(m *v1.SetContactsRequest) { m.Set = m.Set[:15] }),
		"another's letter": edit(func(m *v1.SetContactsRequest) { m.Letters[0].Body = m.Letters[1].Body }),
		"no letter":        edit(func(m *v1.SetContactsRequest) { m.Letters[0].Body = []byte("LKS1") }),
		"a long letter":    edit(func(m *v1.SetContactsRequest) { m.Letters[0].Body = append(m.Letters[0].Body, make([]byte, 4096)...) }),
	} {
		if err := set(m); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	entrusted := func(s someone) []*v1.Entrusted {
		return must[*connect.Response[v1.ListEntrustedResponse]](t)(s.contact.ListEntrusted(t.Context(), connect.NewRequest(&v1.ListEntrustedRequest{}))).Msg.GetEntrusted()
	}
	if e := entrusted(ben); len(e) != 1 || !bytes.Equal(e[0].GetOwner(), ann.kid()) || len(e[0].GetLetter()) == 0 {
		t.Errorf("ben keeps %v", e)
	}
	if e := entrusted(eve); len(e) != 0 {
		t.Errorf("eve keeps %v", e)
	}
	_, err := ben.contact.GetContacts(t.Context(), connect.NewRequest(&v1.GetContactsRequest{}))
	wantCode(t, err, connect.CodeNotFound)

	// Carl is removed: the set is dead, its letters are gone, ann is told.
	h.append(t, must[[]byte](t)(h.RemoveMember(carl.Person)))
	got := must[*connect.Response[v1.GetContactsResponse]](t)(ann.contact.GetContacts(t.Context(), connect.NewRequest(&v1.GetContactsRequest{}))).Msg
	if !got.GetDead() || len(got.GetContacts()) != 3 {
		t.Errorf("after a contact was removed: %v", got)
	}
	if e := entrusted(ben); len(e) != 0 {
		t.Errorf("ben keeps %v of a dead set", e)
	}
	_, err = ben.putClaim(t, h.claimFor(t, ben, ann, 1, h.newKeys(), time.Now()))
	wantCode(t, err, connect.CodePermissionDenied)
	try(t, set(h.setOf(3, ben, dora, eve)))
	if e := entrusted(eve); len(e) != 1 {
		t.Errorf("eve keeps %v", e)
	}
	_, err = ann.contact.RemoveContacts(t.Context(), connect.NewRequest(&v1.RemoveContactsRequest{}))
	try(t, err)
	if e := entrusted(eve); len(e) != 0 {
		t.Errorf("eve keeps %v of a set that was given up", e)
	}
}

func TestClaims(t *testing.T) {
	h, ann, ben, carl, dora, eve := trusting(t, time.Hour)
	k := h.newKeys()
	now := time.Now()
	for name, tc := range map[string]struct {
		who  someone
		note []byte
		code connect.Code
	}{
		"nobody's contact":     {eve, h.claimFor(t, eve, ann, 1, k, now), connect.CodePermissionDenied},
		"another's note":       {carl, h.claimFor(t, ben, ann, 1, k, now), connect.CodePermissionDenied},
		"another set":          {ben, h.claimFor(t, ben, ann, 2, k, now), connect.CodePermissionDenied},
		"an old note":          {ben, h.claimFor(t, ben, ann, 1, k, now.Add(-11*time.Minute)), connect.CodePermissionDenied},
		"for who has no set":   {ben, h.claimFor(t, ben, carl, 1, k, now), connect.CodePermissionDenied},
		"a key that is in use": {ben, h.claimFor(t, ben, ann, 1, newKeys{ed: k.ed, recovery: k.recovery, x: dora.X}, now), connect.CodePermissionDenied},
		"tampered":             {ben, bytes.Replace(h.claimFor(t, ben, ann, 1, k, now), []byte("\ntime "), []byte("\ntime 1"), 1), connect.CodePermissionDenied},
		"no claim":             {ben, h.Chain[0], connect.CodeInvalidArgument},
	} {
		if _, err := tc.who.putClaim(t, tc.note); connect.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	id := must[[]byte](t)(ben.putClaim(t, h.claimFor(t, ben, ann, 1, k, now)))
	same := must[[]byte](t)(carl.putClaim(t, h.claimFor(t, carl, ann, 1, k, now)))
	if !bytes.Equal(id, same) {
		t.Error("two contacts' claims for the same keys differ")
	}
	for _, s := range []someone{ann, eve} {
		got := s.claims(t)
		if len(got) != 1 || len(got[0].GetNotes()) != 2 || got[0].GetState() != v1.ClaimState_CLAIM_STATE_OPEN ||
			got[0].GetUntilMs()-got[0].GetFirstMs() != time.Hour.Milliseconds() {
			t.Errorf("claims: %v", got)
		}
	}
	wantCode(t, ben.share(t, id, letterTo(h, k.x)), connect.CodePermissionDenied) // the wait is not over
	if res, err := h.poll(t, k.ed); err != nil || len(res.GetShares())+len(res.GetVault())+len(res.GetWrap())+len(res.GetChain()) != 0 {
		t.Errorf("before the wait is over: %v %v", res, err)
	}
	if _, err := h.poll(t, h.Rand.Key()); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("a stranger polls: %v", err)
	}
	if _, err := h.poll(t, k.recovery); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("the recovery key polls: %v", err)
	}

	stop := func(s someone) error {
		_, err := s.contact.StopClaim(t.Context(), connect.NewRequest(&v1.StopClaimRequest{Claim: id}))
		return err
	}
	wantCode(t, stop(eve), connect.CodePermissionDenied)
	try(t, stop(ann))
	wantCode(t, stop(ann), connect.CodeAborted)
	_, err := ben.putClaim(t, h.claimFor(t, ben, ann, 1, k, now)) // replayed
	wantCode(t, err, connect.CodePermissionDenied)
	if got := eve.claims(t); got[0].GetState() != v1.ClaimState_CLAIM_STATE_STOPPED || !bytes.Equal(got[0].GetStoppedBy(), ann.kid()) {
		t.Errorf("after the stop: %v", got)
	}
	// An admin stops too; open claims of one member are few.
	var last []byte
	for range 3 {
		last = must[[]byte](t)(ben.putClaim(t, h.claimFor(t, ben, ann, 1, h.newKeys(), now)))
	}
	_, err = ben.putClaim(t, h.claimFor(t, ben, ann, 1, h.newKeys(), now))
	wantCode(t, err, connect.CodeResourceExhausted)
	_, err = contactClient(h.admin).StopClaim(t.Context(), connect.NewRequest(&v1.StopClaimRequest{Claim: last}))
	try(t, err)
	// New people: what was claimed under the old set is over.
	_, err = ann.contact.SetContacts(t.Context(), connect.NewRequest(h.setOf(2, ben, carl, eve)))
	try(t, err)
	for _, c := range eve.claims(t) {
		if c.GetState() == v1.ClaimState_CLAIM_STATE_OPEN {
			t.Errorf("still open: %v", c)
		}
	}
}

func TestShares(t *testing.T) {
	h, ann, ben, carl, dora, _ := trusting(t, time.Millisecond)
	k := h.newKeys()
	id := must[[]byte](t)(ben.putClaim(t, h.claimFor(t, ben, ann, 1, k, time.Now())))
	time.Sleep(5 * time.Millisecond)
	wantCode(t, carl.share(t, id, letterTo(h, k.x)), connect.CodePermissionDenied) // has not confirmed
	wantCode(t, ben.share(t, id, letterTo(h, dora.X)), connect.CodeInvalidArgument)
	wantCode(t, ben.share(t, bytes.Repeat([]byte{9}, 16), letterTo(h, k.x)), connect.CodeNotFound)
	try(t, ben.share(t, id, letterTo(h, k.x)))
	if res := must[*v1.PollClaimResponse](t)(h.poll(t, k.ed)); len(res.GetShares())+len(res.GetWrap()) != 0 {
		t.Error("one share alone is handed out")
	}
	_, err := carl.putClaim(t, h.claimFor(t, carl, ann, 1, k, time.Now()))
	try(t, err)
	try(t, carl.share(t, id, letterTo(h, k.x)))
	// Stopped at the last moment: nothing is handed out.
	_, err = ann.contact.StopClaim(t.Context(), connect.NewRequest(&v1.StopClaimRequest{Claim: id}))
	try(t, err)
	if res := must[*v1.PollClaimResponse](t)(h.poll(t, k.ed)); len(res.GetShares())+len(res.GetWrap())+len(res.GetVault()) != 0 ||
		res.GetClaim().GetState() != v1.ClaimState_CLAIM_STATE_STOPPED {
		t.Errorf("a stopped claim hands out: %v", res)
	}
	wantCode(t, carl.share(t, id, letterTo(h, k.x)), connect.CodePermissionDenied)
}

// TestFinishClaim: two shares, the lost key's rekey of exactly the claimed
// keys, and the member is back with a device of his; nobody else is.
func TestFinishClaim(t *testing.T) {
	h, ann, ben, carl, _, eve := trusting(t, time.Millisecond)
	vault, wrap, recovery := ann.Vault(1)
	annAPI := newAPI(h.url, signIn(t, h.url, ann.Person, ann.Key))
	_, err := annAPI.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery}))
	try(t, err)
	k := h.newKeys()
	var id []byte
	for _, s := range []someone{ben, carl} {
		id = must[[]byte](t)(s.putClaim(t, h.claimFor(t, s, ann, 1, k, time.Now())))
	}
	rekey := func(k newKeys, by hometest.Key) []byte {
		text := must[[]byte](t)(chain.Rekey{
			Head: chain.Head{Household: h.ID(), Seq: h.State.Seq + 1, Prev: h.State.Hash, Time: time.Now().Unix(), By: by.Kid(), Salt: h.Rand.ID()},
			Kid:  ann.Kid(), Ed: k.ed.Public(), X: k.x, Recovery: k.recovery.Public(),
		}.Text())
		return chain.SignNote(text, by)
	}
	back := &hometest.Person{Home: h.Home, Key: k.ed, Recovery: k.recovery, X: k.x, Device: h.Rand.Device()}
	next, nextWrap, nextID := back.Vault(2)
	put := &v1.PutVaultRequest{Vault: next, ExpectedVersion: 1, Wraps: [][]byte{nextWrap}, RecoveryId: nextID}
	finish := func(note []byte, put *v1.PutVaultRequest) error {
		c := h.challenge(t, k.ed)
		_, err := contactClient(newAPI(h.url, "")).FinishClaim(t.Context(), connect.NewRequest(&v1.FinishClaimRequest{
			Login: must[[]byte](t)(h.Login(k.ed, c.GetServer(), c.GetNonce())), Note: note, Vault: put,
		}))
		return err
	}
	wantCode(t, finish(rekey(k, ann.Key), put), connect.CodePermissionDenied) // no share is there
	time.Sleep(5 * time.Millisecond)
	try(t, ben.share(t, id, letterTo(h, k.x)))
	wantCode(t, finish(rekey(k, ann.Key), put), connect.CodePermissionDenied) // one share alone
	try(t, carl.share(t, id, letterTo(h, k.x)))
	got := must[*v1.PollClaimResponse](t)(h.poll(t, k.ed))
	if len(got.GetShares()) != 2 || !bytes.Equal(got.GetVault(), vault) || len(got.GetWrap()) != 101 || len(got.GetChain()) != len(h.Chain) {
		t.Fatalf("%d shares, vault of %d bytes, %d statements", len(got.GetShares()), len(got.GetVault()), len(got.GetChain()))
	}
	own, _, _ := ann.Vault(2)
	for name, tc := range map[string]struct {
		note []byte
		put  *v1.PutVaultRequest
	}{
		"other keys":         {rekey(h.newKeys(), ann.Key), put},
		"by another":         {rekey(k, eve.Key), put},
		"another statement":  {h.Chain[1], put},
		"no vault":           {rekey(k, ann.Key), nil},
		"the old kid":        {rekey(k, ann.Key), &v1.PutVaultRequest{Vault: own, ExpectedVersion: 1, Wraps: put.Wraps, RecoveryId: nextID}},
		"no wrap":            {rekey(k, ann.Key), &v1.PutVaultRequest{Vault: next, ExpectedVersion: 1, RecoveryId: nextID}},
		"no recovery id":     {rekey(k, ann.Key), &v1.PutVaultRequest{Vault: next, ExpectedVersion: 1, Wraps: put.Wraps}},
		"as the first vault": {rekey(k, ann.Key), &v1.PutVaultRequest{Vault: next, Wraps: put.Wraps, RecoveryId: nextID}},
	} {
		if err := finish(tc.note, tc.put); connect.CodeOf(err) != connect.CodePermissionDenied && connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	try(t, finish(rekey(k, ann.Key), put))
	wantCode(t, finish(rekey(k, ann.Key), put), connect.CodePermissionDenied)
	if c := eve.claims(t); c[0].GetState() != v1.ClaimState_CLAIM_STATE_DONE {
		t.Errorf("after the return: %v", c)
	}
	_, err = annAPI.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{}))
	wantCode(t, err, connect.CodeUnauthenticated)
	in := newAPI(h.url, signIn(t, h.url, back, k.ed))
	stored := must[*connect.Response[v1.GetVaultResponse]](t)(in.account.GetVault(t.Context(), connect.NewRequest(&v1.GetVaultRequest{})))
	if !bytes.Equal(stored.Msg.GetVault(), next) || len(stored.Msg.GetWraps()) != 1 {
		t.Error("another vault is stored")
	}
	second := &hometest.Person{Home: h.Home, Key: k.ed, Device: h.Rand.Device()}
	if _, err := trySignIn(t, h.url, second, k.ed); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("the new key enrols a second device: %v", err)
	}
	_, err = contactClient(in).GetContacts(t.Context(), connect.NewRequest(&v1.GetContactsRequest{}))
	wantCode(t, err, connect.CodeNotFound)
}
