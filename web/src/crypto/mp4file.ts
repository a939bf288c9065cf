/**
 * One ordinary MP4 out of opened fragments: samples byte for byte as the camera
 * sent them, times as they were (the last picture stands through a gap), an
 * edit list that trims to the asked range. The file is a Blob that the browser
 * may keep on disk; only the tables are in memory.
 */
import type { Fragment, Init } from '../player/fmp4';

type Bytes = Uint8Array<ArrayBuffer>;

interface Chunk {
  readonly offset: number;
  readonly samples: number;
  readonly entry: number;
}

/** Times in a track's own units since the Unix epoch. */
class FileTrack {
  readonly init: Init;
  readonly entries: Bytes[] = [];
  readonly sizes: number[] = [];
  readonly offsets: number[] = [];
  readonly sync: number[] = [];
  readonly starts: number[] = [];
  readonly chunks: Chunk[] = [];
  #lastDuration = 0;

  constructor(init: Init) {
    this.init = init;
  }

  entryOf(init: Init): number {
    const at = this.entries.findIndex((e) => same(e, init.entry));
    if (at >= 0) return at + 1;
    this.entries.push(init.entry.slice());
    return this.entries.length;
  }

  add(f: Fragment): void {
    let at = f.decodeTime;
    for (const s of f.samples) {
      // A clock that stepped back must not give a negative duration.
      const last = this.starts[this.starts.length - 1];
      const start = last === undefined ? at : Math.max(at, last + 1);
      this.starts.push(start);
      this.sizes.push(s.data.length);
      this.offsets.push(s.compositionOffset);
      if (s.sync) this.sync.push(this.starts.length);
      this.#lastDuration = s.duration;
      at += s.duration;
    }
  }

  get end(): number {
    return (this.starts[this.starts.length - 1] ?? 0) + this.#lastDuration;
  }

