/**
 * A media source and its buffers. Runs in the worker where MediaSource can,
 * else on the page; knows neither network nor keys. Operations on a buffer are
 * queued: MSE takes one at a time.
 */
import type { Media } from './wire';

/** Seconds kept behind the picture: for a step back. */
const keepBehind = 20;
/** When the quota is met, this much less. */
const keepTight = 4;

export interface SinkEvents {
  /** it cannot go on; the player has to be rebuilt */
  failed(why: string): void;
}

type Work = { readonly append: ArrayBuffer[] } | { readonly act: (buffer: SourceBuffer) => void };

/** Fragments that wait are appended together up to this many bytes: a joining burst in one operation instead of fifty. */
const appendBytes = 1 << 20;

/** The constructor this browser has; Safari on phones has only the managed one. */
export function mediaSourceClass(): typeof MediaSource | null {
  const scope = globalThis as { ManagedMediaSource?: typeof MediaSource; MediaSource?: typeof MediaSource };
  return scope.ManagedMediaSource ?? scope.MediaSource ?? null;
}

export function canPlay(mime: string): boolean {
  return mediaSourceClass()?.isTypeSupported(mime) ?? false;
}

/** True where a media source can live in a dedicated worker. */
export function sourceInWorker(): boolean {
  return (mediaSourceClass() as { canConstructInDedicatedWorker?: boolean } | null)?.canConstructInDedicatedWorker === true;
}

class BufferLine {
  mime: string;
  readonly #queue: Work[] = [];
  readonly #buffer: SourceBuffer;
  readonly #behind: () => number;
  readonly #failed: (why: string) => void;

  constructor(buffer: SourceBuffer, mime: string, behind: () => number, failed: (why: string) => void) {
    this.#buffer = buffer;
    this.mime = mime;
    this.#behind = behind;
    this.#failed = failed;
    buffer.onupdateend = () => {
      this.#next();
    };
  }

  act(act: (buffer: SourceBuffer) => void): void {
    this.#queue.push({ act });
    this.#next();
  }

  append(bytes: ArrayBuffer): void {
    const last = this.#queue[this.#queue.length - 1];
    const room = last !== undefined && 'append' in last && sizeOf(last.append) + bytes.byteLength <= appendBytes;
    if (room) last.append.push(bytes);
    else this.#queue.push({ append: [bytes] });
    this.#next();
  }

  evict(before: number): void {
    if (before - this.#first > keepBehind) this.act((b) => { b.remove(0, before); });
  }

  /** Where the buffer begins; Infinity when it is empty, or its element has just gone. */
  get #first(): number {
    try {
      return this.#buffer.buffered.length === 0 ? Infinity : this.#buffer.buffered.start(0);
    } catch {
      return Infinity;
    }
  }

  #next(): void {
    const work = this.#queue[0];
    if (work === undefined || this.#buffer.updating) return;
    try {
      if ('act' in work) work.act(this.#buffer);
      else this.#buffer.appendBuffer(joined(work.append));
      this.#queue.shift();
    } catch (err) {
      this.#trouble(err);
      return;
    }
    // Not every operation is asynchronous (changeType, timestampOffset).
    if (!this.#buffer.updating) this.#next();
  }

  /** On a full buffer: let go of what was seen, then try the same append again. */
  #trouble(err: unknown): void {
    const full = err instanceof DOMException && err.name === 'QuotaExceededError';
    const until = this.#behind() - keepTight;
    if (!full || until <= this.#first) {
      this.#queue.length = 0;
      this.#failed(full ? 'the buffer is full' : String(err));
      return;
    }
    this.#buffer.remove(0, until);
  }
}

const sizeOf = (pieces: readonly ArrayBuffer[]): number => pieces.reduce((n, p) => n + p.byteLength, 0);

function joined(pieces: readonly ArrayBuffer[]): ArrayBuffer {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const all = new Uint8Array(sizeOf(pieces));
  let at = 0;
  for (const p of pieces) {
    all.set(new Uint8Array(p), at);
    at += p.byteLength;
  }
  return all.buffer;
}

export class MseSink {
  readonly source: MediaSource;
  readonly #base: number;
  readonly #wanted: ReadonlySet<Media>;
  readonly #events: SinkEvents;
  readonly #lines = new Map<Media, BufferLine>();
  readonly #waiting: (() => void)[] = [];
  readonly #inits = new Map<Media, string>();
  #currentTime = 0;
  #closed = false;
  #soundTimer: ReturnType<typeof setTimeout> | undefined;

  /** `base` is what the element calls second 0, in unix seconds; a whole number. */
  constructor(base: number, audio: boolean, events: SinkEvents) {
    const Source = mediaSourceClass();
    if (Source === null) throw new TypeError('sink: no MediaSource here');
    this.source = new Source();
    this.#base = base;
    this.#wanted = new Set(audio ? ['video', 'audio'] : ['video']);
    this.#events = events;
    this.source.onsourceopen = () => {
      this.#ready();
    };
  }

  /** An init: the first one of a medium, or one whose codec may have changed. */
  init(media: Media, mime: string, bytes: ArrayBuffer): void {
    if (!this.#wanted.has(media)) return;
    const before = this.#inits.get(media);
    this.#inits.set(media, mime);
    if (before === undefined) this.#ready();
    this.#do(media, (line) => {
      if (line.mime !== mime) {
        line.act((b) => { b.changeType(mime); });
        line.mime = mime;
      }
      line.append(bytes);
    });
  }

  fragment(media: Media, bytes: ArrayBuffer): void {
    if (!this.#wanted.has(media) || !this.#inits.has(media)) return;
    this.#do(media, (line) => { line.append(bytes); });
  }

  /** Where the element is, in its own seconds: what lies far behind goes. */
  position(currentTime: number): void {
    this.#currentTime = currentTime;
    for (const line of this.#lines.values()) line.evict(currentTime - keepBehind / 2);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#soundTimer);
    this.#waiting.length = 0;
    this.#lines.clear();
    this.source.onsourceopen = null;
  }

  #do(media: Media, work: (line: BufferLine) => void): void {
    const line = this.#lines.get(media);
    if (line !== undefined) work(line);
    else if (!this.#closed) this.#waiting.push(() => { this.#do(media, work); });
  }

  /**
   * Buffers cannot be added once data flows, so all are made at once, when the
   * inits of all media are known; sound that does not come is not waited for.
   */
  #ready(): void {
    if (this.#closed || this.source.readyState !== 'open' || this.#lines.size > 0 || !this.#inits.has('video')) return;
    const missing = [...this.#wanted].some((m) => !this.#inits.has(m));
    if (missing && this.#soundTimer === undefined) {
      this.#soundTimer = setTimeout(() => { this.#make(); }, 500);
      return;
    }
    if (!missing) this.#make();
  }

  #make(): void {
    clearTimeout(this.#soundTimer);
    if (this.#closed || this.#lines.size > 0 || this.source.readyState !== 'open') return;
    try {
      for (const [media, mime] of this.#inits) this.#lines.set(media, this.#line(mime));
      // A fixed far end: seeking is then allowed before anything is buffered.
      this.source.duration = 2 ** 31;
    } catch (err) {
      this.#events.failed(String(err));
      return;
    }
    for (const work of this.#waiting.splice(0)) work();
  }

  #line(mime: string): BufferLine {
    const buffer = this.source.addSourceBuffer(mime);
    // Unix times are near 2^31: counted from base, doubles keep microseconds.
    buffer.timestampOffset = -this.#base;
    return new BufferLine(buffer, mime, () => this.#currentTime, (why) => {
      if (!this.#closed) this.#events.failed(why);
    });
  }
}
