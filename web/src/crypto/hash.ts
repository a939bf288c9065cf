/**
 * H, KDF and kid of protocol 2.1. By @noble rather than WebCrypto: a tree walk
 * is 17 HMACs, and a WebCrypto call costs ten times one of them.
 */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, concat, own, utf8 } from './bytes';

/** The labels this client derives with. The complete list is protocol 2.1. */
export type Label =
  | 'tree'
  | 'root commit'
  | 'salt'
  | 'part key'
  | 'part commit'
  | 'rendezvous'
  | 'pair offer'
  | 'pair answer'
  | 'wrap'
  | 'vault'
  | 'recovery sign'
  | 'recovery id'
  | 'link seed'
  | 'link auth'
  | 'link words'
  | 'log tag'
  | 'release'
  | 'staff invite';

const zero = new Uint8Array(1);
const one = new Uint8Array([1]);

/** SHA-256 of the concatenation. */
export function H(...parts: readonly Uint8Array[]): Bytes {
  const h = sha256.create();
  for (const p of parts) h.update(p);
  return own(h.digest());
}

/** KDF(k, label, c) = HMAC-SHA-256(k, "latchkey/v1 " ‖ label ‖ 00 ‖ c ‖ 01); 32 bytes. */
export function kdf(key: Uint8Array, label: Label, context: Uint8Array): Bytes {
  const mac = hmac.create(sha256, key);
  mac.update(utf8(`latchkey/v1 ${label}`));
  return own(mac.update(zero).update(context).update(one).digest());
}

/** HMAC-SHA-256 as it is; for the secrets of a code (protocol 2.10) only. */
export function hmac256(key: Uint8Array, message: Uint8Array): Bytes {
  return own(hmac(sha256, key, message));
}

/** The short name of a raw public key, 16 bytes. */
export function kidOf(publicKey: Uint8Array): Bytes {
  return H(concat(utf8('latchkey/v1 key'), zero), publicKey).slice(0, 16);
}
