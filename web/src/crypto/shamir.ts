/**
 * A secret split two of three over GF(2^8) (spec/contacts, "Shares"): one share
 * tells nothing of it, any two give it back.
 */
import { type Bytes, equal } from './bytes';
import { random } from './cipher';
import { refuse } from './failure';
import { H } from './hash';
import { openWrap, sealContactWrapUnder, wrapKind } from './vault';

export const shareCount = 3;

/** One share: its place (1, 2 or 3) and its bytes. */
export interface Point {
  readonly x: number;
  readonly y: Bytes;
}

/** y(x) = secret ⊕ slope·x, byte by byte, with a fresh random slope. */
export function split(secret: Bytes): Point[] {
  const slope = random(secret.length);
  const points = splitAlong(secret, slope);
  slope.fill(0);
  return points;
}

export function splitAlong(secret: Bytes, slope: Bytes): Point[] {
  return Array.from({ length: shareCount }, (_, i) => ({ x: i + 1, y: secret.map((s, j) => s ^ gfMul(slope[j] ?? 0, i + 1)) }));
}

/** The secret of two different points. Points of different secrets give a third, which opens nothing. */
export function combine(p: Point, q: Point): Bytes {
  const place = (x: number): boolean => Number.isInteger(x) && x >= 1 && x <= shareCount;
  if (!place(p.x) || !place(q.x) || p.x === q.x || p.y.length !== q.y.length) throw refuse('shamir: want two different shares');
  // Lagrange at 0; in this field minus is plus.
  const scale = gfInverse(p.x ^ q.x);
  return p.y.map((y, j) => gfMul(scale, gfMul(y, q.x) ^ gfMul(q.y[j] ?? 0, p.x)));
}

/** a·b modulo x^8+x^4+x^3+x+1, without a branch or a table that depends on a secret. */
export function gfMul(a: number, b: number): number {
  let p = 0;
  for (let i = 0; i < 8; i++) {
    p ^= a & -(b & 1);
    a = ((a << 1) ^ (0x11b & -(a >>> 7))) & 0x1ff;
    b >>>= 1;
  }
  return p & 0xff;
}

/** a^254: the inverse of a, and 0 for 0. */
export function gfInverse(a: number): number {
  let inverse = 1;
  for (let i = 0; i < 254; i++) inverse = gfMul(inverse, a);
  return inverse;
}

/** Wraps the vault key under a contact secret, for the set that it was split for. */
export function sealContactWrap(secret: Bytes, set: Bytes, vk: Bytes): Promise<Bytes> {
  return sealContactWrapUnder(secret, H(set), vk);
}

/** The vault key inside the wrap of this set; throws Failure 'verify'. */
export async function openContactWrap(secret: Bytes, set: Bytes, wrap: Bytes): Promise<Bytes> {
  if (wrapKind(wrap) !== 3 || !equal(wrap.subarray(5, 37), H(set))) throw refuse('wrap: of another set of contacts');
  return openWrap(secret, wrap);
}
