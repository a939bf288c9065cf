// Package keys holds every private key of a household: a member's and a hub's
// signing and sealing keys, the typed code, the vault with its wraps, pairing,
// sealed commands and the machine key for files at rest. It hides the bytes of
// those keys: callers get verbs (Sign, Open, Seal, Derive) and no getters; its
// secret types do not print, log or marshal. Only hub, member and seal may
// import it. It never sees footage.
//
// The formats are those of spec/keys (protocol 2.1, 2.10 and 2.13).
package keys
