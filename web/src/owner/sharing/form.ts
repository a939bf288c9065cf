/** What of a selected stretch is shared: whole seconds, and only such as are over. */
import type { CameraId, Person, TimeRange } from '../types';

const DAY = 86_400_000;

export type ServedFor = 'hour' | 'day' | 'week';
export const SERVED: readonly ServedFor[] = ['hour', 'day', 'week'];
const lengths: Readonly<Record<ServedFor, number>> = { hour: DAY / 24, day: DAY, week: 7 * DAY };

/** When the operator stops serving what is shared now; a week less than a minute, so that a slow touch does not make it more. */
export const servedUntil = (served: ServedFor, now: number): number => now + lengths[served] - (served === 'week' ? 60_000 : 0);

/** From now on for so long, where it is not a stretch of the past. */
export type Ahead = 'hour' | 'day' | 'threeDays' | 'week';
export const AHEAD: readonly Ahead[] = ['hour', 'day', 'threeDays', 'week'];
const reach: Readonly<Record<Ahead, number>> = { hour: DAY / 24, day: DAY, threeDays: 3 * DAY, week: 7 * DAY };

/** What is still to be recorded is served for 30 days after its last second, as the command line does. */
const SERVED_AFTER = 30 * DAY;

/** The stretch from now on, and until when it is served. */
export function stretchAhead(ahead: Ahead, now: number): TimeRange & { readonly served: number } {
  const from = Math.floor(now / 1000) * 1000;
  return { from, to: from + reach[ahead], served: from + reach[ahead] + SERVED_AFTER };
}

/** Whether somebody sees a camera by right: then he lacks the past only. Else he can be given what is to come, and no past alone. */
export const seesByRight = (person: Person, camera: CameraId): boolean => person.rights.all || person.rights.cameras.some((c) => c.camera === camera);

/** The seconds that a selection touches, but for those that are not over. */
export const wholeSeconds = ({ from, to }: TimeRange, now: number): TimeRange => ({ from: Math.floor(from / 1000) * 1000, to: Math.min(Math.ceil(to / 1000), Math.floor(now / 1000)) * 1000 });

/** Why a stretch cannot be shared; null: it can. */
export function hindrance({ from, to }: TimeRange): 'too-long' | 'nothing' | null {
  if (to - from > DAY) return 'too-long';
  return to <= from ? 'nothing' : null;
}
