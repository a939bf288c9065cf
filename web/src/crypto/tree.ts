/**
 * The key trees of protocol 2.4: one per (epoch, track), depth 17, a leaf per
 * second. A HeldTree is what a reader has of one tree: some nodes, and from
 * them the leaves below and nothing else.
 */
import { type Bytes, equal } from './bytes';
import { refuse } from './failure';
import { kdf } from './hash';

export const depth = 17;
/** Seconds that one epoch can hold. */
export const slots = 1 << depth;

const bit = [new Uint8Array([0]), new Uint8Array([1])] as const;

/** A place in the tree; covers slots [index·2^(17−level), (index+1)·2^(17−level)). */
export interface Place {
  readonly level: number;
  readonly index: number;
}

export interface TreeNode extends Place {
  readonly key: Bytes;
}

export function child(key: Uint8Array, side: 0 | 1): Bytes {
  return kdf(key, 'tree', bit[side]);
}

/** The unique minimal cover of [from, until), left to right. */
export function cover(from: number, until: number): Place[] {
  if (!(from >= 0 && from < until && until <= slots)) throw new RangeError('tree: empty or outside');
  const out: Place[] = [];
  for (let a = from; a < until; ) {
    let size = a === 0 ? slots : a & -a;
    while (size > until - a) size >>>= 1;
    out.push({ level: depth - Math.log2(size), index: a / size });
    a += size;
  }
  return out;
}

/** Whether the place covers the slot. */
export function covers(p: Place, slot: number): boolean {
  return slot >>> (depth - p.level) === p.index;
}

/** The root commitment that the epoch note publishes. */
export function rootCommit(root: Uint8Array, epochAndTrack: Uint8Array): Bytes {
  return kdf(root, 'root commit', epochAndTrack);
}

/** A stretch of slots, half open. */
export interface Slots {
  readonly from: number;
  readonly until: number;
}

/** The slots that a place covers. */
export function slotsOf(p: Place): Slots {
  const size = 2 ** (depth - p.level);
  return { from: p.index * size, until: (p.index + 1) * size };
}

/** The key of a place below a node. */
export function descend(node: TreeNode, to: Place): TreeNode {
  let key = node.key;
  for (let level = node.level + 1; level <= to.level; level++) {
    key = child(key, ((to.index >>> (to.level - level)) & 1) as 0 | 1);
  }
  return { level: to.level, index: to.index, key };
}

/** Nodes held of one tree. Keys stay inside, but for grants. */
export class HeldTree {
  // Keys on the way to the leaf asked for last, so that the next second costs
  // a few HMACs instead of seventeen.
  #path: TreeNode[] = [];
  readonly #nodes: readonly TreeNode[];

  constructor(nodes: readonly TreeNode[]) {
    this.#nodes = nodes;
  }

  holds(slot: number): boolean {
    return this.#nodes.some((n) => covers(n, slot));
  }

  /** The slots that are held, joined and in order. */
  covered(): Slots[] {
    const out: { from: number; until: number }[] = [];
    for (const n of this.#widest()) {
      const { from, until } = slotsOf(n);
      const last = out[out.length - 1];
      if (last?.until === from) last.until = until;
      else out.push({ from, until });
    }
    return out;
  }

  /** For a grant: the fewest nodes for [from, until) that the held ones allow. */
  within(from: number, until: number): TreeNode[] {
    return this.#widest().flatMap((n) => {
      const held = slotsOf(n);
      const [a, b] = [Math.max(held.from, from), Math.min(held.until, until)];
      return a < b ? cover(a, b).map((p) => descend(n, p)) : [];
    });
  }

  /** The held nodes that no other held node contains, by slots. */
  #widest(): TreeNode[] {
    const sorted = [...this.#nodes].sort((a, b) => slotsOf(a).from - slotsOf(b).from || a.level - b.level);
    const out: TreeNode[] = [];
    let end = 0;
    for (const n of sorted) {
      const { from, until } = slotsOf(n);
      if (from < end) continue;
      out.push(n);
      end = until;
    }
    return out;
  }

  /** True when the root is held and matches the commitment. */
  matches(commit: Uint8Array, epochAndTrack: Uint8Array): boolean {
    const root = this.#nodes.find((n) => n.level === 0);
    return root !== undefined && equal(rootCommit(root.key, epochAndTrack), commit);
  }

  /** The key of one second; throws Failure 'verify' when the slot is not held. */
  leaf(slot: number): Bytes {
    let at = this.#start(slot);
    this.#path = this.#path.slice(0, this.#path.indexOf(at) + 1);
    while (at.level < depth) {
      const level = at.level + 1;
      const index = slot >>> (depth - level);
      at = { level, index, key: child(at.key, (index & 1) as 0 | 1) };
      this.#path.push(at);
    }
    return at.key;
  }

  /** The deepest known node above the slot, on the remembered path. */
  #start(slot: number): TreeNode {
    for (let i = this.#path.length - 1; i >= 0; i--) {
      const n = this.#path[i];
      if (n !== undefined && covers(n, slot)) return n;
    }
    const top = this.#nodes.find((n) => covers(n, slot));
    if (top === undefined || slot >= slots) throw refuse(`tree: second ${slot} is not among those held`);
    this.#path = [top];
    return top;
  }
}
