/**
 * One session of recorded footage in the worker: reads from the asked moment
 * on, keeps a little ahead of the picture, says where there is nothing.
 */
import { gapWords } from '../crypto/timeline';
import { Failure } from '../crypto/failure';
import { seekPace } from '../crypto/footage';
import { appError, toAppError } from '../crypto/words';
import type { Gap } from '../owner/types';
import { type Choice, cannotPlayWords, chooseVideo, type FeedHome } from './feedhome';
import { firstAlone, mimeOf, parseFragment } from './fmp4';
import { readUnits } from './livefeed';
import { MseOutlet, type Post, type Unit } from './outlet';
import { canPlay } from './sink';
import { UnitReader } from './units';
import type { Media, SeekRequest } from './wire';

/** Above this rate only key frames are read, of the small stream where there is one. */
export const keyFramesAbove = 4;
/** Sound is of no use when it plays faster than this. */
const soundUpTo = 2;
const aheadSeconds = 12;
const holeMs = 1000;
const pollMs = 1000;
/** The longest that one key frame stands for its successors. */
const maxStillMs = 10_000;

export class SeekFeed {
  readonly #home: FeedHome;
  readonly #request: SeekRequest;
  readonly #post: Post;
  readonly #abort = new AbortController();
  #outlet: MseOutlet | null = null;
  #ahead = 0;
  #lastEnd: number | null = null;
  #wake: () => void = () => undefined;

  constructor(home: FeedHome, request: SeekRequest, post: Post) {
    this.#home = home;
    this.#request = request;
    this.#post = post;
  }

  start(): void {
    const { camera, rate } = this.#request;
    const fast = rate > keyFramesAbove;
    const choice = chooseVideo(this.#home, camera, fast ? 'sub' : 'main');
    if (choice === null) {
      this.#post({ kind: 'failed', session: this.#request.session, error: appError('unsupported') });
      return;
    }
    void this.#play(choice, fast);
  }

  position(currentTime: number, ahead: number): void {
    this.#ahead = ahead;
    this.#outlet?.position(currentTime);
    this.#wake();
  }

  close(): void {
    this.#abort.abort();
    this.#wake();
    this.#outlet?.close();
  }

  async #play(choice: Choice, fast: boolean): Promise<void> {
    const { session, camera, sound, rate } = this.#request;
    if (choice.notice !== null) this.#post({ kind: 'notice', session, text: choice.notice });
    const { state, words } = this.#home.seal(camera);
    this.#post({ kind: 'seal', session, seal: state, words });
    const audio = sound && rate <= soundUpTo ? this.#home.track(camera, 'audio') : null;
    this.#outlet = new MseOutlet(session, audio !== null, this.#post, (why) => {
      this.#post({ kind: 'failed', session, error: appError('internal', { what: `The player stopped: ${why}.` }) });
    });
    try {
      await Promise.all([
        this.#readTrack(choice.track, 'video', fast),
        ...(audio === null ? [] : [this.#readTrack(audio, 'audio', false)]),
      ]);
    } catch (err) {
      if (this.#abort.signal.aborted) return;
      if (err instanceof SwitchToSub) await this.#playSub(choice);
      else this.#post({ kind: 'failed', session, error: toAppError(err) });
    }
  }

  async #playSub(was: Choice): Promise<void> {
    const sub = this.#home.track(this.#request.camera, 'video-sub');
    if (sub === null || was.kind === 'video-sub') {
      this.#post({ kind: 'failed', session: this.#request.session, error: appError('unsupported') });
      return;
    }
    await this.#play({ track: sub, kind: 'video-sub', notice: cannotPlayWords }, false);
  }

  /** Reads to the end of what there is, then looks for more until stopped. */
  async #readTrack(track: string, media: Media, rap: boolean): Promise<void> {
    const { signal } = this.#abort;
    let reached = -Infinity;
    const stills = rap ? new StillRun() : null;
    for (let from = this.#request.at; !signal.aborted; from = Math.max(from, reached)) {
      const reader = new UnitReader(media);
      try {
        for await (const read of this.#home.footage.read(track, { from, rap }, seekPace, signal)) {
          for (const f of read.faults) {
            if (!rap) reader.breakAt(f.from);
            this.#home.fault(this.#request.camera, f);
          }
          const units = readUnits(reader, read.opened);
          this.#wantPlayable(reader);
          // A look for more begins at the last random-access part again.
          const fresh = units.filter((u) => u.start >= reached - 1);
          reached = Math.max(reached, ...fresh.map((u) => u.end));
          await this.#hand(stills === null ? fresh : stills.take(fresh), media, rap);
        }
      } catch (err) {
        if (!(err instanceof Failure) || err.kind !== 'network' || reached === -Infinity) throw err;
      }
      if (media === 'video') this.#post({ kind: 'end', session: this.#request.session });
      await this.#sleep(pollMs);
    }
  }

  #wantPlayable(reader: UnitReader): void {
    if (reader.init?.kind === 'video' && !canPlay(mimeOf(reader.init))) throw new SwitchToSub();
  }

  async #hand(units: readonly Unit[], media: Media, rap: boolean): Promise<void> {
    // Two seconds at a time, so that the first picture does not wait for the rest.
    for (let i = 0; i < units.length; ) {
      const begin = units[i]?.start ?? 0;
      const batch = units.slice(i).filter((u) => u.start < begin + 2000);
      if (media === 'video' && !rap) this.#sayHoles(batch);
      this.#outlet?.push(batch);
      i += batch.length;
      const last = batch[batch.length - 1];
      if (media === 'video' && last !== undefined) this.#ahead += (last.end - begin) / 1000;
      await this.#room();
      if (this.#abort.signal.aborted) return;
    }
  }

  #sayHoles(units: readonly Unit[]): void {
    for (const u of units) {
      const end = this.#lastEnd ?? this.#request.at;
      if (u.start - end > holeMs) void this.#sayGap(end, u.start);
      this.#lastEnd = u.end;
    }
  }

  /** Why there is nothing, in the hub's words where it has some. */
  async #sayGap(from: number, to: number): Promise<void> {
    const { camera, session } = this.#request;
    const unknown: Gap = { from, to, why: 'missing', words: gapWords.missing, alarm: true };
    const said = await this.#home.timeline(camera, from, to, this.#abort.signal).catch(() => null);
    const told = said?.gaps.find((g) => g.from < to && g.to > from);
    if (!this.#abort.signal.aborted) this.#post({ kind: 'gap', session, gap: told === undefined ? unknown : { ...told, from, to } });
  }

  /** Waits while enough is buffered ahead of the picture. */
  async #room(): Promise<void> {
    const enough = aheadSeconds * Math.max(1, this.#request.rate);
    while (this.#ahead > enough && !this.#abort.signal.aborted) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#abort.signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      }, { once: true });
    });
  }
}

/** The main stream turned out not to be playable here. */
class SwitchToSub extends Error {}

/** Makes each key frame last until the next one, which has to be known first; what was gathered with it is left out. */
class StillRun {
  #held: Unit | null = null;

  take(units: readonly Unit[]): Unit[] {
    const out: Unit[] = [];
    for (const u of units) {
      const held = this.#held;
      if (held !== null) out.push(stretched(held, u.start));
      this.#held = u;
    }
    return out;
  }
}

function stretched(u: Unit, until: number): Unit {
  const ms = Math.min(Math.max(until - u.start, u.end - u.start), maxStillMs);
  const units = Math.round((ms * u.init.timescale) / 1000);
  const bytes = firstAlone(u.bytes, units);
  return { ...u, bytes, fragment: parseFragment(bytes), end: u.start + ms };
}
