/**
 * What of a camera's time is not shared with this member: from before he could
 * see it, outside what a grant gave him, or sealed without him. It is no alarm,
 * unless the chain prescribes that it should be his.
 */
import type { Gap, TimeRange } from '../owner/types';
import { type Bytes, hex } from './bytes';
import type { CameraDecl, Chain } from './chain';
import type { OpenEpoch } from './epoch';
import type { EpochBook } from './epochs';
import { entitled } from './rights';
import { clip, isSome, joined, without } from './spans';

export const notSharedWords = 'From before you joined, or not shared with you.';

/** A hub that hears of a new right begins the epoch it counts from within this time. */
const settleMs = 3_600_000;

export interface Sharing {
  readonly chain: Chain;
  /** kid of this member's signing key */
  readonly kid: Bytes;
  readonly epochs: EpochBook;
}

/** A stretch as the server says it is stored. */
interface Piece extends TimeRange {
  readonly epoch: string;
}

/** Stretches of [from, to) of one track that nobody gave this member keys of. */
export async function notShared(s: Sharing, camera: CameraDecl, track: Bytes, stored: readonly Piece[], from: number, to: number): Promise<Gap[]> {
  const rights = entitled(s.chain, s.kid, track);
  const always = rights.some((r) => r.from <= camera.since * 1000 && r.to === Infinity);
  if (always) return [];
  await s.epochs.load([...new Set(stored.map((p) => p.epoch))]);
  const shared: TimeRange[] = [];
  const quiet: TimeRange[] = [];
  const loud: TimeRange[] = [];
  for (const p of stored) {
    const epoch = await s.epochs.get(p.epoch).catch(() => null);
    // What does not verify is told where it is read.
    if (epoch === null) continue;
    const held = heldOf(epoch, track);
    shared.push(...held.map((h) => clip(h, p)).filter(isSome));
    (epoch.leftOut ? loud : quiet).push(...without([p], held));
  }
  const settled = rights.map((r) => ({ ...r, from: begun(r.from, shared, to) }));
  quiet.push(...without(without([{ from, to }], settled), shared));
  const asked = { from, to };
  const alarms = joined(loud.map((r) => clip(r, asked)));
  const rest = joined(without(quiet.map((r) => clip(r, asked)), alarms));
  return [...alarms.map((r) => gap(r, true)), ...rest.map((r) => gap(r, false))].sort((x, y) => x.from - y.from);
}

/** Gaps and ranges without the time that is not shared, and that as gaps of its own. */
export function withNotShared(ranges: readonly TimeRange[], gaps: readonly Gap[], unshared: readonly Gap[]): { ranges: TimeRange[]; gaps: Gap[] } {
  const cut = gaps.flatMap((g) => without([g], unshared).map((r) => ({ ...g, ...r })));
  return { ranges: without(ranges, unshared), gaps: [...cut, ...unshared].sort((a, b) => a.from - b.from) };
}

/** The times of an epoch for which this member has keys of a track, unix milliseconds. */
function heldOf(epoch: OpenEpoch, track: Bytes): TimeRange[] {
  const { start } = epoch.note;
  const slots = epoch.trees.get(hex(track))?.covered() ?? [];
  return slots.map((s) => ({ from: (start + s.from) * 1000, to: (start + s.until) * 1000 }));
}

/** Where a right shows in what is sealed: at the first epoch after it, if that is soon. */
function begun(from: number, shared: readonly TimeRange[], to: number): number {
  const first = shared.map((r) => r.from).filter((at) => at >= from).sort((a, b) => a - b)[0] ?? to;
  return first - from <= settleMs ? Math.max(first, from) : from;
}

function gap(r: TimeRange, alarm: boolean): Gap {
  return { from: r.from, to: r.to, why: 'not-shared', words: notSharedWords, alarm };
}
