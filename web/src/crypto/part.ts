/**
 * The sealed part seen from outside (protocol 2.5): header, strict parser, run
 * verification, padding and records. Nothing here knows a key.
 */
import { type Bytes, compare, concat, equal, hex, own, u32, utf8, view } from './bytes';
import { digest, type Verifier } from './cipher';
import { refuse } from './failure';
import { slots } from './tree';

export const headerSize = 128;
export const sigSize = 64;
export const tagSize = 16;
export const minCt = 21;
export const maxCt = 16 << 20;

const magic = utf8('LK1');
const signPrefix = concat(utf8('latchkey/v1 part'), new Uint8Array(1));
const flagRap = 1;
const flagEnd = 2;

export interface Header {
  /** decodable without earlier parts */
  readonly rap: boolean;
  /** last part of this epoch and track */
  readonly end: boolean;
  readonly slot: number;
  readonly seq: number;
  readonly ctLength: number;
  readonly epoch: Bytes;
  readonly track: Bytes;
  readonly salt: Bytes;
  readonly prev: Bytes;
  readonly commit: Bytes;
}

/** One parsed part; every field is a view into `raw`. */
export interface Part {
  readonly header: Header;
  readonly raw: Bytes;
  readonly headerBytes: Bytes;
  readonly ct: Bytes;
  readonly sig: Bytes;
}

/** Reads the first 128 bytes; throws Failure 'verify' on anything the format does not allow. */
export function parseHeader(b: Bytes): Header {
  if (b.length < headerSize) throw refuse('part: header cut off');
  const v = view(b);
  const flags = v.getUint8(3);
  if (compare(b.subarray(0, 3), magic) !== 0) throw refuse('part: wrong magic');
  if ((flags & ~(flagRap | flagEnd)) !== 0) throw refuse('part: unknown flag');
  const slot = v.getUint32(4);
  if (slot >= slots) throw refuse('part: slot outside the epoch');
  const ctLength = v.getUint32(12);
  if (ctLength < minCt || ctLength > maxCt) throw refuse('part: impossible length');
  return {
    rap: (flags & flagRap) !== 0,
    end: (flags & flagEnd) !== 0,
    slot,
    seq: v.getUint32(8),
    ctLength,
    epoch: b.subarray(16, 32),
    track: b.subarray(32, 48),
    salt: b.subarray(48, 64),
    prev: b.subarray(64, 96),
    commit: b.subarray(96, 128),
  };
}

/** The header's 128 bytes. */
export function headerBytes(h: Header): Bytes {
  const flags = (h.rap ? flagRap : 0) | (h.end ? flagEnd : 0);
  return concat(magic, new Uint8Array([flags]), u32(h.slot), u32(h.seq), u32(h.ctLength), h.epoch, h.track, h.salt, h.prev, h.commit);
}

/** Length of the whole part whose header this is. */
export function partSize(h: Header): number {
  return headerSize + h.ctLength + sigSize;
}

/** The first part of a concatenation, or null when b ends inside it. */
export function next(b: Bytes): Part | null {
  if (b.length < headerSize) return null;
  const header = parseHeader(b);
  const size = partSize(header);
  if (b.length < size) return null;
  return {
    header,
    raw: b.subarray(0, size),
    headerBytes: b.subarray(0, headerSize),
    ct: b.subarray(headerSize, headerSize + header.ctLength),
    sig: b.subarray(headerSize + header.ctLength, size),
  };
}

/** Exactly one part and no byte more. */
export function parsePart(b: Bytes): Part {
  const p = next(b);
  if (p?.raw.length !== b.length) throw refuse('part: not exactly one part');
  return p;
}

/** All parts of a concatenation; throws when the last one is cut off. */
export function split(b: Bytes): Part[] {
  const out: Part[] = [];
  for (let rest = b; rest.length > 0; ) {
    const p = next(rest);
    if (p === null) throw refuse('part: the last part is cut off');
    out.push(p);
    rest = rest.subarray(p.raw.length);
  }
  return out;
}

