// Package chain is the household's signed record: statements (who is a member,
// which hubs and cameras there are), early removals beside them, and the other
// signed notes that hubs and members write (epoch, heads, login, command,
// directory).
//
// It is pure: no I/O, no clock, no private key. Signing goes through Signer,
// the time is an argument. Both sides import it: the cloud to refuse what no
// client would accept, hubs and clients to decide whom they trust. Format:
// docs/spec/chain.md and docs/spec/formats.md.
//
// A note is verified over the bytes it was received in and never rebuilt. The
// parsers are strict: a text has exactly one form, so whatever parses encodes
// to the same bytes again.
package chain
