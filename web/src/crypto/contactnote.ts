/**
 * The two notes of trusted contacts (spec/contacts): a share, which its owner
 * signs, and a claim, by which a contact says that somebody with new keys is a
 * member who has lost his own.
 */
import { type Bytes, b64, concat, equal, hex, utf8 } from './bytes';
import type { Signer } from './cipher';
import type { ChainState } from './chain';
import { refuse } from './failure';
import { H, kidOf } from './hash';
import { publicKeySize, type SealingKey } from './hpke';
import { openLetter, sealLetter } from './letter';
import { composeText, LineReader, type Note, parseNote, signNote, verifyNote } from './note';
import { digitsOf } from './pairing';
import { type Point, shareCount } from './shamir';

const zero = new Uint8Array(1);

export interface Share {
  readonly household: Bytes;
  /** the owner */
  readonly by: Bytes;
  readonly to: Bytes;
  readonly set: Bytes;
  readonly point: Point;
  readonly note: Note;
}

/** Signs a point as its owner's share note and seals it to a contact. */
export async function sealShare(owner: Signer, point: Point, a: { household: Bytes; set: Bytes; to: Bytes; x: Bytes; now: number }): Promise<Bytes> {
  const text = composeText('share', [
    ['household', b64(a.household)],
    ['by', b64(kidOf(owner.publicKey))],
    ['to', b64(a.to)],
    ['set', b64(a.set)],
    ['x', String(point.x)],
    ['share', b64(point.y)],
    ['time', String(a.now)],
  ]);
  const note = await signNote(text, owner);
  const letter = await sealLetter(a.household, a.x, note);
  note.fill(0);
  return letter;
}

/** Opens a letter and reads the share in it. It is believed only after verifyShare. */
export async function openShare(household: Bytes, keys: readonly SealingKey[], letter: Bytes): Promise<Share> {
  const share = parseShare(parseNote(await openLetter(household, keys, letter)));
  if (!equal(share.household, household)) throw refuse('share: of another household');
  return share;
}

export function parseShare(note: Note): Share {
  const r = new LineReader(note, 'share');
  const household = r.bytes('household', 16);
  const by = r.bytes('by', 16);
  const to = r.bytes('to', 16);
  const set = r.bytes('set', 16);
  const x = r.number('x');
  if (x < 1 || x > shareCount) throw refuse('share: no such place');
  const y = r.bytes('share', 32);
  r.number('time');
  r.end();
  return { household, by, to, set, point: { x, y }, note };
}

/** Checks that the owner of the set signed the share; throws Failure 'verify'. */
export async function verifyShare(share: Share, owner: Bytes): Promise<void> {
  if (!equal(kidOf(owner), share.by)) throw refuse('share: another member’s');
  await verifyNote(share.note, owner);
}

/** The owner's note, as it was signed, sealed to another key. */
export function shareTo(share: Share, x: Bytes): Promise<Bytes> {
  return sealLetter(share.household, x, share.note.raw);
}

/** What a claim names besides who says it and when. */
export interface Claimed {
  readonly household: Bytes;
  /** the lost key */
  readonly member: Bytes;
  readonly set: Bytes;
  readonly ed: Bytes;
  readonly x: Bytes;
  readonly recovery: Bytes;
}

export interface Claim extends Claimed {
  readonly by: Bytes;
  readonly time: number;
  readonly note: Note;
}

/** One id, one set of keys: H(…)[0:16] over everything that is claimed. */
export function claimId(c: Claimed): Bytes {
  return H(concat(utf8('latchkey/v1 claim'), zero), c.household, c.member, c.set, c.ed, c.x, c.recovery).slice(0, 16);
}

/** The 24 digits over the new keys, which a contact compares with whoever he helps. */
export function claimDigits(k: { readonly ed: Bytes; readonly x: Bytes; readonly recovery: Bytes }): string {
  return digitsOf(concat(utf8('latchkey/v1 claim digits'), zero, k.ed, k.x, k.recovery));
}

export function signClaim(c: Claimed, now: number, contact: Signer): Promise<Bytes> {
  const text = composeText('claim', [
    ['household', b64(c.household)],
    ['by', b64(kidOf(contact.publicKey))],
    ['member', b64(c.member)],
    ['set', b64(c.set)],
    ['ed', b64(c.ed)],
    ['x', b64(c.x)],
    ['recovery', b64(c.recovery)],
    ['time', String(now)],
  ]);
  return signNote(text, contact);
}

export function parseClaim(note: Note): Claim {
  const r = new LineReader(note, 'claim');
  const household = r.bytes('household', 16);
  const by = r.bytes('by', 16);
  const member = r.bytes('member', 16);
  const set = r.bytes('set', 16);
  const ed = r.bytes('ed', 32);
  const x = r.bytes('x', publicKeySize);
  const recovery = r.bytes('recovery', 32);
  const time = r.number('time');
  r.end();
  if (equal(by, member)) throw refuse('claim: nobody vouches for himself');
  if (equal(ed, recovery)) throw refuse('claim: the recovery key is the signing key');
  return { household, by, member, set, ed, x, recovery, time, note };
}

/** Holds a claim against the chain: false when somebody in it has gone, or a key is in use; throws when the signature is none. */
export async function checkClaim(state: ChainState, c: Claim): Promise<boolean> {
  const contact = state.members.get(hex(c.by));
  if (!equal(c.household, state.household)) throw refuse('claim: of another household');
  if (contact === undefined || !state.members.has(hex(c.member))) return false;
  await verifyNote(c.note, contact.ed);
  const used = [...state.members.values()].flatMap((m) => [m.ed, m.x, m.recovery]).concat([...state.hubs.values()].flatMap((h) => [h.ed, h.x]));
  return ![c.ed, c.x, c.recovery].some((k) => used.some((u) => equal(u, k)));
}
