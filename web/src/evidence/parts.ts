/** The sealed parts of one track in a file of evidence: each one's own signature, the links between them, and what is missing. */
import { type Bytes, equal, hex } from '../crypto/bytes';
import type { OpenEpoch } from '../crypto/epoch';
import { refuse } from '../crypto/failure';
import { type Piece, pieceIn, type Pieces } from '../crypto/movie';
import { type Opened, openRun } from '../crypto/opener';
import { maxCt, next, type Part, partHash, signMessage } from '../crypto/part';
import { type Span, without } from '../crypto/spans';
import type { EvidenceGap } from './report';

/** A run of parts of one epoch without a pause. */
export interface Stretch {
  readonly epoch: OpenEpoch;
  readonly first: number;
  last: number;
  readonly firstSlot: number;
  lastSlot: number;
}

/** How many slots may lie between two parts of one stretch. */
const maxPause = 3;
/** Pauses up to this are rounding, in seconds. */
const grid = 2;
const readAtOnce = 4 << 20;

/** What parts are held against. */
export interface PartSource {
  /** by hex; null: the file has no note of it */
  epoch(id: string): OpenEpoch | null;
  readonly from: number;
  readonly until: number;
  /** told after each batch, with the bytes read */
  read(bytes: number): void;
}

export class TrackParts {
  readonly stretches: Stretch[] = [];
  parts = 0;
  bytes = 0;
  #at = 0;
  #before: { readonly part: Opened; readonly epoch: OpenEpoch } | null = null;
  readonly #queue: Piece[] = [];

  constructor(readonly track: Bytes, private readonly file: Blob, private readonly source: PartSource) {}

  /** What of them is to be shown. Throws Failure 'verify' at the first part that does not hold. */
  readonly pieces: Pieces = async () => {
    while (this.#queue.length === 0 && this.#at < this.file.size) await this.#take(await this.#next());
    return this.#queue.shift() ?? null;
  };

  async #next(): Promise<Part[]> {
    const buf = new Uint8Array(await this.file.slice(this.#at, this.#at + readAtOnce + maxCt + 4096).arrayBuffer());
    const out: Part[] = [];
    let at = 0;
    while (at < buf.length && at < readAtOnce) {
      const p = next(buf.subarray(at));
      if (p === null) break;
      out.push(p);
      at += p.raw.length;
    }
    if (out.length === 0) throw refuse('evidence: a part is cut off');
    this.#at += at;
    await Promise.all(out.map((p) => this.#fits(p)));
    this.source.read(at);
    return out;
  }

  /** Of this track, of a second of the file, and signed itself: others may cut the file later. */
  async #fits(p: Part): Promise<void> {
    const epoch = this.#epochOf(p);
    const at = epoch.note.start + p.header.slot;
    if (!equal(p.header.track, this.track) || at < this.source.from || at >= this.source.until) throw refuse('evidence: a part of another track, or of a second that the file is not of');
    if (!(await epoch.verify(p.sig, signMessage(await partHash(p))))) throw refuse('evidence: the signature of a part does not hold');
  }

  #epochOf(p: Part): OpenEpoch {
    const epoch = this.source.epoch(hex(p.header.epoch));
    if (epoch === null) throw refuse('evidence: a part of an epoch whose note is not there');
    return epoch;
  }

  async #take(parts: readonly Part[]): Promise<void> {
    for (let i = 0; i < parts.length; ) {
      const run = this.#runAt(parts, i);
      const first = run[0];
      if (first === undefined) return;
      i += run.length;
      // Without a key it is as if it were not there: the hole is found.
      const epoch = this.#epochOf(first);
      if (this.#holds(epoch, first)) await this.#open(epoch, run);
    }
  }

  #runAt(parts: readonly Part[], from: number): Part[] {
    const [first, ...rest] = parts.slice(from);
    if (first === undefined) return [];
    const run = [first];
    const epoch = this.#epochOf(first);
    for (const p of rest) {
      const last = run[run.length - 1] ?? first;
      if (!equal(p.header.epoch, first.header.epoch) || p.header.seq !== last.header.seq + 1 || this.#holds(epoch, p) !== this.#holds(epoch, first)) break;
      run.push(p);
    }
    return run;
  }

  #holds(epoch: OpenEpoch, p: Part): boolean {
    return epoch.trees.get(hex(this.track))?.holds(p.header.slot) === true;
  }

  async #open(epoch: OpenEpoch, run: readonly Part[]): Promise<void> {
    const first = run[0]?.header;
    if (first === undefined) return;
    const follows = this.#place(epoch, first);
    const opened = await openRun(epoch, run, follows ? (this.#before?.part ?? null) : null);
    this.parts += run.length;
    this.bytes += run.reduce((n, p) => n + p.raw.length, 0);
    opened.forEach((part, i) => {
      this.#note(epoch, part, follows || i > 0);
      this.#queue.push(...pieceIn(part));
      this.#before = { part, epoch };
    });
  }

  /** Whether a run goes on right where the last ended. What goes back is Failure 'verify'. */
  #place(epoch: OpenEpoch, first: Part['header']): boolean {
    if (this.#before === null) return false;
    const { part, epoch: was } = this.#before;
    if (was !== epoch) {
      this.#cross(was, epoch, part);
      return false;
    }
    if (first.seq <= part.seq || part.end || first.slot < part.slot) throw refuse('evidence: parts are there twice, or not in their order');
    return first.seq === part.seq + 1;
  }

  #cross(was: OpenEpoch, epoch: OpenEpoch, last: Opened): void {
    const back = equal(was.note.hub, epoch.note.hub) ? epoch.note.n <= was.note.n : false;
    if (back || epoch.note.start < was.note.start) throw refuse('evidence: an older epoch after a newer one');
    const named = endIn(epoch, this.track);
    if (equal(epoch.note.prev, was.hash) && named !== null && equal(named.epoch, was.note.epoch) && named.seq === last.seq && !equal(named.hash, last.hash)) {
      throw refuse('evidence: an epoch names another last part than the one before it has');
    }
  }

  #note(epoch: OpenEpoch, { seq, slot }: Opened, follows: boolean): void {
    let s = this.stretches[this.stretches.length - 1];
    if (s === undefined || !follows || slot - s.lastSlot > maxPause) this.stretches.push((s = { epoch, first: seq, last: seq, firstSlot: slot, lastSlot: slot }));
    [s.last, s.lastSlot] = [seq, slot];
  }

