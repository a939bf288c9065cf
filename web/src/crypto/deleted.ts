/**
 * What the chain orders to be gone (protocol 2.14): footage past the policy of
 * `retain`, and what `erase` names. A gap there is no alarm, any other is one.
 */
import type { Gap, TimeRange } from '../owner/types';
import { type Bytes, equal, hex } from './bytes';
import type { Chain } from './chain';

export const deletedWords = 'Deleted: older than you keep footage, or deleted by an admin.';

/**
 * The times (unix milliseconds) of a track whose footage may be gone by now:
 * older than the policy of any time since, or erased. A policy holds until the
 * next statement; what it would have asked for later does not count.
 */
export function deletedTimes(chain: Pick<Chain, 'at' | 'length'>, track: Bytes, now: number): TimeRange[] {
  let before = 0;
  const out: TimeRange[] = [];
  for (let seq = 0; seq < chain.length; seq++) {
    const state = chain.at(seq);
    if (state === null) continue;
    const seconds = state.retain.get(hex(track)) ?? state.retainAll;
    const next = chain.at(seq + 1);
    const until = next === null ? now : next.time * 1000;
    if (seconds > 0) before = Math.max(before, until - seconds * 1000);
    if (next === null) out.push(...state.erased.filter((e) => equal(e.track, track)).map((e) => ({ from: e.from * 1000, to: e.until * 1000 })));
  }
  return before > 0 ? [{ from: 0, to: before }, ...out] : out;
}

/** The gaps with what is deleted told as that; a hub's own reason and what did not verify stay. */
export function withDeleted(gaps: readonly Gap[], deleted: readonly TimeRange[]): Gap[] {
  return gaps.flatMap((g) => (g.why === 'missing' ? split(g, deleted) : [g]));
}

function split(g: Gap, deleted: readonly TimeRange[]): Gap[] {
  const out: Gap[] = [];
  let at = g.from;
  for (const d of [...deleted].sort((a, b) => a.from - b.from)) {
    const [from, to] = [Math.max(at, d.from), Math.min(g.to, d.to)];
    if (to <= from) continue;
    if (from > at) out.push({ ...g, from: at, to: from });
    out.push({ from, to, why: 'deleted', words: deletedWords, alarm: false });
    at = to;
  }
  if (at < g.to) out.push({ ...g, from: at });
  return out;
}
