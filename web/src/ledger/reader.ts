/**
 * Reads a log's files (C2SP tlog-tiles) through a function that the caller
 * brings. Nothing that comes back rests on the word of whoever serves them.
 */
import { type Bytes, concat, own } from '../crypto/bytes';
import { Failure, isKind, refuse } from '../crypto/failure';
import { H } from '../crypto/hash';
import type { Checkpoint, Policy } from './policy';
import type { Proof } from './proof';
import { checkConsistency, checkLeaf, leafHash, node, type Tree } from './tree';

/** Gets a file by its path below the log's address. Throws Failure 'not-found' where there is none. */
export type Fetch = (path: string) => Promise<Uint8Array>;

/** A checkpoint with the note that it was read from. */
export interface SignedCheckpoint extends Checkpoint {
  readonly raw: Bytes;
}

/** Hashes, or entries, a tile. */
const width = 256;
/** How many bundles are searched for a set: a log publishes one seconds after a statement, and every hour. */
const setScan = 16;
const maxExtra = 4096;

export class Log {
  readonly #policy: Policy;
  readonly #fetch: Fetch;

  constructor(policy: Policy, fetch: Fetch) {
    this.#policy = policy;
    this.#fetch = fetch;
  }

  /** The newest checkpoint, held against the policy. Throws Failure 'verify'. */
  async checkpoint(): Promise<SignedCheckpoint> {
    const raw = own(await this.#fetch('checkpoint'));
    return { ...(await this.#policy.checkpoint(raw)), raw };
  }

  /** Proves from tiles that there is an entry at index. Throws Failure 'verify' when the tiles are not those of c. */
  async prove(c: SignedCheckpoint, index: number): Promise<Proof> {
    if (index < 0 || index >= c.size) throw new Failure('not-found', `ledger: entry ${index} of a log of ${c.size}`);
    const tiles = new Tiles(this.#fetch, c.size);
    const hashes = await path(tiles, index, 0, c.size);
    checkLeaf(hashes, c, index, await tiles.node(0, index));
    return { extra: new Uint8Array(), index, hashes, checkpoint: c.raw };
  }

  /** Checks that the log of now begins with the whole log of before. A fork, or one that shrank, is Failure 'verify'. */
  async extends(before: Tree, now: Tree): Promise<void> {
    const grew = before.size > 0 && before.size < now.size;
    checkConsistency(grew ? await growth(new Tiles(this.#fetch, now.size), before.size, 0, now.size, true) : [], before, now);
  }

  /** The entries from index first on, each held against the tree. */
  async *entries(c: Tree, first: number): AsyncGenerator<Bytes, void, void> {
    for (let at = Math.max(first, 0); at < c.size; ) {
      const n = Math.floor(at / width);
      const bundle = await this.#bundle(c, n);
      for (const e of bundle.slice(at - n * width)) yield e;
      at = n * width + bundle.length;
    }
  }

  /**
   * Proves that a set note stands in a log that somebody else has named, as a hub
   * does in its heads: the newest of its last 4,096 entries. Null: there is none.
   * Throws Failure 'verify' when it is no state of this log.
   */
  async namedSet(named: Tree): Promise<Proof | null> {
    const c = { ...named, witnessed: null, raw: this.#policy.namedText(named) };
    for (let n = Math.floor((named.size - 1) / width), left = setScan; n >= 0 && left > 0; n--, left--) {
      const entries = await this.#bundle(c, n);
      for (let i = entries.length - 1; i >= 0; i--) {
        const entry = entries[i];
        if (entry === undefined || entry.length > maxExtra || !(await this.#isSet(entry))) continue;
        return { ...(await this.prove(c, n * width + i)), extra: entry };
      }
    }
    return null;
  }

  #isSet(entry: Bytes): Promise<boolean> {
    return this.#policy.loggedSet(entry).then(() => true, () => false);
  }

  /** One bundle. The path of its first entry is made of all the others, so they are checked with it. */
  async #bundle(c: Tree, n: number): Promise<Bytes[]> {
    const want = Math.min(width, c.size - n * width);
    const entries = parseBundle(await tile(this.#fetch, 'entries', n, want)).slice(0, want);
    if (entries.length < want) throw refuse('ledger: fewer entries than there should be');
    const leaves = entries.map(leafHash);
    const tiles = new Tiles(this.#fetch, c.size, [n, concat(...leaves)]);
    const [first = new Uint8Array()] = leaves;
    checkLeaf(await path(tiles, n * width, 0, c.size), c, n * width, first);
    return entries;
  }
}

/** Splits an entry bundle: up to 256 entries, each after its length in two bytes. Throws Failure 'verify'. */
export function parseBundle(b: Uint8Array): Bytes[] {
  const out: Bytes[] = [];
  for (let at = 0; at < b.length; ) {
    const end = at + 2 + (b[at] ?? 0) * 256 + (b[at + 1] ?? 0);
    if (out.length === width || at + 2 > b.length || end > b.length) throw refuse('ledger: a bundle that is cut off, or too long');
    out.push(own(b.subarray(at + 2, end)));
    at = end;
  }
  return out;
}

/** The path of tile n of a level, of which only the first entries are there. */
export function tilePath(level: number | 'entries', n: number, entries = width): string {
  const digits = String(n).padStart(Math.ceil(String(n).length / 3) * 3, '0');
  const groups = digits.match(/.{3}/g) ?? [];
  const name = groups.map((g, i) => (i < groups.length - 1 ? `x${g}` : g)).join('/');
  return `tile/${level}/${name}${entries < width ? `.p/${entries}` : ''}`;
}

/** Fetches a tile; a part of one that has filled up since may be gone, and then the whole one has it. */
async function tile(fetch: Fetch, level: number | 'entries', n: number, entries: number): Promise<Uint8Array> {
  try {
    return await fetch(tilePath(level, n, entries));
  } catch (err) {
    if (entries === width || !isKind(err, 'not-found')) throw err;
    return fetch(tilePath(level, n));
  }
}

/** The hashes of a log as its tiles have them: not checked, what is made of them is. */
class Tiles {
  readonly #fetch: Fetch;
  readonly #size: number;
  readonly #seen = new Map<string, Promise<Uint8Array>>();

  /** Known are the hashes of tile n of the entries, where they are computed. */
  constructor(fetch: Fetch, size: number, known?: readonly [number, Uint8Array]) {
    this.#fetch = fetch;
    this.#size = size;
    if (known !== undefined) this.#seen.set(`0/${known[0]}`, Promise.resolve(known[1]));
  }

  #tile(level: number, n: number): Promise<Uint8Array> {
    const name = `${level}/${n}`;
    const entries = Math.min(width, Math.floor(this.#size / width ** level) - n * width);
    const got = this.#seen.get(name) ?? tile(this.#fetch, level, n, entries);
    this.#seen.set(name, got);
    return got;
  }

  /** The hash over the 2^level entries from index·2^level on, all of which are there. */
  async node(level: number, index: number): Promise<Bytes> {
    const [at, count] = [index * 2 ** (level % 8), 2 ** (level % 8)];
    const n = Math.floor(at / width);
    const b = await this.#tile(Math.floor(level / 8), n);
    const from = 32 * (at - n * width);
    if (b.length < from + 32 * count) throw refuse('ledger: a tile that is cut off');
    let row = Array.from({ length: count }, (_, i) => own(b.subarray(from + 32 * i, from + 32 * (i + 1))));
    while (row.length > 1) row = row.filter((_, i) => i % 2 === 0).map((left, i) => node(left, row[2 * i + 1] ?? left));
    return row[0] ?? H();
  }
}

/** The largest power of two smaller than n, as an exponent. */
function below(n: number): number {
  let e = 0;
  while (2 ** (e + 1) < n) e++;
  return e;
}

/** The hash over the entries lo to hi. */
async function range(tiles: Tiles, lo: number, hi: number): Promise<Bytes> {
  const e = below(hi - lo);
  if (hi - lo === 1) return tiles.node(0, lo);
  if (hi - lo === 2 ** (e + 1)) return tiles.node(e + 1, lo / 2 ** (e + 1));
  const mid = lo + 2 ** e;
  return node(await range(tiles, lo, mid), await range(tiles, mid, hi));
}

/** RFC 9162, 2.1.3: what is beside the path of entry m, from the leaf up. */
async function path(tiles: Tiles, m: number, lo: number, hi: number): Promise<Bytes[]> {
  if (hi - lo === 1) return [];
  const mid = lo + 2 ** below(hi - lo);
  return m < mid ? [...(await path(tiles, m, lo, mid)), await range(tiles, mid, hi)] : [...(await path(tiles, m, mid, hi)), await range(tiles, lo, mid)];
}

/** RFC 9162, 2.1.4: what shows that the tree of hi entries begins with that of m. */
async function growth(tiles: Tiles, m: number, lo: number, hi: number, whole: boolean): Promise<Bytes[]> {
  if (m === hi) return whole ? [] : [await range(tiles, lo, hi)];
  const mid = lo + 2 ** below(hi - lo);
  return m <= mid ? [...(await growth(tiles, m, lo, mid, whole)), await range(tiles, mid, hi)] : [...(await growth(tiles, m, mid, hi, false)), await range(tiles, lo, mid)];
}
