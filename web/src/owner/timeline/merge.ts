/** Putting answers for overlapping windows together. Pure. */
import type { Timeline, TimeRange } from '../types';

export const EMPTY: Timeline = { ranges: [], gaps: [], events: [] };

/**
 * What was known, with a fresher answer for [from, to) in its place. Ranges and
 * gaps that reach over a border are cut there and joined again where they meet,
 * so nothing is drawn twice and nothing gets a seam.
 */
export function freshen(old: Timeline, fresh: Timeline, window: TimeRange): Timeline {
  const keptEvents = old.events.filter((event) => event.from < window.from || event.from >= window.to);
  const seen = new Set(fresh.events.map((event) => event.id));
  return {
    ranges: joinTouching([...outside(old.ranges, window), ...inside(fresh.ranges, window)], () => true),
    gaps: joinTouching([...outside(old.gaps, window), ...inside(fresh.gaps, window)], (a, b) => a.why === b.why && a.words === b.words && a.alarm === b.alarm),
    coarse: old.coarse ?? false,
    events: [...keptEvents.filter((event) => !seen.has(event.id)), ...fresh.events].sort((a, b) => a.from - b.from),
  };
}

function outside<R extends TimeRange>(ranges: readonly R[], window: TimeRange): R[] {
  return ranges.flatMap((range) => [
    ...(range.from < window.from ? [{ ...range, to: Math.min(range.to, window.from) }] : []),
    ...(range.to > window.to ? [{ ...range, from: Math.max(range.from, window.to) }] : []),
  ]);
}

function inside<R extends TimeRange>(ranges: readonly R[], window: TimeRange): R[] {
  return ranges
    .map((range) => ({ ...range, from: Math.max(range.from, window.from), to: Math.min(range.to, window.to) }))
    .filter((range) => range.from < range.to);
}

function joinTouching<R extends TimeRange>(ranges: R[], same: (a: R, b: R) => boolean): R[] {
  const sorted = ranges.sort((a, b) => a.from - b.from);
  const out: R[] = [];
  for (const range of sorted) {
    const last = out.at(-1);
    if (last !== undefined && range.from <= last.to && same(last, range)) {
      out[out.length - 1] = { ...last, to: Math.max(last.to, range.to) };
    } else {
      out.push(range);
    }
  }
  return out;
}
