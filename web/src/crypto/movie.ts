/**
 * Which samples of two tracks make one movie: from the last picture at or before
 * the asked time that can be shown by itself, up to the end, without pictures
 * that cannot be decoded because parts are missing. In the order, and with the
 * choices, of `latchkey export` (internal/home/pack): the same parts give the
 * same bytes.
 */
import { type Fragment, type Init, parseFragment, parseInit, type Sample } from '../player/fmp4';
import { type Bytes, equal } from './bytes';
import { Failure } from './failure';
import { type FileTrack, Mp4File, timeOf } from './mp4file';
import { type PartRecord, recordType } from './part';

/** What one part of a track carries: init (null unless it can be decoded without earlier ones) and fragment. */
export interface Piece {
  readonly init: Bytes | null;
  readonly fragment: Bytes;
}

/** The next piece of a track; null at its end. */
export type Pieces = () => Promise<Piece | null>;

export interface Movie {
  readonly file: Blob;
  /** pictures in it */
  readonly pictures: number;
}

/** What is to be shown of an opened part; nothing at the end of an epoch. */
export function pieceIn(part: { readonly records: readonly PartRecord[] }): Piece[] {
  const of = (type: number): Bytes | null => part.records.find((r) => r.type === type)?.data ?? null;
  const fragment = of(recordType.fragment);
  return fragment === null ? [] : [{ init: of(recordType.init), fragment }];
}

interface Parsed {
  /** null unless random access */
  readonly info: Init | null;
  readonly sequence: number;
  /** not the first picture of its piece */
  readonly within: boolean;
  readonly samples: readonly Sample[];
  readonly scale: number;
  readonly decode: number;
  /** nanoseconds: begin of decoding and of showing */
  readonly start: bigint;
  readonly shown: bigint;
}

/** Reads one track: sound piece by piece, pictures one by one. */
class Track {
  head: Parsed | null = null;
  info: Init | null = null;
  #init: Bytes | null = null;
  #rest: readonly Sample[] = [];
  #next = 0;
  #sequence = 0;

  constructor(private readonly pieces: Pieces) {}

  async pull(): Promise<void> {
    const [first] = this.#rest;
    if (first !== undefined && this.info !== null) {
      this.#rest = this.#rest.slice(1);
      this.head = this.#parsed(this.info, null, [first], this.#next, true);
      this.#next += first.duration;
      return;
    }
    this.head = null;
    for (let piece = await this.pieces(); piece !== null; piece = await this.pieces()) {
      if (piece.init !== null && (this.#init === null || !equal(piece.init, this.#init))) {
        this.info = parseInit(piece.init);
        this.#init = piece.init.slice();
      }
      // Nothing can be said about it before the first init.
      if (this.info === null) continue;
      this.#take(this.info, piece.init === null ? null : this.info, parseFragment(piece.fragment));
      return;
    }
  }

  #take(info: Init, fresh: Init | null, f: Fragment): void {
    const [first, ...rest] = f.samples;
    if (first === undefined) throw new Failure('verify', 'movie: a fragment without a sample');
    this.#sequence = f.sequence;
    this.#next = f.decodeTime + first.duration;
    this.#rest = info.kind === 'video' ? rest : [];
    this.head = this.#parsed(info, fresh, info.kind === 'video' ? [first] : f.samples, f.decodeTime, false);
  }

  #parsed({ timescale: scale }: Init, info: Init | null, samples: readonly Sample[], decode: number, within: boolean): Parsed {
    const start = timeOf(decode, scale);
    const shown = timeOf(decode + (samples[0]?.compositionOffset ?? 0), scale);
    return { info, sequence: this.#sequence, within, samples, scale, decode, start, shown };
  }
}

const endOf = (p: Parsed): bigint => timeOf(p.decode + p.samples.reduce((n, s) => n + s.duration, 0), p.scale);

class Exporter {
  readonly file: Mp4File;
  #waiting: Parsed[] = [];
  #begun = false;
  #lastSequence = 0;
  #lost = false;

  constructor(private readonly from: bigint, to: bigint) {
    this.file = new Mp4File(to - from);
  }

  /** One picture: into the file, or into the queue as long as a later one may still be the one to begin with. */
  picture(p: Parsed): void {
    const alone = p.info !== null && p.samples[0]?.sync === true;
    const missing = p.sequence !== this.#lastSequence + 1 && !p.within;
    this.#lastSequence = p.sequence;
    if (!alone && (this.#lost || missing)) {
      this.#lost = true;
      return;
    }
    if (alone) this.#lost = false;
    if (this.#begun) {
      this.#put(this.file.video, p);
      return;
    }
    const last = this.#waiting[this.#waiting.length - 1];
    if (alone && last !== undefined && ((p.start > this.from && endOf(last) <= this.from) || p.shown <= this.from)) this.#waiting = [];
    this.#waiting.push(p);
    if (p.start > this.from) this.release();
  }

  /** Writes the pictures that waited. */
  release(): void {
    for (const p of this.#waiting) this.#put(this.file.video, p);
    this.#begun ||= this.#waiting.length > 0;
    this.#waiting = [];
  }

  /** One piece of sound, without what ends before the range begins. */
  sound(p: Parsed, info: Init | null): void {
    let at = p.decode;
    let n = 0;
    for (const s of p.samples) {
      if (timeOf(at + s.duration, p.scale) > this.from) break;
      at += s.duration;
      n++;
    }
    if (n < p.samples.length) this.#put(this.file.audio, { ...p, info: p.info ?? info, samples: p.samples.slice(n), decode: at });
  }

  #put(track: FileTrack, p: Parsed): void {
    const was = track.codec;
    const fresh = p.info !== null && track.use(p.info);
    if (p.info !== null && was !== '' && was !== String.fromCharCode(...p.info.entry.subarray(4, 8))) {
      throw new Failure('unsupported', 'movie: the camera changed its codec inside this range');
    }
    this.file.put(track, p.samples, p.decode, p.scale, fresh);
  }
}

/**
 * One movie of [from, to), nanoseconds since the Unix epoch, from the pieces of
 * both tracks in their order (audio null: no sound). Throws Failure 'not-found'
 * where there is no picture.
 */
export async function movieOf(video: Pieces, audio: Pieces | null, from: bigint, to: bigint): Promise<Movie> {
  const out = new Exporter(from, to);
  const [v, a] = [new Track(video), audio === null ? null : new Track(audio)];
  await v.pull();
  await a?.pull();
  // In the order of their times, so that a player reads the file front to back.
  for (;;) {
    const [picture, sound] = [v.head, a?.head ?? null];
    if (picture === null && sound === null) break;
    const track = picture !== null && (sound === null || sound.start >= picture.start) ? v : a;
    const head = track?.head ?? null;
    if (track === null || head === null) break;
    if (head.start >= to) {
      track.head = null;
      continue;
    }
    if (track === v) out.picture(head);
    else out.sound(head, track.info);
    await track.pull();
  }
  out.release();
  const { video: t } = out.file;
  if (t.sizes.length === 0) throw new Failure('not-found', 'movie: no picture in this range');
  const shown = timeOf(t.first + (t.offsets[0] ?? 0), t.scale);
  const end = timeOf(t.end, t.scale);
  const [begin, until] = [shown > from ? shown : from, end < to ? end : to];
  if (begin >= until) throw new Failure('not-found', 'movie: no picture in this range');
  return { file: out.file.finish(begin, until), pictures: t.sizes.length };
}
