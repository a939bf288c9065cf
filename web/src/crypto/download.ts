/** A range of a camera's footage as one MP4, fetched and opened here. */
import type { CameraId, Download, DownloadProgress, Gap } from '../owner/types';
import { bulkPace, type Footage } from './footage';
import { Failure } from './failure';
import { movieOf, type Piece, pieceIn, type Pieces } from './movie';
import type { Fault, Timed } from './reader';
import { gapWords, merged } from './timeline';

export interface DownloadSource {
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

type Reads = AsyncGenerator<{ opened: readonly Timed[]; faults: readonly Fault[]; bytes: number }>;
type OnRead = (bytes: number, at: number | null, faults: readonly Fault[]) => void;

/** The pieces of a track as they are read. */
function piecesOf(reads: Reads, onRead: OnRead): Pieces {
  const queue: Piece[] = [];
  return async () => {
    while (queue.length === 0) {
      const { value, done } = await reads.next();
      if (done === true) return null;
      for (const t of value.opened) queue.push(...pieceIn(t.part));
      onRead(value.bytes, value.opened[value.opened.length - 1]?.at ?? null, value.faults);
    }
    return queue.shift() ?? null;
  };
}

/** Throws Failure 'not-found' when the range holds no picture. */
export async function download(s: DownloadSource, progress: (p: DownloadProgress) => void, signal: AbortSignal): Promise<Download> {
  const meter = new Meter(s.from, s.to, progress);
  const faults: Fault[] = [];
  const open = (track: string, counts: boolean): Pieces =>
    piecesOf(s.footage.read(track, { from: s.from, to: s.to }, bulkPace, signal), (bytes, at, bad) => {
      // A read that was cancelled ends like one that is done.
      if (signal.aborted) throw new Failure('network', 'download: cancelled');
      meter.add(bytes, counts ? at : null);
      for (const f of bad) {
        faults.push(f);
        s.onFault(f);
      }
    });
  const { file } = await movieOf(open(s.video, true), s.audio === null ? null : open(s.audio, false), nanoseconds(s.from), nanoseconds(s.to));
  if (signal.aborted) throw new Failure('network', 'download: cancelled');
  return { blob: file, filename: filename(s.name, s.from, 'mp4'), gaps: gapsWith(s.gaps, faults) };
}

const nanoseconds = (ms: number): bigint => BigInt(Math.round(ms)) * 1_000_000n;

export class Meter {
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

export function gapsWith(gaps: readonly Gap[], faults: readonly Fault[]): Gap[] {
  const bad = faults.map((f): Gap => ({ from: f.from, to: f.to, why: f.why, alarm: f.why !== 'not-shared', words: gapWords[f.why] }));
  return merged([...gaps, ...bad]);
}

/** `porch-2026-11-23-1204.mp4`, in the reader's zone. */
export function filename(name: string, at: number, kind: 'mp4' | 'lkx'): string {
  const d = new Date(at);
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}-${two(d.getHours())}${two(d.getMinutes())}`;
  const safe = name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '-').replaceAll(/^-|-$/g, '');
  return `${safe === '' ? 'camera' : safe}-${day}.${kind}`;
}
