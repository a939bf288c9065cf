/** What an auditor counts. It depends on the decisions alone, so that anybody who has them counts the same. */
import type { Decision } from './messages';

export interface Bar {
  readonly label: string;
  readonly allowed: number;
  readonly refused: number;
}

const hourMs = 3_600_000;

/** One bar for each of the last `hours` hours, the oldest first; `label` names an hour. */
export function byHour(all: readonly Decision[], now: number, hours: number, label: (at: number) => string): Bar[] {
  const first = Math.floor(now / hourMs) - hours + 1;
  return Array.from({ length: hours }, (_, i) => {
    const at = (first + i) * hourMs;
    return { label: label(at), ...split(all.filter((d) => d.at >= at && d.at < at + hourMs)) };
  });
}

/** One bar for each value of a field, the most asked first. */
export function by(all: readonly Decision[], of: (d: Decision) => string): Bar[] {
  const groups = new Map<string, Decision[]>();
  for (const d of all) groups.set(of(d), [...(groups.get(of(d)) ?? []), d]);
  return [...groups].map(([label, list]) => ({ label, ...split(list) })).sort((a, b) => total(b) - total(a) || (a.label < b.label ? -1 : 1));
}

export const total = (b: Bar): number => b.allowed + b.refused;

/** The rules that refused, the most frequent first. */
export function byRule(all: readonly Decision[]): Bar[] {
  const refused = all.filter((d) => !d.allowed).flatMap((d) => (d.rules === '' ? ['nothing permits it'] : d.rules.split(' ')).map((rules) => ({ ...d, rules })));
  return by(refused, (d) => d.rules);
}

function split(list: readonly Decision[]): { allowed: number; refused: number } {
  const allowed = list.filter((d) => d.allowed).length;
  return { allowed, refused: list.length - allowed };
}
