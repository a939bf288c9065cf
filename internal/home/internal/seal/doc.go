// Package seal holds the key trees of footage: it seals parts for an epoch and
// opens them again. It hides roots, tree nodes, leaves and the epoch signer;
// callers hand in plaintext records and get sealed parts, or the other way
// round. Only hub (Epoch) and member (Opener) may import it. It does no I/O and
// asks no clock.
//
// Formats and rules: spec/parts, spec/epochs, spec/capsules (protocol 2.4 to 2.8).
package seal
