/** Which seconds to open. Times are unix milliseconds; fields hold local time to the second. */
const two = (n: number): string => String(n).padStart(2, '0');

export function fieldOf(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** Null when it is no time. */
export function timeIn(field: string): number | null {
  const ms = new Date(field).getTime();
  return field === '' || Number.isNaN(ms) ? null : ms;
}

const minuteMs = 60_000;

/** What is proposed: a minute, the first that was granted. */
export const firstMinute = (g: { readonly from: number; readonly until: number }): readonly [number, number] => [g.from, Math.min(g.until, g.from + minuteMs)];

/** The part of [from, until) that was granted; null when there is not a second of it. */
export function withinGrant(from: number | null, until: number | null, g: { readonly from: number; readonly until: number }): readonly [number, number] | null {
  if (from === null || until === null) return null;
  const [a, b] = [Math.max(from, g.from), Math.min(until, g.until)];
  return b - a < 1000 ? null : [a, b];
}
