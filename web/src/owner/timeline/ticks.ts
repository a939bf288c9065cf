/**
 * The ruler of the timeline: which moments get a line and a label. Steps follow
 * the reader's calendar, so a day begins at his midnight also in the week the
 * clocks change.
 */
import { DAY, endOf, HOUR, MINUTE, SECOND, startOf, xAt, type View } from './geometry';

type Unit = 'milli' | 'second' | 'minute' | 'hour' | 'day' | 'month' | 'year';

interface Step {
  readonly unit: Unit;
  readonly count: number;
  /** About how long, for choosing. */
  readonly ms: number;
}

export interface Tick {
  readonly time: number;
  readonly x: number;
  readonly label: string;
  /** The first of something larger: a new day on a ruler of hours. */
  readonly strong: boolean;
}

const step = (unit: Unit, count: number, ms: number): Step => ({ unit, count, ms: ms * count });
const STEPS: readonly Step[] = [
  ...[100, 200, 500].map((n) => step('milli', n, 1)),
  ...[1, 2, 5, 10, 15, 30].map((n) => step('second', n, SECOND)),
  ...[1, 2, 5, 10, 15, 30].map((n) => step('minute', n, MINUTE)),
  ...[1, 2, 3, 6, 12].map((n) => step('hour', n, HOUR)),
  ...[1, 2, 7].map((n) => step('day', n, DAY)),
  ...[1, 3, 6].map((n) => step('month', n, 30.4 * DAY)),
  step('year', 1, 365 * DAY),
];

const seconds = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const minutes = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const days = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric' });
const dates = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const months = new Intl.DateTimeFormat(undefined, { month: 'short' });
const years = new Intl.DateTimeFormat(undefined, { year: 'numeric' });

/** Ticks in view, in order, their labels at least about `room` pixels apart. */
export function ticks(view: View, room = 72): Tick[] {
  const wanted = (view.span / view.width) * room;
  const chosen = STEPS.find((candidate) => candidate.ms >= wanted) ?? step('year', 1, 365 * DAY);
  const from = startOf(view);
  const until = endOf(view);
  const out: Tick[] = [];
  for (let time = floorTo(from, chosen); time <= until; time = following(time, chosen)) {
    if (time < from) continue;
    out.push({ time, x: xAt(view, time), ...label(time, chosen.unit) });
  }
  return out;
}

function floorTo(time: number, { unit, count }: Step): number {
  const date = new Date(time);
  const [year, month, day, hour] = [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours()];
  const down = (value: number): number => value - (value % count);
  switch (unit) {
    case 'year':
      return new Date(year, 0).getTime();
    case 'month':
      return new Date(year, down(month)).getTime();
    case 'day':
      return new Date(year, month, 1 + down(day - 1)).getTime();
    case 'hour':
      return new Date(year, month, day, down(hour)).getTime();
    case 'minute':
      return time - (time % MINUTE) - (date.getMinutes() % count) * MINUTE;
    case 'milli':
      return time - (time % count);
    case 'second':
      return time - (time % SECOND) - (date.getSeconds() % count) * SECOND;
  }
}

/** The next step; always later than time, also across a change of clocks. */
function following(time: number, { unit, count, ms }: Step): number {
  if (unit === 'milli' || unit === 'second' || unit === 'minute') return time + ms;
  const date = new Date(time);
  const [year, month, day, hour] = [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours()];
  if (unit === 'year') return new Date(year + count, 0).getTime();
  if (unit === 'month') return new Date(year, month + count).getTime();
  if (unit === 'hour') return Math.max(new Date(year, month, day, hour + count).getTime(), time + HOUR);
  const next = new Date(year, month, day + count);
  // Every month begins its own row of days: 1, 3, 5 … and not whatever the last one left over.
  return next.getMonth() === month ? next.getTime() : new Date(year, month + 1, 1).getTime();
}

function label(time: number, unit: Unit): { label: string; strong: boolean } {
  const date = new Date(time);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  switch (unit) {
    case 'milli':
      return { label: `${seconds.format(time)}.${Math.floor(date.getMilliseconds() / 100)}`, strong: date.getMilliseconds() === 0 };
    case 'second':
      return { label: seconds.format(time), strong: date.getSeconds() === 0 };
    case 'minute':
    case 'hour':
      return midnight ? { label: days.format(time), strong: true } : { label: minutes.format(time), strong: false };
    case 'day':
      return { label: dates.format(time), strong: date.getDate() === 1 };
    case 'month':
      return date.getMonth() === 0 ? { label: years.format(time), strong: true } : { label: months.format(time), strong: false };
    case 'year':
      return { label: years.format(time), strong: true };
  }
}
