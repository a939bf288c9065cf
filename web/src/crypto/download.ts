/** A range of a camera's footage as one MP4, fetched and opened here. */
import type { CameraId, Download, DownloadProgress, Gap } from '../owner/types';
import { type Fragment, type Init, parseFragment, parseInit } from '../player/fmp4';
import { bulkPace, type Footage } from './footage';
import { Failure } from './failure';
import { Mp4File } from './mp4file';
import { recordType } from './part';
import type { Fault, Timed } from './reader';
import { gapWords, merged } from './timeline';

interface Source {
  readonly footage: Pick<Footage, 'read'>;
  readonly camera: CameraId;
  readonly name: string;
  readonly video: string;
  readonly audio: string | null;
  readonly from: number;
  readonly to: number;
  /** gaps of the range by the timeline */
  readonly gaps: readonly Gap[];
  onFault(fault: Fault): void;
}

interface Piece {
  readonly init: Init;
  readonly fragment: Fragment;
}

type Reads = AsyncGenerator<{ opened: readonly Timed[]; faults: readonly Fault[]; bytes: number }>;
type OnRead = (bytes: number, at: number | null, faults: readonly Fault[]) => void;

/** Reads one track's pieces and keeps count of the bytes fetched. */
class PieceStream {
  init: Init | null = null;
  #queue: Piece[] = [];
  readonly #reads: Reads;
  readonly #onRead: OnRead;

  constructor(reads: Reads, onRead: OnRead) {
    this.#reads = reads;
    this.#onRead = onRead;
  }

  /** The next piece without taking it; null at the end. */
  async peek(): Promise<Piece | null> {
    while (this.#queue.length === 0) {
      const { value, done } = await this.#reads.next();
      if (done === true) return null;
      for (const t of value.opened) this.#queue.push(...this.#pieces(t));
      this.#onRead(value.bytes, value.opened[value.opened.length - 1]?.at ?? null, value.faults);
    }
    return this.#queue[0] ?? null;
  }

  take(): void {
    this.#queue.shift();
  }

  #pieces(t: Timed): Piece[] {
    for (const r of t.part.records) if (r.type === recordType.init) this.init = parseInit(r.data);
    const init = this.init;
    if (init === null) return [];
    return t.part.records.filter((r) => r.type === recordType.fragment).map((r) => ({ init, fragment: parseFragment(r.data) }));
  }
}

/** Throws Failure 'not-found' when the range holds no picture. */
export async function download(s: Source, progress: (p: DownloadProgress) => void, signal: AbortSignal): Promise<Download> {
  const meter = new Meter(s.from, s.to, progress);
  const faults: Fault[] = [];
  const open = (track: string, counts: boolean): PieceStream =>
    new PieceStream(s.footage.read(track, { from: s.from, to: s.to }, bulkPace, signal), (bytes, at, bad) => {
      meter.add(bytes, counts ? at : null);
      for (const f of bad) {
        faults.push(f);
        s.onFault(f);
      }
    });
  const video = open(s.video, true);
  const audio = s.audio === null ? null : open(s.audio, false);
  const file = await mux(video, audio, signal);
  if (file === null) throw new Failure('not-found', 'download: no footage in this range');
  return { blob: file.finish(s.from, s.to), filename: filename(s.name, s.from), gaps: gapsWith(s.gaps, faults) };
}

async function mux(video: PieceStream, audio: PieceStream | null, signal: AbortSignal): Promise<Mp4File | null> {
  const first = await video.peek();
  if (first === null) return null;
  const sound = audio === null ? null : await audio.peek();
  const file = new Mp4File(first.init, sound?.init ?? null);
  for (;;) {
    const v = await video.peek();
    const a = audio === null ? null : await audio.peek();
    // A read that was cancelled ends like one that is done.
    if (signal.aborted) throw new Failure('network', 'download: cancelled');
    if (v === null && a === null) return file;
    // In the order of their times, so that a player reads the file front to back.
    if (v !== null && (a === null || seconds(v) <= seconds(a))) {
      file.addVideo(v.init, v.fragment);
      video.take();
    } else if (a !== null) {
      file.addAudio(a.init, a.fragment);
      audio?.take();
    }
  }
}

function seconds(p: Piece): number {
  return p.fragment.decodeTime / p.init.timescale;
}

class Meter {
  readonly #from: number;
  readonly #to: number;
  readonly #progress: (p: DownloadProgress) => void;
  readonly #began = Date.now();
  #bytes = 0;

  constructor(from: number, to: number, progress: (p: DownloadProgress) => void) {
    this.#from = from;
    this.#to = to;
    this.#progress = progress;
  }

  /** `at`: how far in footage time, which is what the estimate goes by. */
  add(bytes: number, at: number | null): void {
    this.#bytes += bytes;
    if (at === null) return;
    const done = Math.min(1, Math.max(0.001, (at - this.#from) / (this.#to - this.#from)));
    const spent = (Date.now() - this.#began) / 1000;
    this.#progress({
      bytes: this.#bytes,
      total: Math.round(this.#bytes / done),
      secondsLeft: Math.round((spent * (1 - done)) / done),
    });
  }
}

function gapsWith(gaps: readonly Gap[], faults: readonly Fault[]): Gap[] {
  const bad = faults.map((f): Gap => ({ from: f.from, to: f.to, why: f.why, alarm: f.why !== 'not-shared', words: gapWords[f.why] }));
  return merged([...gaps, ...bad]);
}

/** `porch-2026-11-23-1204.mp4`, in the reader's zone. */
function filename(name: string, at: number): string {
  const d = new Date(at);
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}-${two(d.getHours())}${two(d.getMinutes())}`;
  const safe = name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '-').replaceAll(/^-|-$/g, '');
  return `${safe === '' ? 'camera' : safe}-${day}.mp4`;
}
