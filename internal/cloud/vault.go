package cloud

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Forms of the sealed objects that the server stores (spec/keys, "Vault" and
// "Letters"): it looks at their heads only, to refuse what no client could open.
const (
	vaultMagic    = "LKV1"
	vaultHead     = 40
	vaultKidAt    = 8
	wrapMagic     = "LKW1"
	wrapSize      = 101
	wrapPasskey   = 1
	wrapRecovery  = 2
	wrapKindAt    = 4
	wrapHashAt    = 5
	capsuleMagic  = "LKC1"
	letterMagic   = "LKS1"
	maskMagic     = "LKM1"
	sealedKidAt   = 4
	sealedHead    = sealedKidAt + latchkey.IDSize + 1120
	sealedTagSize = 16
)

// checkSealed checks the form of an object that is sealed to one of kids:
// magic ‖ kid ‖ enc ‖ ct, at most limit bytes.
func checkSealed(magic string, b []byte, limit int, kids ...latchkey.Kid) error {
	if len(b) < sealedHead+sealedTagSize || len(b) > limit || string(b[:len(magic)]) != magic {
		return fmt.Errorf("%w: want an %s object of at most %d bytes", latchkey.ErrInvalid, magic, limit)
	}
	to := latchkey.Kid(b[sealedKidAt : sealedKidAt+latchkey.IDSize])
	for _, k := range kids {
		if k == to {
			return nil
		}
	}
	return fmt.Errorf("%w: the %s object is sealed to somebody else", latchkey.ErrInvalid, magic)
}

// parseVault checks the form of a vault of the member kid.
func parseVault(vault []byte, wraps [][]byte, recovery []byte, kid latchkey.Kid) (catalog.Vault, error) {
	out := catalog.Vault{Kid: kid, Vault: vault, Wraps: wraps}
	if len(vault) < vaultHead+sealedTagSize || string(vault[:len(vaultMagic)]) != vaultMagic {
		return out, fmt.Errorf("cloud: vault: %w: not an %s object", latchkey.ErrInvalid, vaultMagic)
	}
	if latchkey.Kid(vault[vaultKidAt:vaultKidAt+latchkey.IDSize]) != kid {
		return out, fmt.Errorf("cloud: vault: %w: it is another member's", latchkey.ErrInvalid)
	}
	out.Version = binary.BigEndian.Uint32(vault[len(vaultMagic):])
	if len(recovery) != 0 {
		if len(recovery) != latchkey.IDSize {
			return out, fmt.Errorf("cloud: vault: %w: recovery id of %d bytes", latchkey.ErrInvalid, len(recovery))
		}
		out.RecoveryID = [16]byte(recovery)
	}
	return out, nil
}

// checkWraps checks a full set of wraps: one of them is of kind recovery.
func checkWraps(wraps [][]byte) error {
	hasRecovery := false
	for _, w := range wraps {
		if err := checkWrap(w); err != nil {
			return err
		}
		hasRecovery = hasRecovery || w[wrapKindAt] == wrapRecovery
	}
	if len(wraps) > catalog.MaxWraps || !hasRecovery {
		return fmt.Errorf("cloud: vault: %w: want 1 to %d wraps, one of them by the recovery code", latchkey.ErrInvalid, catalog.MaxWraps)
	}
	return nil
}

// checkWrap checks the form of one wrap: its kind and its credential fit.
func checkWrap(w []byte) error {
	if len(w) != wrapSize || string(w[:len(wrapMagic)]) != wrapMagic {
		return fmt.Errorf("cloud: vault: %w: not an %s object", latchkey.ErrInvalid, wrapMagic)
	}
	credential := latchkey.Hash(w[wrapHashAt : wrapHashAt+latchkey.HashSize])
	switch kind := w[wrapKindAt]; {
	case kind == wrapPasskey && credential != latchkey.Hash{}, kind == wrapRecovery && credential == latchkey.Hash{}:
		return nil
	default:
		return fmt.Errorf("cloud: vault: %w: a wrap of kind %d whose credential does not fit", latchkey.ErrInvalid, kind)
	}
}

// parsePut checks a request to store the vault of the member kid.
func parsePut(m *v1.PutVaultRequest, household latchkey.HouseholdID, kid latchkey.Kid) (catalog.Vault, error) {
	v, err := parseVault(m.GetVault(), m.GetWraps(), m.GetRecoveryId(), kid)
	v.Household = household
	switch {
	case err != nil:
		return v, err
	case v.Version <= m.GetExpectedVersion():
		return v, fmt.Errorf("cloud: put vault: %w: version %d does not follow %d", latchkey.ErrInvalid, v.Version, m.GetExpectedVersion())
	case m.GetExpectedVersion() == 0 && (len(v.Wraps) == 0 || v.RecoveryID == [16]byte{}):
		return v, fmt.Errorf("cloud: put vault: %w: the first vault comes with its wraps and a recovery id", latchkey.ErrInvalid)
	case len(v.Wraps) == 0:
		return v, nil
	}
	return v, checkWraps(v.Wraps)
}

func (a *accountService) GetVault(ctx context.Context, _ *connect.Request[v1.GetVaultRequest]) (*connect.Response[v1.GetVaultResponse], error) {
	s := sessionOf(ctx)
	v, err := a.s.catalog.GetVault(ctx, s.Household, s.Kid)
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetVaultResponse{Vault: v.Vault, Wraps: v.Wraps, Version: v.Version}), nil
}

// purposeWraps is what the touch is for that new wraps and passkeys need.
func purposeWraps() latchkey.Hash { return sha256.Sum256([]byte("wraps")) }

func (a *accountService) PutVault(ctx context.Context, req *connect.Request[v1.PutVaultRequest]) (*connect.Response[v1.PutVaultResponse], error) {
	s, m := sessionOf(ctx), req.Msg
	v, err := parsePut(m, s.Household, s.Kid)
	if err == nil {
		err = a.keepsRecovery(ctx, v, m.GetExpectedVersion())
	}
	if err == nil && len(v.Wraps) > 0 {
		err = a.s.stepUp(ctx, s, purposeWraps(), m.GetStepUp())
	}
	if err == nil {
		err = a.s.catalog.PutVault(ctx, v, m.GetExpectedVersion())
	}
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutVaultResponse{}), nil
}

// keepsRecovery: a recovery id leads to the account, the recovery key in the
// chain opens it. A new id comes with the rekey that brings its key, or a code
// would open half.
func (a *accountService) keepsRecovery(ctx context.Context, v catalog.Vault, expected uint32) error {
	if expected == 0 || v.RecoveryID == ([16]byte{}) {
		return nil
	}
	had, err := a.s.catalog.GetVault(ctx, v.Household, v.Kid)
	if err == nil && had.RecoveryID != v.RecoveryID {
		err = fmt.Errorf("cloud: put vault: %w: a recovery id changes with its key, by a rekey", latchkey.ErrRefused)
	}
	if errors.Is(err, latchkey.ErrNotFound) {
		return fmt.Errorf("cloud: put vault: %w", latchkey.ErrConflict)
	}
	return err
}