  /** Whether there is footage of an epoch (hex) within [from, until) of its slots. */
  covers(epoch: string, from: number, until: number): boolean {
    return this.stretches.some((s) => hex(s.epoch.note.epoch) === epoch && s.firstSlot < until && from <= s.lastSlot);
  }
}

const endIn = (epoch: OpenEpoch, track: Bytes) => epoch.note.last.find((l) => equal(l.track, track)) ?? null;

const atSlot = (s: Stretch, slot: number): number => s.epoch.note.start + slot;
const beginOf = (s: Stretch): number => atSlot(s, s.firstSlot);
const endOf = (s: Stretch): number => atSlot(s, s.lastSlot + 1);

/**
 * The times of [from, until) without pictures. What the hub sealed and is not
 * there, between others or at the end of an epoch, is missing unless `deleted`
 * says that the household ordered it.
 */
export function gapsOf(t: TrackParts, from: number, until: number, deleted: (s: Span) => boolean): EvidenceGap[] {
  const missing = lost(t);
  const out: EvidenceGap[] = missing.map((s) => ({ ...s, why: deleted(s) ? 'deleted' : 'missing' }));
  const there = t.stretches.map((s) => ({ from: beginOf(s) - grid, to: endOf(s) + grid }));
  out.push(...without([{ from, to: until }], [...missing, ...there]).map((s): EvidenceGap => ({ ...s, why: 'no-footage' })));
  out.sort((a, b) => a.from - b.from);
  return joined(out);
}

function lost(t: TrackParts): Span[] {
  const out: Span[] = [];
  t.stretches.forEach((b, i) => {
    const a = t.stretches[i - 1];
    if (a === undefined || !gone(a, b, t.track)) return;
    const hole = { from: endOf(a), to: beginOf(b) };
    // Within one second there is no time between them.
    out.push(hole.from < hole.to ? hole : { from: atSlot(a, a.lastSlot), to: endOf(a) });
  });
  return out;
}

/** Whether the hub sealed parts between two stretches. */
function gone(a: Stretch, b: Stretch, track: Bytes): boolean {
  if (a.epoch === b.epoch) return b.first > a.last + 1;
  const end = endIn(b.epoch, track);
  return end !== null && equal(end.epoch, a.epoch.note.epoch) && end.seq > a.last;
}

function joined(list: readonly EvidenceGap[]): EvidenceGap[] {
  const out: EvidenceGap[] = [];
  for (const g of list) {
    const last = out[out.length - 1];
    if (last?.why === g.why && g.from - last.to <= grid) out[out.length - 1] = { ...last, to: Math.max(last.to, g.to) };
    else out.push(g);
  }
  return out;
}
