/** Times for a reader who may be somewhere else than the camera. Unix milliseconds in, text out. */

const zoneOf = (zone: string): Intl.DateTimeFormatOptions => (zone === '' ? {} : { timeZone: zone });

function format(ms: number, options: Intl.DateTimeFormatOptions, zone: string): string {
  return new Intl.DateTimeFormat(undefined, { ...options, ...zoneOf(zone) }).format(ms);
}

const dayForm = { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' } as const;
const clockForm = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' } as const;

/** "12:04:09"; in the reader's zone unless one is named. */
export const clock = (ms: number, zone = ''): string => format(ms, clockForm, zone);

/** "Tue, 3 Nov 2026, 12:04" */
export const moment = (ms: number): string => `${format(ms, dayForm, '')}, ${format(ms, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }, '')}`;

/** "Tue, 3 Nov 2026, 12:04:09 – 12:05:00", with both days where they differ. */
export function between(from: number, to: number, zone = ''): string {
  const [a, b] = [format(from, dayForm, zone), format(to, dayForm, zone)];
  return a === b ? `${a}, ${clock(from, zone)} – ${clock(to, zone)}` : `${a}, ${clock(from, zone)} – ${b}, ${clock(to, zone)}`;
}

/** The zone to tell besides the reader's own: null when it is none, or shows the same times there and then. */
export function otherZone(zone: string, at: number): string | null {
  if (zone === '') return null;
  try {
    return between(at, at, zone) === between(at, at) ? null : zone;
  } catch {
    return null; // a name that this browser does not know
  }
}

/** "8 s", "3 min 5 s", "2 h 10 min" */
export function length(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
