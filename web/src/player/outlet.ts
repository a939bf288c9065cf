/**
 * Where opened fragments go: to a media source in this worker, or to one on the
 * page where workers have none.
 */
import type { Fragment, Init } from './fmp4';
import { mimeOf } from './fmp4';
import { MseSink, sourceInWorker } from './sink';
import type { FromFeed, Media, Piece } from './wire';

/** Posts to the page. */
export type Post = (m: FromFeed, transfer?: Transferable[]) => void;

/** An opened fragment with what a player needs to know of it. */
export interface Unit {
  readonly media: Media;
  readonly init: Init;
  /** init bytes when they differ from the ones before, else null */
  readonly initBytes: Uint8Array<ArrayBuffer> | null;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly fragment: Fragment;
  /** unix milliseconds */
  readonly start: number;
  readonly end: number;
}

/** The element's second 0 lies this far before the first picture: sound may begin earlier. */
const baseMargin = 10;

/** Cuts the one buffer a view lies in: what is transferred must not take others along. */
function detached(b: Uint8Array<ArrayBuffer>): ArrayBuffer {
  return b.slice().buffer;
}

/** One media source's worth of a session. */
export class MseOutlet {
  readonly #session: number;
  readonly #audio: boolean;
  readonly #post: Post;
  readonly #failed: (why: string) => void;
  #sink: MseSink | null = null;
  #based = false;
  #early: Unit[] = [];

  constructor(session: number, audio: boolean, post: Post, failed: (why: string) => void) {
    this.#session = session;
    this.#audio = audio;
    this.#post = post;
    this.#failed = failed;
  }

  push(units: readonly Unit[]): void {
    if (!this.#based) {
      this.#early.push(...units);
      const first = this.#early.find((u) => u.media === 'video');
      if (first === undefined) return;
      this.#begin(first);
      units = this.#early.splice(0);
    }
    for (const u of units) this.#announce(u);
    if (this.#sink === null) this.#send(units);
    else for (const u of units) this.#sink.fragment(u.media, detached(u.bytes));
    this.#reached(units);
  }

  position(currentTime: number): void {
    this.#sink?.position(currentTime);
  }

  close(): void {
    this.#sink?.close();
    this.#sink = null;
  }

  #begin(first: Unit): void {
    this.#based = true;
    const base = Math.floor(first.start / 1000) - baseMargin;
    this.#post({ kind: 'base', session: this.#session, base, audio: this.#audio });
    if (!sourceInWorker()) return;
    this.#sink = new MseSink(base, this.#audio, { failed: this.#failed });
    const handle = (this.#sink.source as MediaSource & { readonly handle: MediaSourceHandle }).handle;
    this.#post({ kind: 'source', session: this.#session, handle }, [handle]);
  }

  #announce(u: Unit): void {
    if (u.initBytes === null) return;
    const { codec, width, height } = u.init;
    const mime = mimeOf(u.init);
    const local = this.#sink !== null;
    this.#sink?.init(u.media, mime, detached(u.initBytes));
    const init = local ? new ArrayBuffer(0) : detached(u.initBytes);
    this.#post({ kind: 'track', session: this.#session, local, media: u.media, mime, codec, width, height, init }, [init]);
  }

  #send(units: readonly Unit[]): void {
    for (const media of ['video', 'audio'] as const) {
      const pieces = units.filter((u) => u.media === media).map((u): Piece => ({ data: detached(u.bytes), start: u.start, end: u.end }));
      if (pieces.length > 0) this.#post({ kind: 'pieces', session: this.#session, media, pieces }, pieces.map((p) => p.data));
    }
  }

  #reached(units: readonly Unit[]): void {
    const video = units.filter((u) => u.media === 'video');
    const first = video[0];
    const last = video[video.length - 1];
    if (first === undefined || last === undefined) return;
    this.#post({ kind: 'reached', session: this.#session, from: first.start, to: last.end, frameMs: (last.end - last.start) / last.fragment.samples.length });
  }
}
