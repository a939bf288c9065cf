/** Small words about claims. Pure. */
import type { Claim, PersonRef } from '../types';

const DAY = 86_400_000;

/** Whole days until then, rounded up; 0 when it is past. */
export function daysLeft(until: number, now: number): number {
  return Math.max(0, Math.ceil((until - now) / DAY));
}

export const refName = (person: PersonRef, unnamed: string): string => person.name || unnamed;

/** Those that everybody has to see. */
export const openClaims = (claims: readonly Claim[]): Claim[] => claims.filter((c) => c.state === 'open');

/** The code of a pasted `…#help=` link, or what was pasted. */
export function helpCode(pasted: string): string {
  const match = /#help=(.+)$/.exec(pasted.trim());
  if (match?.[1] === undefined) return pasted.trim();
  try {
    return decodeURIComponent(match[1]);
  } catch {
    return match[1];
  }
}