  /** Each sample lasts until the next begins. */
  get durations(): number[] {
    return this.starts.map((s, i) => (this.starts[i + 1] ?? this.end) - s);
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** Milliseconds: the movie's own clock. */
const movieScale = 1000;
const largeHeader = 16;

export class Mp4File {
  readonly #parts: Bytes[] = [];
  readonly #video: FileTrack;
  readonly #audio: FileTrack | null;
  readonly #ftyp = box('ftyp', ascii('isom'), u32(0x200), ascii('isomiso2avc1mp41'));
  #at: number;

  constructor(video: Init, audio: Init | null) {
    this.#video = new FileTrack(video);
    this.#audio = audio === null ? null : new FileTrack(audio);
    this.#at = this.#ftyp.length + largeHeader;
  }

  addVideo(init: Init, f: Fragment): void {
    this.#add(this.#video, init, f);
  }

  addAudio(init: Init, f: Fragment): void {
    if (this.#audio !== null && init.timescale === this.#audio.init.timescale) this.#add(this.#audio, init, f);
  }

  get videoSamples(): number {
    return this.#video.sizes.length;
  }

  #add(track: FileTrack, init: Init, f: Fragment): void {
    track.chunks.push({ offset: this.#at, samples: f.samples.length, entry: track.entryOf(init) });
    track.add(f);
    for (const s of f.samples) {
      this.#parts.push(s.data.slice());
      this.#at += s.data.length;
    }
  }

  /** The file, showing [from, to) in unix milliseconds. */
  finish(from: number, to: number): Blob {
    const first = capture(this.#video.starts[0] ?? 0, this.#video);
    const begin = Math.max(from, first);
    const end = Math.max(begin, Math.min(to, capture(this.#video.end, this.#video)));
    const tracks = [this.#video, ...(this.#audio === null || this.#audio.sizes.length === 0 ? [] : [this.#audio])];
    const duration = Math.round(end - begin);
    const moov = box('moov', movieHeader(duration, begin), ...tracks.map((t, i) => trackBox(t, i + 1, begin, end)));
    const mdat = concat(u32(1), ascii('mdat'), u64(this.#at - this.#ftyp.length));
    return new Blob([this.#ftyp, mdat, ...this.#parts, moov], { type: 'video/mp4' });
  }
}

function capture(units: number, t: FileTrack): number {
  return (units / t.init.timescale) * 1000;
}

// Boxes of ISO/IEC 14496-12, by name.

function ascii(s: string): Bytes {
  return Uint8Array.from(s, (c) => c.charCodeAt(0));
}

function concat(...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

function u32(...values: readonly number[]): Bytes {
  const out = new Uint8Array(4 * values.length);
  const v = new DataView(out.buffer);
  values.forEach((x, i) => {
    v.setUint32(4 * i, x);
  });
  return out;
}

function u16(...values: readonly number[]): Bytes {
  return Uint8Array.from(values.flatMap((x) => [(x >>> 8) & 255, x & 255]));
}

function u64(...values: readonly number[]): Bytes {
  const out = new Uint8Array(8 * values.length);
  const v = new DataView(out.buffer);
  values.forEach((x, i) => {
    v.setBigUint64(8 * i, BigInt(x));
  });
  return out;
}

function box(type: string, ...body: readonly Uint8Array[]): Bytes {
  const size = body.reduce((n, b) => n + b.length, 8);
  return concat(u32(size), ascii(type), ...body);
}

const matrix = u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000);
/** Seconds between 1904 and 1970: the clock of MP4. */
const macEpoch = 2_082_844_800;

function movieHeader(duration: number, begin: number): Bytes {
  const created = macEpoch + Math.floor(begin / 1000);
  return box('mvhd', u32(1 << 24), u64(created, created), u32(movieScale), u64(duration), u32(0x10000), u16(0x100, 0), u32(0, 0), matrix, new Uint8Array(24), u32(3));
}

function trackBox(t: FileTrack, id: number, begin: number, end: number): Bytes {
  const duration = Math.round(end - begin);
  const video = t.init.kind === 'video';
  const tkhd = box(
    'tkhd', u32((1 << 24) | 3), u64(0, 0), u32(id, 0), u64(duration), u32(0, 0), u16(0, 0, video ? 0 : 0x100, 0), matrix,
    u32(t.init.width << 16, t.init.height << 16),
  );
  return box('trak', tkhd, editBox(t, begin, duration), mediaBox(t));
}

/** Trims to the range: a pause where the track begins later, then from the asked moment on. */
function editBox(t: FileTrack, begin: number, duration: number): Bytes {
  const first = t.starts[0] ?? 0;
  const late = Math.max(0, Math.round(capture(first, t) - begin));
  // Presentation begins at the first sample's composition time, not at its decode time.
  const lead = t.offsets[0] ?? 0;
  const mediaTime = Math.max(0, Math.round((begin * t.init.timescale) / 1000) - first) + lead;
  const shown = concat(u64(Math.max(0, duration - late), mediaTime), u16(1, 0));
  const pause = late === 0 ? [] : [concat(u64(late), new Uint8Array(8).fill(255), u16(1, 0))];
  return box('edts', box('elst', u32(1 << 24), u32(pause.length + 1), ...pause, shown));
}

function mediaBox(t: FileTrack): Bytes {
  const video = t.init.kind === 'video';
  const first = t.starts[0] ?? 0;
  const mdhd = box('mdhd', u32(1 << 24), u64(0, 0), u32(t.init.timescale), u64(t.end - first), u16(0x55c4, 0));
  const hdlr = box('hdlr', u32(0, 0), ascii(video ? 'vide' : 'soun'), u32(0, 0, 0), ascii(video ? 'Video\0' : 'Sound\0'));
  const kind = video ? box('vmhd', u32(1), u16(0, 0, 0, 0)) : box('smhd', u32(0), u16(0, 0));
  const dinf = box('dinf', box('dref', u32(0, 1), box('url ', u32(1))));
  return box('mdia', mdhd, hdlr, box('minf', kind, dinf, sampleTables(t)));
}

function sampleTables(t: FileTrack): Bytes {
  const stsd = box('stsd', u32(0, t.entries.length), ...t.entries);
  const stts = counted('stts', 0, pairs(runs(t.durations)));
  const composed = t.offsets.some((o) => o !== 0);
  const ctts = composed ? [counted('ctts', 1, pairs(runs(t.offsets)))] : [];
  const allSync = t.sync.length === t.sizes.length;
  const stss = allSync ? [] : [box('stss', u32(0, t.sync.length), u32(...t.sync))];
  const stsz = box('stsz', u32(0, 0, t.sizes.length), u32(...t.sizes));
  const co64 = box('co64', u32(0, t.chunks.length), u64(...t.chunks.map((c) => c.offset)));
  return box('stbl', stsd, stts, ...ctts, ...stss, chunkTable(t), stsz, co64);
}

function chunkTable(t: FileTrack): Bytes {
  const rows: number[] = [];
  t.chunks.forEach((c, i) => {
    const before = t.chunks[i - 1];
    if (before?.samples !== c.samples || before.entry !== c.entry) rows.push(i + 1, c.samples, c.entry);
  });
  return box('stsc', u32(0, rows.length / 3), u32(...rows));
}

function runs(values: readonly number[]): [count: number, value: number][] {
  const out: [number, number][] = [];
  for (const v of values) {
    const last = out[out.length - 1];
    if (last?.[1] === v) last[0]++;
    else out.push([1, v]);
  }
  return out;
}

function pairs(rows: readonly (readonly [number, number])[]): Bytes[] {
  return rows.map(([count, value]) => u32(count, value >>> 0));
}

function counted(type: string, version: number, rows: readonly Bytes[]): Bytes {
  return box(type, u32(version << 24, rows.length), ...rows);
}
