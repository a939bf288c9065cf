/** The log's hash tree (RFC 9162, 2.1): inclusion and growth. */
import { type Bytes, equal } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { H } from '../crypto/hash';

export interface Tree {
  /** entries */
  readonly size: number;
  readonly root: Bytes;
}

export const node = (left: Uint8Array, right: Uint8Array): Bytes => H(new Uint8Array([1]), left, right);
const half = (n: number): number => Math.floor(n / 2);

/** What the tree has of an entry. */
export function leafHash(entry: Uint8Array): Bytes {
  return H(new Uint8Array(1), entry);
}

/** Checks that the entry stands at index in the tree. Throws Failure 'verify'. */
export function checkInclusion(proof: readonly Bytes[], tree: Tree, index: number, entry: Uint8Array): void {
  checkLeaf(proof, tree, index, leafHash(entry));
}

/** The same, by the hash of the entry. */
export function checkLeaf(proof: readonly Bytes[], tree: Tree, index: number, leaf: Bytes): void {
  let [at, last] = [index, tree.size - 1];
  let h = leaf;
  if (index >= tree.size) throw refuse('ledger: an entry beyond the end of its log');
  for (const p of proof) {
    if (last === 0) throw refuse('ledger: a proof that is too long');
    if (at % 2 === 1 || at === last) {
      h = node(p, h);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      h = node(h, p);
    }
    [at, last] = [half(at), half(last)];
  }
  if (last !== 0 || !equal(h, tree.root)) throw refuse('ledger: the entry is not in the log there');
}

/** Checks that a tree begins with the one before. A log that forks or shrinks is Failure 'verify'. */
export function checkConsistency(proof: readonly Bytes[], before: Tree, now: Tree): void {
  if (before.size > now.size) throw refuse('ledger: the log has shrunk');
  if (before.size === 0 || before.size === now.size) {
    if (proof.length > 0 || (before.size > 0 && !equal(before.root, now.root))) throw refuse('ledger: two logs of one size');
    if (before.size === now.size && !equal(before.root, now.root)) throw refuse('ledger: two logs of one size');
    return;
  }
  let [at, last] = [before.size - 1, now.size - 1];
  while (at % 2 === 1) [at, last] = [half(at), half(last)];
  const path = at === 0 ? [before.root, ...proof] : [...proof];
  const first = path.shift();
  if (first === undefined) throw refuse('ledger: no proof that the log has only grown');
  let [old, grown] = [first, first];
  for (const p of path) {
    if (last === 0) throw refuse('ledger: a proof that is too long');
    if (at % 2 === 1 || at === last) {
      [old, grown] = [node(p, old), node(p, grown)];
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      grown = node(grown, p);
    }
    [at, last] = [half(at), half(last)];
  }
  if (last !== 0 || !equal(old, before.root) || !equal(grown, now.root)) throw refuse('ledger: the log does not begin with what it was');
}
