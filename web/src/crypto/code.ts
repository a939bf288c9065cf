/**
 * The 32-character codes of protocol 2.10: 144 random bits and 16 check bits
 * in Crockford base32. One code serves pairing or recovery, never both.
 */
import { type Bytes, concat, equal, utf8 } from './bytes';
import { random, signer, type Signer } from './cipher';
import { Failure } from './failure';
import { H, hmac256, kdf } from './hash';

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const rawSize = 18;
const digits = 32;
const nothing = new Uint8Array();

/** A code; the private field keeps it out of logs and structured clones. */
export class Code {
  readonly #raw: Bytes;

  constructor(raw: Bytes) {
    if (raw.length !== rawSize) throw new RangeError('code: want 18 bytes');
    this.#raw = raw;
  }

  static fresh(): Code {
    return new Code(random(rawSize));
  }

  /** "XXXX-XXXX-…", to show to its owner. */
  reveal(): string {
    return (this.#digits().match(/.{4}/g) ?? []).join('-');
  }

  /** What the QR code of this code holds. */
  revealQr(): string {
    return `LK1:${this.#digits()}`;
  }

  /** What a link of this code ends in. */
  revealLink(): string {
    return this.#digits();
  }

  equals(other: Code): boolean {
    return equal(this.#raw, other.#raw);
  }

  pairingSecret(): Bytes {
    return hmac256(utf8('latchkey/v1 pairing'), this.#raw);
  }

  recoverySecret(): Bytes {
    return hmac256(utf8('latchkey/v1 recovery'), this.#raw);
  }

  /** Names the account at the server; public to it. */
  recoveryId(): Bytes {
    return kdf(this.recoverySecret(), 'recovery id', nothing).slice(0, 16);
  }

  /** The key whose public half stands in the roster. */
  recoverySigner(): Promise<Signer> {
    return signer(kdf(this.recoverySecret(), 'recovery sign', nothing));
  }

  /** The mailbox where a pairing meets; public to the server. */
  rendezvous(): Bytes {
    return kdf(this.pairingSecret(), 'rendezvous', nothing).slice(0, 16);
  }

  #digits(): string {
    const bytes = concat(this.#raw, check(this.#raw));
    let out = '';
    let acc = 0;
    let bits = 0;
    for (const b of bytes) {
      acc = (acc << 8) | b;
      for (bits += 8; bits >= 5; bits -= 5) out += alphabet[(acc >>> (bits - 5)) & 31] ?? '';
      acc &= 0xff;
    }
    return out;
  }
}

function check(raw: Bytes): Bytes {
  return H(utf8('latchkey/v1 code'), new Uint8Array(1), raw).slice(0, 2);
}

/**
 * Reads a typed or scanned code: any case, O for 0, I and L for 1, spaces and
 * dashes anywhere, perhaps after "LK1:". Throws Failure 'wrong-code', never
 * repeating what was typed.
 */
export function parseCode(typed: string): Code {
  const plain = typed.trim().toUpperCase().replace(/^LK1:/, '').replaceAll(/[\s-]/g, '');
  const mapped = plain.replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  if (mapped.length !== digits) throw new Failure('wrong-code', `code: ${mapped.length} characters instead of 32`);
  const bytes: number[] = [];
  let acc = 0;
  let bits = 0;
  for (const c of mapped) {
    const v = alphabet.indexOf(c);
    if (v < 0) throw new Failure('wrong-code', 'code: a character that codes do not use');
    acc = ((acc & 0xff) << 5) | v;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((acc >>> bits) & 255);
    }
  }
  const all = new Uint8Array(bytes);
  const raw = all.slice(0, rawSize);
  if (!equal(check(raw), all.subarray(rawSize))) throw new Failure('wrong-code', 'code: the check digits do not match');
  return new Code(raw);
}
