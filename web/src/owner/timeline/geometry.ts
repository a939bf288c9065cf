/**
 * Where time lies on the timeline's canvas. Pure: no clock, no drawing. Times
 * are Unix milliseconds, x is CSS pixels from the left edge.
 *
 * The moment shown always lies at the anchor, {@link ANCHOR} of the width, and
 * time moves beneath it: dragging, zooming and playing are one motion.
 */
import type { TimeRange } from '../types';

/** The time shown lies here: most of the picture is the past, some is what comes. */
export const ANCHOR = 2 / 3;
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** A year to a second from edge to edge. */
export const MIN_SPAN = SECOND;
export const MAX_SPAN = 366 * DAY;

export interface View {
  /** The time at the anchor. */
  readonly at: number;
  /** Milliseconds from edge to edge. */
  readonly span: number;
  /** CSS pixels, > 0. */
  readonly width: number;
}

export const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

export const startOf = (view: View): number => view.at - view.span * ANCHOR;
export const endOf = (view: View): number => view.at + view.span * (1 - ANCHOR);

export function timeAt(view: View, x: number): number {
  return startOf(view) + (x / view.width) * view.span;
}

export function xAt(view: View, time: number): number {
  return ((time - startOf(view)) / view.span) * view.width;
}

/** Zooms about the anchor; a factor below 1 shows less time. */
export function zoom(view: View, factor: number): View {
  return { ...view, span: clamp(view.span * factor, MIN_SPAN, MAX_SPAN) };
}

/** Moves the picture right by dx pixels, so that an earlier time comes to the anchor; never past `latest`. */
export function drag(view: View, dx: number, latest: number): View {
  return { ...view, at: Math.min(latest, view.at - (dx / view.width) * view.span) };
}

/** A span drawn: at least a pixel wide, so that a short event does not vanish. */
export interface Bar {
  readonly x: number;
  readonly width: number;
}

/**
 * The ranges in view as bars, neighbours closer than `join` pixels as one: a
 * year of one-minute stretches stays a few hundred rectangles. Ranges sorted by
 * `from`, as the timeline gives them.
 */
export function bars(view: View, ranges: readonly TimeRange[], join = 0.5): Bar[] {
  const drawn: { x: number; end: number }[] = [];
  for (const range of ranges) {
    const x = clamp(xAt(view, range.from), 0, view.width);
    const end = clamp(xAt(view, range.to), 0, view.width);
    if (range.to < startOf(view) || range.from > endOf(view)) continue;
    const last = drawn.at(-1);
    if (last !== undefined && x - last.end <= join) last.end = Math.max(last.end, end);
    else drawn.push({ x, end: Math.max(end, x) });
  }
  return drawn.map(({ x, end }) => ({ x, width: Math.max(1, end - x) }));
}

/** The range that holds the time, or undefined. */
export function holding<R extends TimeRange>(ranges: readonly R[], time: number): R | undefined {
  return ranges.find((range) => range.from <= time && time < range.to);
}

/** The range drawn at x: the one under it, else the nearest within `reach` pixels. */
export function near<R extends TimeRange>(view: View, ranges: readonly R[], x: number, reach = 6): R | undefined {
  const exact = holding(ranges, timeAt(view, x));
  if (exact !== undefined) return exact;
  let best: R | undefined;
  let bestDistance = reach;
  for (const range of ranges) {
    const distance = Math.min(Math.abs(xAt(view, range.from) - x), Math.abs(xAt(view, range.to) - x));
    if (distance <= bestDistance) [best, bestDistance] = [range, distance];
  }
  return best;
}

/** The start of the next (1) or previous (-1) event from here, or null. A moment of slack keeps "previous" from sticking. */
export function neighbour(events: readonly { readonly from: number }[], time: number, direction: 1 | -1): number | null {
  const starts = events.map((event) => event.from);
  const ahead = direction === 1 ? starts.filter((from) => from > time + 500) : starts.filter((from) => from < time - 2000);
  if (ahead.length === 0) return null;
  return direction === 1 ? Math.min(...ahead) : Math.max(...ahead);
}
