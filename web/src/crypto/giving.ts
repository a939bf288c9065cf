/** What a grant gives: the nodes that cover its seconds, and no more, sealed to one key. */
import { type Bytes, compare, concat, hex, u16, u32 } from './bytes';
import type { OpenEpoch } from './epoch';
import type { TrackRange } from './grant';
import { purpose, sealObject } from './hpke';
import { slots } from './tree';

/** Entries of one capsule: the server takes 4 MiB. */
export const maxEntries = 50_000;

/** One entry of a capsule before it is sealed. */
export interface Plain {
  /** epoch ‖ track ‖ level ‖ index: capsules ascend in it */
  readonly name: Bytes;
  readonly key: Bytes;
}

/** The fewest nodes of an epoch that cover what of the lines this member holds. */
export function entriesOf(epoch: OpenEpoch, lines: readonly TrackRange[]): Plain[] {
  const { start, epoch: id } = epoch.note;
  return lines.flatMap((t) => {
    const [from, until] = [Math.max(t.from - start, 0), Math.min(t.until - start, slots)];
    const nodes = from < until ? (epoch.trees.get(hex(t.track))?.within(from, until) ?? []) : [];
    return nodes.map((n): Plain => ({ name: concat(id, t.track, u32(n.level * 2 ** 24 + n.index)), key: n.key.slice() }));
  });
}

export function inOrder(entries: readonly Plain[]): Plain[] {
  return [...entries].sort((a, b) => compare(a.name, b.name));
}

/** The capsule (LKC1) of a grant. Entries are in order. */
export async function sealEntries(household: Bytes, grant: Bytes, x: Bytes, entries: readonly Plain[]): Promise<Bytes> {
  const plain = concat(u16(entries.length), ...entries.flatMap((e) => [e.name, e.key]));
  const capsule = await sealObject('LKC1', x, purpose('capsule', household, grant), plain);
  plain.fill(0);
  return capsule;
}
