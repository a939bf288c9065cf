/** Proofs that a tag is in the set of all tags, or is not. */
import { type Bytes, concat, equal, own } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { H } from '../crypto/hash';

const maxSiblings = 256;

interface Leaf {
  readonly tag: Bytes;
  readonly value: Bytes;
}

/** What is beside the path of a tag, from the root down, and what the path ends in (null: nothing). */
export interface SetProof {
  readonly siblings: readonly Bytes[];
  readonly leaf: Leaf | null;
}

/** Reads `n(2) ‖ n × 32 ‖ 00` or `… ‖ 01 ‖ tag(32) ‖ value(32)` strictly. Throws Failure 'verify'. */
export function parseSetProof(b: Uint8Array): SetProof {
  const n = (b[0] ?? 0) * 256 + (b[1] ?? 0);
  const end = 2 + 32 * n;
  if (b.length <= end || n > maxSiblings) throw refuse('ledger: a set proof that is cut off, or too long');
  const siblings = Array.from({ length: n }, (_, i) => own(b.subarray(2 + 32 * i, 34 + 32 * i)));
  const rest = b.subarray(end + 1);
  if (b[end] === 0 && rest.length === 0) return { siblings, leaf: null };
  if (b[end] === 1 && rest.length === 64) return { siblings, leaf: { tag: own(rest.subarray(0, 32)), value: own(rest.subarray(32)) } };
  throw refuse('ledger: a set proof that ends in something else');
}

export function encodeSetProof(p: SetProof): Bytes {
  const n = p.siblings.length;
  return concat(new Uint8Array([n >>> 8, n & 255]), ...p.siblings, ...(p.leaf === null ? [new Uint8Array(1)] : [new Uint8Array([1]), p.leaf.tag, p.leaf.value]));
}

const bit = (tag: Uint8Array, d: number): number => ((tag[d >>> 3] ?? 0) >>> (7 - (d & 7))) & 1;
const split = (left: Bytes, right: Bytes): Bytes => H(new Uint8Array([3]), left, right);

/** The value of the tag in the set with this root, or null: it is not there. Throws Failure 'verify' when neither is proven. */
export function checkSetProof(p: SetProof, root: Uint8Array, tag: Uint8Array): Bytes | null {
  const { leaf } = p;
  if (leaf !== null && p.siblings.some((_, d) => bit(leaf.tag, d) !== bit(tag, d))) throw refuse('ledger: a set proof that ends in another branch');
  let h: Bytes = leaf === null ? new Uint8Array(32) : H(new Uint8Array([2]), leaf.tag, leaf.value);
  for (let d = p.siblings.length - 1; d >= 0; d--) {
    const beside = p.siblings[d] ?? new Uint8Array(32);
    h = bit(tag, d) === 1 ? split(beside, h) : split(h, beside);
  }
  if (!equal(h, root)) throw refuse('ledger: a set proof that leads to another set');
  return leaf !== null && equal(leaf.tag, tag) ? leaf.value : null;
}
