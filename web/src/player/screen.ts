/**
 * The page's end of MSE: one video element, a media source that lives in the
 * worker or here, the offset between the element's clock and capture time.
 */
import { MseSink } from './sink';
import { type Range, rangesOf } from './pace';
import type { FromFeed } from './wire';

export class Screen {
  readonly video: HTMLVideoElement;
  readonly #failed: (why: string) => void;
  #base: number | null = null;
  #audio = false;
  #sink: MseSink | null = null;
  #url: string | null = null;

  constructor(video: HTMLVideoElement, failed: (why: string) => void) {
    this.video = video;
    this.#failed = failed;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    video.onerror = () => {
      if (this.#base !== null) failed(video.error?.message ?? 'the picture does not decode');
    };
  }

  /** unix milliseconds of an element time; null before the first picture is known */
  capture(elementTime: number): number | null {
    return this.#base === null ? null : (elementTime + this.#base) * 1000;
  }

  /** element time of a unix millisecond */
  elementTime(captureMs: number): number | null {
    return this.#base === null ? null : captureMs / 1000 - this.#base;
  }

  get ranges(): Range[] {
    return rangesOf(this.video.buffered);
  }

  /** Seconds buffered ahead of the picture, holes not counted. */
  get ahead(): number {
    const at = this.video.currentTime;
    return this.ranges.reduce((n, r) => n + Math.max(0, r.end - Math.max(at, r.start)), 0);
  }

  receive(m: Extract<FromFeed, { kind: 'base' | 'source' | 'track' | 'pieces' }>): void {
    switch (m.kind) {
      case 'base':
        this.#base = m.base;
        this.#audio = m.audio;
        return;
      case 'source':
        this.video.srcObject = m.handle as unknown as MediaProvider;
        return;
      case 'track':
        if (m.local) return;
        this.#ownSink()?.init(m.media, m.mime, m.init);
        return;
      case 'pieces':
        for (const p of m.pieces) this.#sink?.fragment(m.media, p.data);
        return;
    }
  }

  #ownSink(): MseSink | null {
    if (this.#sink !== null || this.#base === null) return this.#sink;
    this.#sink = new MseSink(this.#base, this.#audio, { failed: this.#failed });
    this.#url = URL.createObjectURL(this.#sink.source);
    this.video.src = this.#url;
    return this.#sink;
  }

  position(): void {
    this.#sink?.position(this.video.currentTime);
  }

  /** Shows nothing and holds nothing. */
  clear(): void {
    this.#base = null;
    this.#sink?.close();
    this.#sink = null;
    if (this.#url !== null) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.video.srcObject = null;
    this.video.removeAttribute('src');
    this.video.load();
  }
}
