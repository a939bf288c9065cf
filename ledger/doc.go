// Package ledger is the reading side of the public log (protocol 2.11): leaves
// and their tags, checkpoints under a policy, proofs from tiles, the set of all
// households' leaves with proofs of presence and absence, and the completeness
// proof that a household checks offline.
//
// It knows no network, no clock and no key: callers bring what was fetched and
// judge how old it may be. Everything that is read is untrusted; what comes
// back without an error holds under the policy. Malformed bytes are
// latchkey.ErrInvalid; what does not hold, a malformed signed note among it, is
// latchkey.ErrVerify.
//
// The formats are C2SP's (signed-note, tlog-checkpoint, tlog-cosignature,
// tlog-tiles, tlog-proof, tlog-policy) and those of docs/spec/log.md.
package ledger
