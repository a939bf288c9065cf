/** Times and amounts in the reader's own zone and words. Unix milliseconds in, text out. */

const clockShort = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const clockLong = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const dayShort = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });
const dayLong = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });

/** 12:04 */
export const clock = (ms: number): string => clockShort.format(ms);
/** 12:04:09 */
export const clockSeconds = (ms: number): string => clockLong.format(ms);

/** Midnight of the reader's day that holds ms. */
export function startOfDay(ms: number): number {
  const date = new Date(ms);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** "Today", "Yesterday", "Tue, 3 Nov" or "3 Nov 2024". */
export function day(ms: number, now: number): string {
  const start = startOfDay(ms);
  if (start === startOfDay(now)) return 'Today';
  if (start === startOfDay(startOfDay(now) - 1)) return 'Yesterday';
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? dayShort : dayYear).format(ms);
}

/** "Today, Monday 23 November": the heading of one day. */
export function dayHeading(ms: number, now: number): string {
  const name = day(ms, now);
  return name === 'Today' || name === 'Yesterday' ? `${name}, ${dayLong.format(ms)}` : dayLong.format(ms);
}

/** A moment as short as it stays clear: "12:04", else with its day. */
export function moment(ms: number, now: number): string {
  const name = day(ms, now);
  return name === 'Today' ? clock(ms) : `${name}, ${clock(ms)}`;
}

/** "Today 12:04:09" */
export const exactly = (ms: number, now: number): string => `${day(ms, now)} ${clockSeconds(ms)}`;

/** "12:04:09 – 12:05" within a day, with days across. */
export function between(from: number, to: number, now: number): string {
  const sameDay = startOfDay(from) === startOfDay(to);
  return sameDay
    ? `${day(from, now)} ${clockSeconds(from)} – ${clockSeconds(to)}`
    : `${exactly(from, now)} – ${exactly(to, now)}`;
}

/** How long: "8 s", "3 min 5 s", "2 h 10 min", "4 days". */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return joined(minutes, 'min', seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return joined(hours, 'h', minutes % 60, 'min');
  return `${Math.round(hours / 24)} days`;
}

function joined(big: number, bigUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** "0.1 s" below ten seconds, else like span. */
export const lag = (ms: number): string => (ms < 10_000 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : span(ms));

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** "4.2 MB": decimal units, as disks are sold. */
export function bytes(n: number): string {
  let value = Math.max(0, n);
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** The value of a `datetime-local` field, in the reader's zone, to the second. */
export function toField(ms: number): string {
  const date = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Reads a `datetime-local` field; null while it is not a whole time. */
export function fromField(value: string): number | null {
  const ms = new Date(value).getTime();
  return value === '' || Number.isNaN(ms) ? null : ms;
}
