/** How a stretch that support is let see is said, and chosen. */
import type { TimeRange } from '../types';
import { between, clockSeconds, startOfDay } from '../when';
import type { LetSee } from './types';
import { mh } from './words';

const MINUTE = 60_000;

/** How long support may look at minutes of the past. */
export const SERVED = ['hour', 'twoHours', 'day'] as const;
export type Served = (typeof SERVED)[number];
const lengths: Readonly<Record<Served, number>> = { hour: 60 * MINUTE, twoHours: 120 * MINUTE, day: 1440 * MINUTE };

/** Minutes of live; 15 at most, less a moment for a slow touch. */
export const LIVE = [5, 10, 15] as const;

/** Whole seconds that a selection touches. */
export const wholeSeconds = ({ from, to }: TimeRange): TimeRange => ({ from: Math.floor(from / 1000) * 1000, to: Math.ceil(to / 1000) * 1000 });

/** What is let see, and until when. */
export function stretchOf(a: { live: number | null; range: TimeRange; served: Served }, now: number): TimeRange & { readonly until: number } {
  if (a.live === null) return { ...wholeSeconds(a.range), until: now + lengths[a.served] };
  const from = Math.floor(now / 1000) * 1000;
  const to = from + a.live * MINUTE;
  return { from, to, until: to };
}

/** Why it cannot be let see: false when it can. */
export const wrongStretch = (range: TimeRange, now: number): boolean => range.to <= range.from || range.to > now;

/** "12:03:00 – 12:08:42" where the day is plain. */
export function spanWords({ from, to }: TimeRange, now: number): string {
  const today = startOfDay(from) === startOfDay(now) && startOfDay(to) === startOfDay(now);
  return today ? `${clockSeconds(from)} – ${clockSeconds(to)}` : between(from, to, now);
}

export const spansWords = (spans: readonly TimeRange[], now: number): string => spans.map((s) => spanWords(s, now)).join(', ');

export const whatWords = (s: LetSee, now: number): string => `${spanWords({ from: s.from, to: s.to }, now)}, ${s.sound ? mh.withSound : mh.silent}`;
