/** What of a selected stretch is shared: whole seconds, and only such as are over. */
import type { TimeRange } from '../types';

const DAY = 86_400_000;

export type ServedFor = 'hour' | 'day' | 'week';
export const SERVED: readonly ServedFor[] = ['hour', 'day', 'week'];
const lengths: Readonly<Record<ServedFor, number>> = { hour: DAY / 24, day: DAY, week: 7 * DAY };

/** When the operator stops serving what is shared now; a week less than a minute, so that a slow touch does not make it more. */
export const servedUntil = (served: ServedFor, now: number): number => now + lengths[served] - (served === 'week' ? 60_000 : 0);

/** The seconds that a selection touches, but for those that are not over. */
export const wholeSeconds = ({ from, to }: TimeRange, now: number): TimeRange => ({ from: Math.floor(from / 1000) * 1000, to: Math.min(Math.ceil(to / 1000), Math.floor(now / 1000)) * 1000 });

/** Why a stretch cannot be shared; null: it can. */
export function hindrance({ from, to }: TimeRange): 'too-long' | 'nothing' | null {
  if (to - from > DAY) return 'too-long';
  return to <= from ? 'nothing' : null;
}
