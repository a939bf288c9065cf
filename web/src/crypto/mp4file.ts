/**
 * One ordinary MP4: samples byte for byte as the camera sent them, times as they
 * were (the last picture stands through a gap), an edit list that trims to the
 * asked range. Byte for byte what `latchkey export` makes of the same parts. The
 * file is a Blob that the browser may keep on disk: in memory are its tables, and
 * what was added last.
 */
import type { Init, Sample } from '../player/fmp4';
import { type Bytes, concat, equal } from './bytes';
import { Failure } from './failure';

interface Chunk {
  readonly offset: number;
  samples: number;
  readonly entry: number;
}

/** One track of the file; times in its own ticks since the Unix epoch. */
export class FileTrack {
  /** of the first init; null: nothing is in it yet */
  init: Init | null = null;
  readonly sizes: number[] = [];
  readonly starts: number[] = [];
  readonly durations: number[] = [];
  readonly offsets: number[] = [];
  readonly sync: number[] = [];
  readonly chunks: Chunk[] = [];
  #entries: Bytes[] = [];
  #entry = 0;
  #width = 0;
  #height = 0;

  constructor(readonly id: number, readonly video: boolean) {}

  /** Makes the sample entry of an init the current one; true when that is another than before. */
  use(init: Init): boolean {
    this.init ??= init;
    [this.#width, this.#height] = [Math.max(this.#width, init.width), Math.max(this.#height, init.height)];
    const at = this.#entries.findIndex((e) => equal(e, init.entry));
    if (at < 0) this.#entries.push(init.entry.slice());
    const entry = at < 0 ? this.#entries.length : at + 1;
    const changed = entry !== this.#entry;
    this.#entry = entry;
    return changed;
  }

  /** The four letters of the codec in use. */
  get codec(): string {
    return this.#entries[0] === undefined ? '' : String.fromCharCode(...this.#entries[0].subarray(4, 8));
  }

  get scale(): number {
    return this.init?.timescale ?? 1;
  }

  beginChunk(offset: number): void {
    this.chunks.push({ offset, samples: 0, entry: this.#entry });
  }

  /** The last sample ends where this one begins; one that is not later is moved on by a tick. */
  add(s: Sample, start: number, duration: number): void {
    const n = this.starts.length;
    const before = this.starts[n - 1];
    const at = before === undefined ? start : Math.max(start, before + 1);
    if (before !== undefined) {
      if (at - before > 0xffff_ffff) throw new Failure('unsupported', 'movie: a pause of more than half a day');
      this.durations[n - 1] = at - before;
    }
    this.starts.push(at);
    this.durations.push(duration);
    this.sizes.push(s.data.length);
    this.offsets.push(s.compositionOffset);
    if (s.sync) this.sync.push(n + 1);
    const chunk = this.chunks[this.chunks.length - 1];
    if (chunk !== undefined) chunk.samples++;
  }

  get first(): number {
    return this.starts[0] ?? 0;
  }

  get end(): number {
    return (this.starts[this.starts.length - 1] ?? 0) + (this.durations[this.durations.length - 1] ?? 0);
  }

  /** `from` and `to` in nanoseconds. */
  box(from: bigint, to: bigint): Bytes {
    const tkhd = full(
      'tkhd', 1, 3, u64(0n, 0n), u32(this.id, 0), u64(movieTicks(to - from)), u32(0, 0),
      this.video ? u16(0, 0, 0, 0) : u16(0, 1, 0x100, 0), matrix, u32(this.#width << 16, this.#height << 16),
    );
    const mdhd = full('mdhd', 1, 0, u64(0n, 0n), u32(this.scale), u64(BigInt(this.end - this.first)), u16(0x55c4, 0));
    const hdlr = full('hdlr', 0, 0, u32(0), ascii(this.video ? 'vide' : 'soun'), u32(0, 0, 0), ascii(this.video ? 'video\0' : 'sound\0'));
    const kind = this.video ? full('vmhd', 0, 1, u16(0, 0, 0, 0)) : full('smhd', 0, 0, u32(0));
    const dinf = box('dinf', full('dref', 0, 0, u32(1), full('url ', 0, 1)));
    return box('trak', tkhd, box('edts', this.#edits(from, to)), box('mdia', mdhd, hdlr, box('minf', kind, dinf, this.#tables())));
  }

  /** Trims to the range: nothing where the track begins later, then from the asked moment on. */
  #edits(from: bigint, to: bigint): Bytes {
    const lead = this.offsets[0] ?? 0;
    const shown = timeOf(this.first + lead, this.scale);
    const end = timeOf(this.end, this.scale);
    const until = end > to ? to : end;
    const late = shown > from;
    const asked = ticksOf(from, this.scale) - BigInt(this.first);
    const media = late ? BigInt(lead) : asked > 0n ? asked : 0n;
    const length = until - (late ? shown : from);
    const wait = late ? movieTicks(shown - from) : 0n;
    const pause = wait > 0n ? [u64(wait, -1n), u16(1, 0)] : [];
    return full('elst', 1, 0, u32(wait > 0n ? 2 : 1), ...pause, u64(movieTicks(length > 0n ? length : 0n), media), u16(1, 0));
  }

  #tables(): Bytes {
    const stsd = full('stsd', 0, 0, u32(this.#entries.length), ...this.#entries);
    const composed = this.offsets.some((o) => o !== 0);
    const ctts = composed ? [runs('ctts', 1, this.offsets)] : [];
    const stss = this.sync.length === this.sizes.length ? [] : [full('stss', 0, 0, u32(this.sync.length), u32(...this.sync))];
    const stsz = full('stsz', 0, 0, u32(0, this.sizes.length), u32(...this.sizes));
    return box('stbl', stsd, runs('stts', 0, this.durations), ...ctts, ...stss, this.#chunkTable(), stsz, this.#places());
  }

  #chunkTable(): Bytes {
    const rows: number[] = [];
    this.chunks.forEach((c, i) => {
      const before = this.chunks[i - 1];
      if (before?.samples !== c.samples || before.entry !== c.entry) rows.push(i + 1, c.samples, c.entry);
    });
    return full('stsc', 0, 0, u32(rows.length / 3), u32(...rows));
  }

  #places(): Bytes {
    const at = this.chunks.map((c) => c.offset);
    const count = u32(at.length);
    return (at[at.length - 1] ?? 0) < 2 ** 32 ? full('stco', 0, 0, count, u32(...at)) : full('co64', 0, 0, count, u64(...at.map(BigInt)));
  }
}

/** Room for the tables in front of the media, by the length of the range. */
const room = { fixed: 4 << 10, perSecond: 2 << 10, most: 16 << 20 };
/** A chunk holds as many samples at most: players read whole chunks. */
const chunkSamples = 32;
/** So many bytes are handed to the browser as one piece. */
const atOnce = 8 << 20;

export class Mp4File {
  readonly video = new FileTrack(1, true);
  readonly audio = new FileTrack(2, false);
  readonly #parts: Blob[] = [];
  #loose: Bytes[] = [];
  #looseSize = 0;
  readonly #ftyp = box('ftyp', ascii('isom\0\0\x02\0isomiso6mp41'));
  readonly #room: number;
  #at: number;
  #last: FileTrack | null = null;

  /** For a range of this length, in nanoseconds. */
  constructor(length: bigint) {
    this.#room = Math.min(room.fixed + (Number(length / second) + 1) * room.perSecond, room.most);
    this.#at = this.#mdat + 16;
  }

  get #mdat(): number {
    return this.#ftyp.length + this.#room;
  }

  /** Adds samples that begin at `start` on a clock of `scale` ticks a second. `fresh`: under another sample entry than those before. */
  put(track: FileTrack, samples: readonly Sample[], start: number, scale: number, fresh: boolean): void {
    let at = start;
    samples.forEach((s, i) => {
      const last = track.chunks[track.chunks.length - 1];
      if (i === 0 && (fresh || this.#last !== track || last === undefined || last.samples >= chunkSamples)) track.beginChunk(this.#at);
      this.#last = track;
      track.add(s, rescaled(at, scale, track.scale), rescaled(s.duration, scale, track.scale));
      this.#keep(s.data.slice());
      at += s.duration;
    });
  }

  #keep(data: Bytes): void {
    this.#loose.push(data);
    this.#at += data.length;
    this.#looseSize += data.length;
    if (this.#looseSize < atOnce) return;
    this.#parts.push(new Blob(this.#loose));
    [this.#loose, this.#looseSize] = [[], 0];
  }

  /** The file, showing [from, to) in nanoseconds. */
  finish(from: bigint, to: bigint): Blob {
    const tracks = this.audio.sizes.length === 0 ? [this.video] : [this.video, this.audio];
    const mvhd = full('mvhd', 1, 0, u64(0n, 0n), u32(Number(movieScale)), u64(movieTicks(to - from)), u32(0x10000), u16(0x100, 0), u32(0, 0), matrix, u32(0, 0, 0, 0, 0, 0), u32(tracks.length + 1));
    const moov = box('moov', mvhd, ...tracks.map((t) => t.box(from, to)));
    const left = this.#room - moov.length;
    const fits = left === 0 || left >= 8;
    const free = (size: number): Bytes => concat(u32(size), ascii('free'), new Uint8Array(size - 8));
    const before = !fits ? [free(this.#room)] : left > 0 ? [moov, free(left)] : [moov];
    const mdat = concat(u32(1), ascii('mdat'), u64(BigInt(this.#at - this.#mdat)));
    return new Blob([this.#ftyp, ...before, mdat, ...this.#parts, ...this.#loose, ...(fits ? [] : [moov])], { type: 'video/mp4' });
  }
}

/** Ticks of one clock in those of another. */
function rescaled(v: number, from: number, to: number): number {
  if (from === to) return v;
  return Math.floor(v / from) * to + Math.floor(((v % from) * to + Math.floor(from / 2)) / from);
}

function runs(type: string, version: number, values: readonly number[]): Bytes {
  const rows: number[] = [];
  let n = 0;
  for (let i = 0; i < values.length; n++) {
    let j = i + 1;
    while (j < values.length && values[j] === values[i]) j++;
    rows.push(j - i, values[i] ?? 0);
    i = j;
  }
  return full(type, version, 0, u32(n), u32(...rows));
}

// Boxes of ISO/IEC 14496-12, by name.

function ascii(s: string): Bytes {
  return Uint8Array.from(s, (c) => c.charCodeAt(0));
}

function u32(...values: readonly number[]): Bytes {
  const out = new Uint8Array(4 * values.length);
  const v = new DataView(out.buffer);
  values.forEach((x, i) => { v.setUint32(4 * i, x >>> 0); });
  return out;
}

function u16(...values: readonly number[]): Bytes {
  return Uint8Array.from(values.flatMap((x) => [(x >>> 8) & 255, x & 255]));
}

function u64(...values: readonly bigint[]): Bytes {
  const out = new Uint8Array(8 * values.length);
  const v = new DataView(out.buffer);
  values.forEach((x, i) => { v.setBigUint64(8 * i, BigInt.asUintN(64, x)); });
  return out;
}

function box(type: string, ...body: readonly Uint8Array[]): Bytes {
  const content = concat(...body);
  return concat(u32(content.length + 8), ascii(type), content);
}

const full = (type: string, version: number, flags: number, ...body: readonly Uint8Array[]): Bytes => box(type, u32((version << 24) | flags), ...body);
const matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);

/** Milliseconds would not hit every border: the clock of pictures does. */
const movieScale = 90_000n;
const second = 1_000_000_000n;

/** Nanoseconds since the Unix epoch of a moment on a track's clock. */
export function timeOf(ticks: number, timescale: number): bigint {
  const [t, scale] = [BigInt(ticks), BigInt(timescale)];
  return (t / scale) * second + ((t % scale) * second + scale / 2n) / scale;
}

function ticksOf(ns: bigint, timescale: number): bigint {
  const rate = BigInt(timescale);
  return (ns / second) * rate + ((ns % second) * rate + second / 2n) / second;
}

function movieTicks(ns: bigint): bigint {
  return (ns / second) * movieScale + ((ns % second) * movieScale + second / 2n) / second;
}
