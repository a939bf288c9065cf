/** How a live picture is kept near the edge, and where to jump over holes. Pure: numbers in, numbers out; all in seconds. */

/** Between these the picture is where it should be. */
const lagLow = 0.05;
const lagHigh = 0.1;
/** Sound comes a tenth of a second at a time: it needs a longer buffer. */
const soundLow = 0.2;
const soundHigh = 0.3;
/** Further behind than this is not worth catching up: jump. */
export const jumpBehind = 1;
export const maxRate = 1.25;
/** The longest distance by which a hole is jumped without being called a gap. */
export const smallHole = 1;

export interface Range {
  readonly start: number;
  readonly end: number;
}

export function rangesOf(t: TimeRanges): Range[] {
  return Array.from({ length: t.length }, (_, i) => ({ start: t.start(i), end: t.end(i) }));
}

/** The buffered range that the picture is in; never "the last one". */
export function rangeAt(ranges: readonly Range[], at: number): Range | null {
  return ranges.find((r) => at >= r.start - 0.01 && at < r.end) ?? null;
}

/** The next range after `at`; null when there is none. */
export function rangeAfter(ranges: readonly Range[], at: number): Range | null {
  return ranges.find((r) => r.start > at) ?? null;
}

export type LiveStep =
  | { readonly kind: 'rate'; readonly rate: number }
  | { readonly kind: 'jump'; readonly to: number };

/** What to do with a live element at `at` whose buffer ends at the live edge. `rate` is the one it has. */
export function liveStep(ranges: readonly Range[], at: number, rate: number, sound: boolean): LiveStep | null {
  const last = ranges[ranges.length - 1];
  if (last === undefined) return null;
  const low = sound ? soundLow : lagLow;
  const high = sound ? soundHigh : lagHigh;
  const edge = Math.max(last.start, last.end - (low + high) / 2);
  const lag = last.end - at;
  if (lag > jumpBehind || at < last.start - 0.01) return { kind: 'jump', to: edge };
  if (lag > high) return { kind: 'rate', rate: Math.min(maxRate, 1 + (lag - low)) };
  // On the way back the rate stays up until the lag is where it should be.
  if (rate > 1 && lag > (low + high) / 2) return { kind: 'rate', rate: Math.min(rate, 1.1) };
  if (lag < low / 2) return { kind: 'rate', rate: 0.95 };
  return { kind: 'rate', rate: 1 };
}

/** An element stops this far before the end of what it has, waiting for the next picture. */
const lastBit = 0.3;

/** Where an element that stands still at `at` goes on; null: wait for more. */
export function overHole(ranges: readonly Range[], at: number): Range | null {
  const here = rangeAt(ranges, at);
  if (here !== null && here.end - at > lastBit) return null;
  return rangeAfter(ranges, here?.end ?? at);
}

/** The first pictures of a decoder are those of the burst it joins with: they say nothing. */
const warmUp = 10;

/** Decides by measurement whether a decoder keeps up: lag over its own best, and frames dropped. */
export class KeepUp {
  readonly #lags: number[] = [];
  #seen = 0;
  #before = { frames: 0, dropped: 0 };
  #now = { frames: 0, dropped: 0 };
  #best = Infinity;

  /** lagMs: capture to glass, by this computer's clock; frames and dropped count from the decoder's start. */
  shown(lagMs: number, frames: number, dropped: number): void {
    this.#now = { frames, dropped };
    if (++this.#seen <= warmUp) {
      this.#before = this.#now;
      return;
    }
    this.#lags.push(lagMs);
    if (this.#lags.length > 50) this.#lags.shift();
    this.#best = Math.min(this.#best, lagMs);
  }

  get measured(): boolean {
    return this.#lags.length >= 40;
  }

  get median(): number {
    const sorted = [...this.#lags].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] ?? Infinity;
  }

  /** False when pictures pile up: half of them late, or one in four never shown. */
  get good(): boolean {
    const late = this.#lags.filter((l) => l > this.#best + 250).length;
    const frames = this.#now.frames - this.#before.frames;
    const dropped = this.#now.dropped - this.#before.dropped;
    return late * 2 < this.#lags.length && dropped * 4 <= Math.max(40, frames);
  }
}
