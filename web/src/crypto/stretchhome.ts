/** Granted footage of somebody outside the household, as players ask for it: the minutes of the grant and nothing beside them. */
import type { Camera, CameraId, Timeline, TrackKind, TrustState } from '../owner/types';
import type { FeedHome } from '../player/feedhome';
import { type Init, parseInit } from '../player/fmp4';
import { hex } from './bytes';
import { Failure } from './failure';
import type { Footage, Pace, Span } from './footage';
import type { TrackRange } from './grant';
import { recordType } from './part';
import type { Fault, Timed } from './reader';

/** What is asked for to learn of which kind a track is. */
const probePace: Pace = { first: 64 << 10, later: 256 << 10 };
/** So long after the last second all of it has arrived. */
const settledMs = 5000;
/** Players name a camera; what was granted has one. */
export const oneCamera = '0'.repeat(32) as CameraId;

/** What was opened and checked. */
export interface Stretch {
  readonly grant: { readonly tracks: readonly TrackRange[] };
  readonly footage: Footage;
  /** track ids (hex) of the grant, in the order of its lines */
  readonly tracks: readonly string[];
}

/** A track of the grant, by what its first picture or sound says. */
interface Found {
  readonly track: string;
  readonly init: Init;
  /** unix milliseconds of the second it begins with */
  readonly at: number;
}

/** Nothing of what was granted has a picture, or not any more. */
export class NoPicture extends Failure {
  constructor() {
    super('not-found', 'footage: no picture in it');
    this.name = 'NoPicture';
  }
}

export class StretchHome implements FeedHome {
  readonly live: FeedHome['live'] = { watch: () => { throw new Failure('unsupported', 'footage: nothing live'); } };
  readonly footage: Pick<Footage, 'read'>;
  readonly #opened: Stretch;
  readonly #found = new Map<TrackKind, Found>();
  /** whoever reads under this signal has read these tracks to their end */
  readonly #read = new WeakMap<AbortSignal, Set<string>>();
  readonly #faults: Fault[] = [];
  readonly #whole: (until: number) => void;

  protected constructor(opened: Stretch, whole: (until: number) => void) {
    this.#opened = opened;
    this.#whole = whole;
    this.footage = { read: (track, span, pace, signal) => this.#readTrack(track, span, pace, signal) };
  }

  static async of(opened: Stretch, whole: (until: number) => void, signal: AbortSignal): Promise<StretchHome> {
    const home = new StretchHome(opened, whole);
    await home.find(signal);
    return home;
  }

  /** Finds out which track is what: a statement does not say. `whole` hears where the picture ends. Throws Failure 'not-found' when there is none. */
  protected async find(signal: AbortSignal): Promise<void> {
    for (const track of this.#opened.tracks) {
      const found = await this.#probe(track, signal);
      if (found === null) continue;
      const kind: TrackKind = found.init.kind === 'audio' ? 'audio' : 'video';
      if (!this.#found.has(kind)) this.#found.set(kind, found);
    }
    if (!this.#found.has('video')) throw new NoPicture();
  }

  /** unix milliseconds of the first picture that can be shown */
  get begins(): number {
    return this.#found.get('video')?.at ?? this.from;
  }

  get from(): number {
    return Math.min(...this.#opened.grant.tracks.map((t) => t.from)) * 1000;
  }

  get until(): number {
    return Math.max(...this.#opened.grant.tracks.map((t) => t.until)) * 1000;
  }

  get sound(): boolean {
    return this.#found.has('audio');
  }

  camera(): Camera | null {
    return null;
  }

  track(_camera: CameraId, kind: TrackKind): string | null {
    return this.#found.get(kind)?.track ?? null;
  }

  seal(): { state: TrustState; words: string } {
    if (this.#faults.some((f) => f.cause !== null)) return { state: 'broken', words: 'Some of this footage did not verify and is not shown.' };
    if (this.#faults.some((f) => f.why === 'missing')) return { state: 'stale', words: 'Some of this footage is missing.' };
    return { state: 'verified', words: 'Every picture shown is signed by the hub that filmed it.' };
  }

  fault(_camera: CameraId, fault: Fault): void {
    if (fault.why !== 'not-shared') this.#faults.push(fault);
  }

  timeline(): Promise<Timeline> {
    return Promise.resolve({ ranges: [], gaps: [], events: [], coarse: true });
  }

  async *#readTrack(track: string, span: Span, pace: Pace, signal: AbortSignal): ReturnType<Footage['read']> {
    const read = this.#read.get(signal) ?? new Set();
    this.#read.set(signal, read);
    // The past does not grow: who has read it to its end need not ask again.
    if (read.has(track)) return;
    const past = this.until + settledMs < Date.now();
    let end = 0;
    for await (const got of this.#opened.footage.read(track, this.#within(track, span), pace, signal)) {
      end = Math.max(end, ...got.opened.map((t) => t.at + 1000));
      yield got;
    }
    if (signal.aborted || span.rap === true || !past) return;
    read.add(track);
    if (track === this.#found.get('video')?.track && end > 0) this.#whole(end);
  }

  /** Nothing outside the lines is asked for. */
  #within(track: string, span: Span): Span {
    const lines = this.#opened.grant.tracks.filter((t) => hex(t.track) === track);
    const from = Math.min(...lines.map((l) => l.from)) * 1000;
    const until = Math.max(...lines.map((l) => l.until)) * 1000;
    return { ...span, from: Math.max(span.from, from), to: Math.min(span.to ?? until, until) };
  }

  async #probe(track: string, signal: AbortSignal): Promise<Found | null> {
    try {
      for await (const { opened } of this.#opened.footage.read(track, this.#within(track, { from: 0 }), probePace, signal)) {
        const first = opened.map((t) => foundIn(track, t)).find((f) => f !== null);
        if (first !== undefined) return first;
      }
    } catch (err) {
      if (!(err instanceof Failure) || err.kind !== 'not-found') throw err;
    }
    return null;
  }
}

function foundIn(track: string, t: Timed): Found | null {
  const init = t.part.records.find((r) => r.type === recordType.init);
  return init === undefined ? null : { track, init: parseInit(init.data), at: t.at };
}
