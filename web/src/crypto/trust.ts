/**
 * What has been verified, until when, and what has not (protocol 2.6, C8, C9):
 * heads notes against what was read, faults, and how fresh all of it is.
 */
import type { CameraId, Problem, Trust } from '../owner/types';
import { type Bytes, equal, hex } from './bytes';
import { type Heads, type OpenEpoch, openHeads } from './epoch';
import { Failure } from './failure';
import type { At } from './reader';
import { appError, toAppError } from './words';

/** Older heads than this are no proof of "complete up to now" (protocol 2.19). */
export const freshMs = 90_000;
/** How long live parts may trail the heads that name them before that is a missing tail. */
const tailGraceMs = 10_000;
const maxProblems = 50;

interface HubHeads {
  readonly heads: Heads;
  readonly receivedAt: number;
}

/** Newest verified part of a watched track; null when it is not watched or nothing came. */
export type PositionOf = (track: string) => At | null;

export class TrustBook {
  readonly #newest = new Map<string, HubHeads>();
  readonly #positionOf: PositionOf;
  readonly #changed: () => void;
  #problems: Problem[] = [];
  /** loud until the page is opened anew: something did not verify */
  #brokenSince: number | null = null;
  #tailCutSince: number | null = null;
  #state: Trust['state'] = 'verifying';
  #began = Date.now();
  #closed = false;

  constructor(positionOf: PositionOf, changed: () => void) {
    this.#positionOf = positionOf;
    this.#changed = changed;
  }

