/**
 * The two mails of a pairing (spec/keys, "Pairing"): what a joiner offers, and
 * the admin's answer where the chain has its keys. Both sides' ends of both.
 */
import { type Bytes, concat, equal, own, u64, utf8, view } from './bytes';
import type { Code } from './code';
import { refuse } from './failure';
import { H, kdf } from './hash';
import { publicKeySize } from './hpke';

const offerMagic = utf8('LKO1');
const answerMagic = utf8('LKA1');
const offerSize = 4 + 1 + 32 + publicKeySize + 32 + 16;
const answerSize = 4 + 16 + 8 + 32;
const macSize = 32;

export interface Offer {
  readonly role: 'hub' | 'member';
  readonly ed: Bytes;
  readonly x: Bytes;
  /** null for a hub */
  readonly recovery: Bytes | null;
  /** the offer without its MAC, which the answer binds to */
  readonly bytes: Bytes;
}

/** What a member offers: his public keys, and 16 random bytes. */
export function memberOffer(a: { readonly ed: Bytes; readonly x: Bytes; readonly recovery: Bytes; readonly nonce: Bytes }): Offer {
  return parseOffer(concat(offerMagic, new Uint8Array([2]), a.ed, a.x, a.recovery, a.nonce));
}

/** offer ‖ MAC. */
export function sealOffer(code: Code, offer: Offer): Bytes {
  return concat(offer.bytes, kdf(code.pairingSecret(), 'pair offer', offer.bytes));
}

/** Reads offer ‖ MAC made with this code; throws Failure 'verify'. */
export function openOffer(code: Code, mail: Bytes): Offer {
  if (mail.length !== offerSize + macSize) throw refuse('pairing: an offer of the wrong length');
  const bytes = mail.slice(0, offerSize);
  if (!equal(kdf(code.pairingSecret(), 'pair offer', bytes), mail.subarray(offerSize))) {
    throw refuse('pairing: an offer made with another code');
  }
  return parseOffer(bytes);
}

function parseOffer(bytes: Bytes): Offer {
  if (!equal(bytes.subarray(0, 4), offerMagic)) throw refuse('pairing: not an offer');
  const role = bytes[4];
  const recovery = bytes.slice(37 + publicKeySize, 69 + publicKeySize);
  const none = recovery.every((x) => x === 0);
  if (!((role === 1 && none) || (role === 2 && !none))) throw refuse('pairing: role and recovery key do not fit');
  return {
    role: role === 1 ? 'hub' : 'member',
    ed: bytes.slice(5, 37),
    x: bytes.slice(37, 37 + publicKeySize),
    recovery: none ? null : recovery,
    bytes: own(bytes),
  };
}

/** answer ‖ MAC: the statement that added the joiner. */
export function sealAnswer(code: Code, offer: Offer, household: Bytes, seq: number, hash: Bytes): Bytes {
  const answer = concat(answerMagic, household, u64(seq), hash);
  const mac = kdf(code.pairingSecret(), 'pair answer', concat(H(offer.bytes), H(answer)));
  return concat(answer, mac);
}

export interface Answer {
  readonly household: Bytes;
  readonly seq: number;
  /** H(text) of the statement that added the joiner */
  readonly hash: Bytes;
}

/** Reads answer ‖ MAC made with this code for this offer; throws Failure 'verify'. */
export function openAnswer(code: Code, offer: Offer, mail: Bytes): Answer {
  if (mail.length !== answerSize + macSize) throw refuse('pairing: an answer of the wrong length');
  const answer = mail.slice(0, answerSize);
  const mac = kdf(code.pairingSecret(), 'pair answer', concat(H(offer.bytes), H(answer)));
  if (!equal(mac, mail.subarray(answerSize))) throw refuse('pairing: an answer made with another code, or to another offer');
  if (!equal(answer.subarray(0, 4), answerMagic)) throw refuse('pairing: not an answer');
  const seq = view(answer).getBigUint64(20);
  if (seq > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('pairing: no such statement');
  return { household: answer.slice(4, 20), seq: Number(seq), hash: answer.slice(28) };
}

/** What two people compare before one signs the other in: 24 digits over the whole offer. */
export function offerDigits(offer: Offer): string {
  return digitsOf(concat(utf8('latchkey/v1 offer'), new Uint8Array(1), offer.bytes));
}

/** The 24 digits that name a person's keys in a household. */
export function safetyCode(household: Bytes, ed: Bytes, x: Bytes): string {
  return digitsOf(concat(utf8('latchkey/v1 safety'), new Uint8Array(1), household, ed, x));
}

/** The first 80 bits of a hash as 24 digits. */
export function digitsOf(message: Bytes): string {
  const n = H(message).subarray(0, 10).reduce((sum, b) => (sum << 8n) | BigInt(b), 0n);
  return (n % 10n ** 24n).toString().padStart(24, '0');
}

/** Digits as they are read aloud: six groups of four. */
export function grouped(digits: string): string {
  return (digits.match(/.{4}/g) ?? []).join(' ');
}
