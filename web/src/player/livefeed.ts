/** One live session in the worker: watches the tracks, hands pictures to MSE, a decoder, or both. */
import type { Fault, Timed } from '../crypto/reader';
import { appError } from '../crypto/words';
import { type Choice, cannotPlayWords, chooseVideo, type FeedHome } from './feedhome';
import { mimeOf } from './fmp4';
import { LowDelay } from './lowdelay';
import { MseOutlet, type Post, type Unit } from './outlet';
import { canPlay } from './sink';
import { UnitReader } from './units';
import type { LiveRequest } from './wire';

/** So many skips within this time and a viewer on "auto" gets the small stream. */
const slowSkips = 3;
const slowWithinMs = 20_000;

export class LiveFeed {
  readonly #home: FeedHome;
  readonly #request: LiveRequest;
  readonly #post: Post;
  readonly #stops: ((atOnce?: boolean) => void)[] = [];
  readonly #skips: number[] = [];
  #choice: Choice | null = null;
  #outlet: MseOutlet | null = null;
  #decoder: LowDelay | null = null;
  #trial = false;
  #canvas: OffscreenCanvas | null;
  #idle = false;
  #closed = false;

  constructor(home: FeedHome, request: LiveRequest, canvas: OffscreenCanvas | null, post: Post) {
    this.#home = home;
    this.#request = request;
    this.#canvas = canvas;
    this.#post = post;
  }

  start(): void {
    const choice = chooseVideo(this.#home, this.#request.camera, this.#request.quality === 'sub' ? 'sub' : 'main');
    if (choice === null) {
      this.#fail('unsupported');
      return;
    }
    this.#show(choice);
  }

  setCanvas(canvas: OffscreenCanvas): void {
    this.#canvas = canvas;
  }

  mode(mode: 'mse' | 'trial' | 'webcodecs'): void {
    if (mode === 'mse') {
      this.#stopDecoder();
      return;
    }
    if (mode === 'trial') {
      this.#startDecoder(null);
      return;
    }
    if (this.#canvas === null) return;
    if (this.#decoder === null) this.#startDecoder(this.#canvas);
    else this.#decoder.show(this.#canvas);
    this.#trial = false;
    this.#outlet?.close();
    this.#outlet = null;
  }

  position(currentTime: number): void {
    this.#outlet?.position(currentTime);
  }

  close(): void {
    this.#closed = true;
    this.#stopTracks();
    this.#stopDecoder();
    this.#outlet?.close();
    this.#outlet = null;
  }

  #stopTracks(atOnce = false): void {
    for (const stop of this.#stops.splice(0)) stop(atOnce);
  }

  #show(choice: Choice): void {
    const { session, sound, camera, mode } = this.#request;
    this.#stopTracks();
    this.#choice = choice;
    if (choice.notice !== null) this.#post({ kind: 'notice', session, text: choice.notice });
    const audio = sound ? this.#home.track(camera, 'audio') : null;
    if (mode === 'webcodecs' && this.#canvas !== null) {
      this.#startDecoder(this.#canvas);
    } else {
      this.#outlet?.close();
      this.#outlet = new MseOutlet(session, audio !== null, this.#post, (why) => { this.#failed(why); });
    }
    this.#watch(choice.track, new UnitReader('video'));
    if (audio !== null && this.#outlet !== null) this.#watch(audio, new UnitReader('audio'));
  }

  #watch(track: string, reader: UnitReader): void {
    const { session } = this.#request;
    const stop = this.#home.live.watch(track, {
      parts: (opened) => { this.#parts(reader, opened); },
      fault: (f) => {
        reader.breakAt(f.from);
        this.#fault(f);
      },
      skip: (count) => { this.#skipped(count); },
      idle: () => { this.#setIdle(true); },
      connected: (on) => { if (!on) this.#setIdle(true); },
    });
    this.#stops.push(stop);
    this.#post({ kind: 'seal', session, ...this.#seal() });
  }

  #parts(reader: UnitReader, opened: readonly Timed[]): void {
    if (this.#closed) return;
    this.#setIdle(false);
    const units = readUnits(reader, opened);
    const init = reader.init;
    if (init?.kind === 'video' && !canPlay(mimeOf(init)) && this.#outlet !== null) {
      this.#switchToSub(cannotPlayWords);
      return;
    }
    this.#outlet?.push(units);
    const decoder = this.#decoder;
    if (decoder === null) return;
    for (const u of units) {
      if (u.media !== 'video') continue;
      if (u.initBytes !== null && this.#outlet === null) this.#describe(u);
      decoder.push(u.init, u.fragment);
    }
  }

  /** What a media source would have announced. */
  #describe(u: Unit): void {
    const { codec, width, height } = u.init;
    this.#post({ kind: 'track', session: this.#request.session, local: true, media: 'video', mime: mimeOf(u.init), codec, width, height, init: new ArrayBuffer(0) });
  }

  #switchToSub(notice: string): void {
    const sub = this.#home.track(this.#request.camera, 'video-sub');
    if (sub === null || this.#choice?.kind === 'video-sub') this.#fail('unsupported');
    else {
      this.#stopTracks(true); // on a slow line the large stream is in the way of the small one
      this.#show({ track: sub, kind: 'video-sub', notice });
    }
  }

  #skipped(count: number): void {
    const now = Date.now();
    this.#post({ kind: 'skip', session: this.#request.session, count });
    this.#skips.push(now);
    const recent = this.#skips.filter((t) => t > now - slowWithinMs);
    const hasSub = this.#home.track(this.#request.camera, 'video-sub') !== null;
    if (this.#request.quality === 'auto' && this.#choice?.kind === 'video' && hasSub && recent.length >= slowSkips) {
      this.#switchToSub('The connection is slow: showing the small stream.');
    }
  }

  #fault(f: Fault): void {
    this.#home.fault(this.#request.camera, f);
    this.#post({ kind: 'seal', session: this.#request.session, ...this.#seal() });
  }

  #seal(): { seal: ReturnType<FeedHome['seal']>['state']; words: string } {
    const { state, words } = this.#home.seal(this.#request.camera);
    return { seal: state, words };
  }

  #setIdle(on: boolean): void {
    if (this.#idle === on) return;
    this.#idle = on;
    this.#post({ kind: 'idle', session: this.#request.session, on });
  }

  #startDecoder(canvas: OffscreenCanvas | null): void {
    this.#trial = canvas === null;
    const { session } = this.#request;
    this.#decoder ??= new LowDelay(canvas, {
      shown: (shown) => { this.#post({ kind: 'shown', session, shown, trial: this.#trial }); },
      failed: () => {
        this.#decoder = null;
        this.#post({ kind: 'slow', session });
      },
    });
  }

  #stopDecoder(): void {
    this.#decoder?.close();
    this.#decoder = null;
  }

  #failed(why: string): void {
    if (this.#closed) return;
    this.#post({ kind: 'failed', session: this.#request.session, error: appError('internal', { what: `The player stopped: ${why}.`, next: 'Open the camera again.' }) });
  }

  #fail(kind: 'unsupported'): void {
    const error = appError(kind, { what: 'This browser cannot play this camera’s picture.', next: 'Use another browser, or give the camera a small H.264 stream.' });
    this.#post({ kind: 'failed', session: this.#request.session, error });
  }
}

/** Units of opened parts; one that is no MP4 is passed over: it verified, so its hub wrote it. */
export function readUnits(reader: UnitReader, opened: readonly Timed[]): Unit[] {
  return opened.flatMap((t) => {
    try {
      return reader.read(t);
    } catch {
      return [];
    }
  });
}