  /** Takes a heads note; one that is not signed by its epoch is a problem, an older one is nothing. */
  async takeHeads(epoch: OpenEpoch, raw: Bytes): Promise<void> {
    let heads: Heads;
    try {
      heads = notAhead(await openHeads(raw, epoch));
    } catch (err) {
      this.report(null, err);
      return;
    }
    const hub = hex(heads.hub);
    const before = this.#newest.get(hub)?.heads;
    // A rolled-back note would make a cut tail look complete.
    if (before !== undefined && (heads.time < before.time || (equal(heads.epoch, before.epoch) && heads.n <= before.n))) return;
    this.#newest.set(hub, { heads, receivedAt: Date.now() });
    setTimeout(() => {
      const then = new Map([...heads.heads.keys()].map((track) => [track, this.#positionOf(track)] as const));
      setTimeout(() => { this.#compareTail(heads, epoch.note.n, then); }, tailGraceMs / 2);
    }, tailGraceMs / 2);
    // When these are too old and no others have come, that is told at once.
    setTimeout(() => { this.refresh(); }, heads.time * 1000 + freshMs + 1 - Date.now());
    this.refresh();
  }

  /** What heads name must have been read by now, and be the same part. `then` is where the tracks were half of the grace before. */
  #compareTail(heads: Heads, n: number, then: ReadonlyMap<string, At | null>): void {
    for (const [track, head] of heads.heads) {
      const at = this.#positionOf(track);
      if (at === null) continue;
      // A line that stands still is cut, by the network as likely as by a liar.
      const stands = equal(then.get(track)?.hash ?? at.hash, at.hash);
      if (equal(at.hub, heads.hub) && at.n < n) {
        this.#tailCutSince ??= at.time * 1000;
        // One that goes on delivers an earlier epoch in place of this one,
        // perhaps the whole of yesterday.
        if (stands) this.refresh();
        else this.report(null, new Failure('verify', `trust: the hub is at its epoch ${n}, and footage of its epoch ${at.n} comes as live`));
        return;
      }
      if (!equal(at.epoch, heads.epoch)) continue;
      if (at.seq < head.seq) {
        this.#tailCutSince ??= heads.time * 1000;
        if (stands) this.refresh();
        else this.report(null, new Failure('verify', `trust: parts up to ${head.seq} were not delivered, only up to ${at.seq}`));
        return;
      }
      if (at.seq === head.seq && !equal(at.hash, head.hash)) {
        this.report(null, new Failure('verify', 'trust: the newest part is not the one its hub signed'));
        return;
      }
    }
    this.#tailCutSince = null;
    this.refresh();
  }

  /** Records something that failed. Only failed verification makes the state broken. */
  report(camera: CameraId | null, thrown: unknown): void {
    const error = toAppError(thrown);
    const last = this.#problems[0];
    if (last?.error.what !== error.what || last.camera !== camera || Date.now() - last.at > 10_000) {
      this.#problems = [{ at: Date.now(), camera, error }, ...this.#problems].slice(0, maxProblems);
    }
    if (error.kind === 'verify') this.#brokenSince ??= Date.now();
    this.refresh();
    this.#changed();
  }

  /** Records missing footage that nobody explained. */
  missing(camera: CameraId, from: number, to: number): void {
    this.#problems = [
      {
        at: to,
        camera,
        error: appError('verify', {
          what: `${Math.max(1, Math.round((to - from) / 1000))} seconds of footage are missing.`,
          safe: 'Everything before and after is verified.',
          next: 'If the hub still has them, they arrive by themselves.',
        }),
      },
      ...this.#problems,
    ].slice(0, maxProblems);
    this.#changed();
  }

  /** Seconds since the newest verified heads of a hub; null when there are none. */
  headsAge(hub: string): number | null {
    const h = this.#newest.get(hub);
    return h === undefined ? null : Math.max(0, Math.round(Date.now() / 1000 - h.heads.time));
  }

  /** The state of one hub's footage, for a picture's seal; null: nothing yet says which hub's. */
  ofHub(hub: string | null): Trust['state'] {
    if (this.#brokenSince !== null) return 'broken';
    if (hub === null) return 'verifying';
    const h = this.#newest.get(hub);
    if (h === undefined) return Date.now() - this.#began > freshMs ? 'stale' : 'verifying';
    return Date.now() - h.heads.time * 1000 > freshMs || this.#tailCutSince !== null ? 'stale' : 'verified';
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#closed = true;
  }

  /** Tells listeners when the state has moved by time alone. */
  refresh(): void {
    if (this.#closed) return;
    const { state } = this.overall([...this.#newest.keys()]);
    if (state === this.#state) return;
    this.#state = state;
    this.#changed();
  }

  /** The household's one line; `hubs` are those of the chain. */
  overall(hubs: readonly string[]): Trust {
    const times = hubs.map((h) => this.#newest.get(h)?.heads.time ?? null);
    const known = times.filter((t) => t !== null);
    const oldest = known.length === 0 ? null : Math.min(...known) * 1000;
    const states = hubs.map((h) => this.ofHub(h));
    const state = this.#brokenSince === null ? worst(states) : 'broken';
    const since = state === 'broken' ? this.#brokenSince : (this.#tailCutSince ?? oldest);
    return { state, since, words: sentence(state, since), problems: this.#problems };
  }
}

/** A hub whose clock is ahead vouches for no time to come: a cut tail must show in time. */
function notAhead(heads: Heads): Heads {
  return { ...heads, time: Math.min(heads.time, Math.floor(Date.now() / 1000)) };
}

function worst(states: readonly Trust['state'][]): Trust['state'] {
  const order: readonly Trust['state'][] = ['broken', 'stale', 'verifying', 'verified'];
  return order.find((s) => states.includes(s)) ?? 'verifying';
}

/** Words of a state; times are left to the page, which knows the reader's zone. */
function sentence(state: Trust['state'], since: number | null): string {
  switch (state) {
    case 'verified':
      return 'Complete and verified.';
    case 'verifying':
      return 'Verifying…';
    case 'stale':
      return since === null ? 'Not verified yet: no hub has signed what it recorded.' : 'Not verified as complete since then.';
    case 'broken':
      return 'Something did not verify. It was not shown.';
  }
}
