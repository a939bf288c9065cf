/**
 * The capsule of a two-key grant (spec/keys, "Two keys"): keys that open nothing
 * until a hub has released them, one by one.
 */
import { type Bytes, compare, concat, equal, u32 } from '../crypto/bytes';
import { type Entry, openCapsule, parseCapsule } from '../crypto/epoch';
import { releasedLevel } from '../crypto/entry';
import { refuse } from '../crypto/failure';
import { openObject, purpose, type SealingKey } from '../crypto/hpke';
import { slotsOf } from '../crypto/tree';

/** The name of an entry: 36 bytes, epoch ‖ track ‖ level and index. */
export function entryName(e: { readonly epoch: Bytes; readonly track: Bytes; readonly level: number; readonly index: number }): Bytes {
  return concat(e.epoch, e.track, u32(e.level * 2 ** 24 + e.index));
}

export class Masked {
  readonly #household: Bytes;
  readonly #grant: Bytes;
  readonly #key: SealingKey;
  readonly #entries: readonly Entry[];

  constructor(household: Bytes, grant: Bytes, key: SealingKey, entries: readonly Entry[]) {
    this.#household = household;
    this.#grant = grant;
    this.#key = key;
    this.#entries = entries;
  }

  /** Opens the capsule; its hash was compared before. Throws Failure 'verify'. */
  static async open(household: Bytes, grant: Bytes, key: SealingKey, capsule: Bytes): Promise<Masked> {
    const entries = parseCapsule(await openCapsule([key], household, grant, capsule));
    if (entries.some((e) => e.level < releasedLevel)) throw refuse('desk: a node that is too wide for two keys');
    return new Masked(household, grant, key, entries);
  }

  /** The entries that meet [from, until), unix seconds, in the order of their names. `start` knows when an epoch (of a note that was checked) begins. */
  within(start: (epoch: Bytes) => number | null, from: number, until: number): Entry[] {
    return this.#entries.filter((e) => {
      const begin = start(e.epoch);
      const at = slotsOf(e);
      return begin !== null && begin + at.from < until && from < begin + at.until;
    }).sort((a, b) => compare(entryName(a), entryName(b)));
  }

  /** What a hub has released, uncovered; `stray` counts what is not of the grant. Throws Failure 'verify'. */
  async unmask(released: Bytes): Promise<{ entries: Entry[]; stray: number }> {
    const plain = await openObject('LKR1', [this.#key], purpose('release', this.#household, this.#grant), released);
    const masks = parseCapsule(plain);
    plain.fill(0);
    const entries = masks.flatMap((m) => {
      const covered = this.#entries.find((e) => equal(entryName(e), entryName(m)));
      return covered === undefined ? [] : [{ ...covered, key: xor(covered.key, m.key) }];
    });
    for (const m of masks) m.key.fill(0);
    return { entries, stray: masks.length - entries.length };
  }

  /** Overwrites what is left. */
  close(): void {
    for (const e of this.#entries) e.key.fill(0);
  }
}

function xor(a: Bytes, b: Bytes): Bytes {
  return a.map((x, i) => x ^ (b[i] ?? 0));
}
