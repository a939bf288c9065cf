/** The mark over granted footage: who looks, for which ticket, when. Where it stands, in parts of the picture. */

export interface Place {
  readonly x: number;
  readonly y: number;
}

/** ISO in UTC, to the second: the same for whoever finds it. */
export const markText = (id: string, ticket: number, now: number): string => `${id} · ticket ${ticket} · ${new Date(now).toISOString().slice(0, 19)}Z`;

/** It moves every second, so that no crop of a few seconds is without it; two prime steps reach all of the picture. */
export function markPlace(now: number): Place {
  const s = Math.floor(now / 1000);
  return { x: 0.02 + ((s * 37) % 101) / 101 * 0.46, y: 0.1 + ((s * 53) % 97) / 97 * 0.8 };
}

/** Faint rows that stand still, over all of the picture. */
export const rows: readonly Place[] = Array.from({ length: 12 }, (_, i) => ({ x: (i % 2) * 0.48 + 0.02 + ((i >> 1) % 2) * 0.06, y: 0.1 + (i >> 1) * 0.16 }));
