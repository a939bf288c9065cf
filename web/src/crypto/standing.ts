/**
 * Standing grants (protocol 2.8), and with them whom an epoch is sealed to: a
 * function of the chain and of when the epoch begins.
 */
import { type Bytes, compare, equal, hex } from './bytes';
import { type ChainState, holderOf, maySee, rosterKey } from './chain';
import { refuse } from './failure';
import type { Grant, GrantBody, TrackRange } from './grant';
import { kidOf } from './hash';

/** How long an epoch can be at most, in seconds. */
const epochSlots = 2 ** 17;
/** How many standing grants may run at the time of a statement: every epoch is sealed to all of them. */
const maxStanding = 64;
/** How many track lines one of them may have. */
const maxStandingLines = 16;

/** Who an epoch is sealed to: the X-Wing key, of which tracks roots, of which stretches nodes. */
export interface Recipient {
  readonly kid: Bytes;
  readonly x: Bytes;
  /** sorted */
  readonly tracks: readonly Bytes[];
  /** of tracks that are not in tracks, within the longest the epoch can last; sorted, apart from one another */
  readonly windows: readonly TrackRange[];
}

/** Who an epoch that begins at start (unix seconds) is sealed to at this position; sorted by kid. */
export function recipients(state: ChainState, start: number): Recipient[] {
  const declared = [...state.cameras.values()].flatMap((camera) => camera.tracks.map((t) => t.track)).sort(compare);
  const all = new Map<string, Recipient>();
  for (const m of state.members.values()) {
    if (m.tracks !== 'all' && m.tracks.length === 0) continue;
    const kid = kidOf(m.x);
    all.set(hex(kid), { kid, x: m.x, tracks: declared.filter((t) => maySee(m.tracks, t)), windows: [] });
  }
  for (const g of state.grants.values()) {
    const x = standingKey(state, g);
    const windows = windowsOf(g, start);
    if (x === null || windows.length === 0) continue;
    const kid = kidOf(x);
    const r = all.get(hex(kid)) ?? { kid, x, tracks: [], windows: [] };
    all.set(hex(kid), { ...r, windows: [...r.windows, ...windows] });
  }
  return [...all.values()].map((r) => ({ ...r, windows: joined(r) })).sort((a, b) => compare(a.kid, b.kid));
}

/** The key that a standing grant has epochs sealed to; null: none. A member's follows his rekeys. */
function standingKey(state: ChainState, g: Grant): Bytes | null {
  if (!g.standing || g.revoked) return null;
  return g.kind === 'member' ? (holderOf(state, g.to)?.x ?? null) : g.key;
}

/** The stretches of a grant in an epoch that begins at start; none when its service is over. */
function windowsOf(g: Grant, start: number): TrackRange[] {
  if (g.until <= start) return [];
  return g.tracks
    .map((r) => ({ track: r.track, from: Math.max(r.from, start), until: Math.min(r.until, start + epochSlots) }))
    .filter((r) => r.from < r.until);
}

/** The windows in order, those that touch made one, without those of tracks that are seen anyhow. */
function joined(r: Recipient): TrackRange[] {
  const out: TrackRange[] = [];
  for (const w of [...r.windows].sort((a, b) => compare(a.track, b.track) || a.from - b.from)) {
    if (r.tracks.some((t) => equal(t, w.track))) continue;
    const last = out[out.length - 1];
    if (last !== undefined && equal(last.track, w.track) && w.from <= last.until) {
      out[out.length - 1] = { ...last, until: Math.max(last.until, w.until) };
    } else {
      out.push(w);
    }
  }
  return out;
}

/** What a grant that reaches into the future demands; throws Failure 'verify'. */
export function checkStanding(state: ChainState, b: GrantBody, time: number): void {
  if (b.kind === 'link' || b.kind === 'staff') throw refuse(`grant: to a ${b.kind} it cannot be standing`);
  if (b.release !== null) throw refuse('grant: a standing one has no hub to release it');
  if (b.tracks.length > maxStandingLines) throw refuse('grant: too many stretches in a standing one');
  const running = [...state.grants.values()].filter((g) => g.standing && !g.revoked && time < g.until);
  if (running.length >= maxStanding) throw refuse('grant: too many standing ones run already');
  if (b.kind === 'member') return;
  if (b.key === null) throw refuse(`grant: a standing one has to name the ${b.kind}'s key`);
  if (rosterKey(state, b.key)) throw refuse(`grant: the key of the ${b.kind} is in the roster`);
}

/** Whether the key is that of somebody outside the household whom epochs are sealed to. */
export function standsFor(state: ChainState, kid: Bytes): boolean {
  return [...state.grants.values()].some((g) => g.standing && !g.revoked && g.kind !== 'member' && equal(g.to, kid));
}
