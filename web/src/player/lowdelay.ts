/**
 * The low-delay way: a decoder and a canvas in the worker. Its own clock: the
 * newest decoded picture at each animation frame, older ones are dropped.
 */
import { captureMs, type Fragment, type Init } from './fmp4';
import type { Shown } from './wire';

/** More than this waiting in the decoder means it is behind: go on at the next key frame. */
const maxQueue = 12;
/** A picture this much older than the newest one in hand is part of a burst: decoded, not shown. */
const burstMs = 300;

export interface LowDelayEvents {
  shown(s: Shown): void;
  failed(): void;
}

export class LowDelay {
  readonly #events: LowDelayEvents;
  #canvas: OffscreenCanvas | null;
  #decoder: VideoDecoder | null = null;
  #configured = '';
  #newest: VideoFrame | null = null;
  #waitingForKey = true;
  #frames = 0;
  #dropped = 0;
  #base = 0;
  #pushed = 0;
  #drawing = 0;
  #closed = false;

  /** Without a canvas nothing is drawn: a trial that only measures. */
  constructor(canvas: OffscreenCanvas | null, events: LowDelayEvents) {
    this.#canvas = canvas;
    this.#events = events;
  }

  /** Draws from now on. */
  show(canvas: OffscreenCanvas): void {
    this.#canvas = canvas;
  }

  push(init: Init, f: Fragment): void {
    if (this.#closed) return;
    let at = f.decodeTime;
    for (const s of f.samples) {
      const capture = captureMs(at + s.compositionOffset, init.timescale);
      at += s.duration;
      if (this.#waitingForKey && !s.sync) {
        this.#dropped++;
        continue;
      }
      const decoder = this.#ready(init, f.decodeTime / init.timescale);
      if (decoder === null) return;
      if (!s.sync && decoder.decodeQueueSize > maxQueue) {
        this.#waitingForKey = true;
        this.#dropped++;
        continue;
      }
      this.#waitingForKey = false;
      // Microseconds since base: unix times in microseconds would lose digits in some decoders.
      const timestamp = Math.round((capture - this.#base) * 1000);
      this.#pushed = timestamp;
      decoder.decode(new EncodedVideoChunk({ type: s.sync ? 'key' : 'delta', timestamp, data: s.data }));
    }
  }

  close(): void {
    this.#closed = true;
    cancelAnimationFrame(this.#drawing);
    this.#newest?.close();
    this.#newest = null;
    if (this.#decoder !== null && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#decoder = null;
  }

  #ready(init: Init, at: number): VideoDecoder | null {
    const key = `${init.codec} ${init.width}x${init.height} ${init.description.join()}`;
    if (this.#decoder?.state === 'configured' && this.#configured === key) return this.#decoder;
    if (this.#base === 0) this.#base = Math.floor(at) * 1000;
    try {
      if (this.#decoder === null || this.#decoder.state === 'closed') {
        this.#decoder = new VideoDecoder({
          output: (frame) => { this.#output(frame); },
          error: () => { this.#fail(); },
        });
      }
      this.#decoder.configure({ codec: init.codec, description: init.description, optimizeForLatency: true });
      this.#configured = key;
      return this.#decoder;
    } catch {
      this.#fail();
      return null;
    }
  }

  #fail(): void {
    if (this.#closed) return;
    this.close();
    this.#events.failed();
  }

  #output(frame: VideoFrame): void {
    const stale = frame.timestamp < this.#pushed - burstMs * 1000 && (this.#decoder?.decodeQueueSize ?? 0) > 0;
    if (this.#closed || stale) {
      frame.close();
      return;
    }
    this.#frames++;
    if (this.#newest !== null) {
      this.#newest.close();
      this.#dropped++;
    }
    this.#newest = frame;
    this.#drawing ||= requestAnimationFrame(() => { this.#draw(); });
  }

  #draw(): void {
    this.#drawing = 0;
    const frame = this.#newest;
    this.#newest = null;
    if (frame === null) return;
    const canvas = this.#canvas;
    if (canvas !== null) {
      if (canvas.width !== frame.displayWidth || canvas.height !== frame.displayHeight) {
        canvas.width = frame.displayWidth;
        canvas.height = frame.displayHeight;
      }
      canvas.getContext('2d', { alpha: false, desynchronized: true })?.drawImage(frame, 0, 0);
    }
    const capture = this.#base + frame.timestamp / 1000;
    frame.close();
    this.#events.shown({ capture, at: Date.now(), frames: this.#frames, dropped: this.#dropped });
  }
}