/** ph = H(header ‖ ct). */
export function partHash(p: Part): Promise<Bytes> {
  return digest(own(p.raw.subarray(0, p.raw.length - sigSize)));
}

/** The bytes that the epoch signer signs for a part hash. */
export function signMessage(hash: Bytes): Bytes {
  return concat(signPrefix, hash);
}

/** Where a run fails; parts before `index` may still be good under another signature. */
function broken(run: readonly Part[], index: number, why: string): Error {
  const h = run[index]?.header;
  return refuse(`part: ${why} at ${h === undefined ? index : `${hex(h.epoch)}/${hex(h.track)}/${h.seq}`}`);
}

/**
 * Checks consecutive parts of one epoch and track: seq, prev links (the first
 * against prev unless null), slots that never fall, END only last, and the
 * signature of the last part, which through the links covers them all.
 * Returns the parts' hashes. Throws Failure 'verify'.
 */
export async function verifyRun(signer: Verifier, prev: Bytes | null, run: readonly Part[]): Promise<Bytes[]> {
  const last = run[run.length - 1];
  if (last === undefined) throw refuse('part: empty run');
  const hashes = await Promise.all(run.map(partHash));
  for (let i = 0; i < run.length; i++) {
    const why = linkFault(run, hashes, i, prev);
    if (why !== null) throw broken(run, i, why);
  }
  const lastHash = hashes[hashes.length - 1];
  if (lastHash === undefined || !(await signer(last.sig, signMessage(lastHash)))) {
    throw broken(run, run.length - 1, 'signature does not hold');
  }
  return hashes;
}

function linkFault(run: readonly Part[], hashes: readonly Bytes[], i: number, first: Bytes | null): string | null {
  const h = run[i]?.header;
  if (h === undefined) return 'hole';
  if (h.end && i !== run.length - 1) return 'end before the end';
  const before = run[i - 1]?.header;
  if (before === undefined) {
    return first !== null && !equal(h.prev, first) ? 'does not follow what came before' : null;
  }
  if (!equal(h.epoch, before.epoch) || !equal(h.track, before.track)) return 'another epoch or track';
  if (h.seq !== before.seq + 1) return 'sequence broken';
  if (h.slot < before.slot) return 'time runs backward';
  const link = hashes[i - 1];
  return link === undefined || !equal(h.prev, link) ? 'does not follow what came before' : null;
}

/** Padmé: the length with its low bits rounded up, leaking O(log log n) bits. */
export function padme(n: number): number {
  if (n < 2) return n;
  const e = Math.floor(Math.log2(n));
  const s = Math.floor(Math.log2(e)) + 1;
  const step = 2 ** (e - s);
  return Math.ceil(n / step) * step;
}

/** Padded length of an inner of n bytes on a track that carries pictures or sound. */
export function paddedMedia(n: number): number {
  return Math.max(256, padme(n));
}

export const recordType = { fragment: 1, init: 2, image: 3, event: 4, embedding: 5, label: 6 } as const;

export interface PartRecord {
  readonly type: number;
  readonly data: Bytes;
}

/** Records of an opened inner; throws when one runs over or the padding is not zero. */
export function parseRecords(inner: Bytes): PartRecord[] {
  const out: PartRecord[] = [];
  const v = view(inner);
  let at = 0;
  while (at < inner.length && inner[at] !== 0) {
    if (at + 5 > inner.length) throw refuse('part: record header cut off');
    const end = at + 5 + v.getUint32(at + 1);
    if (end > inner.length) throw refuse('part: record longer than its part');
    out.push({ type: v.getUint8(at), data: inner.subarray(at + 5, end) });
    at = end;
  }
  for (; at < inner.length; at++) if (inner[at] !== 0) throw refuse('part: padding is not zero');
  return out;
}
