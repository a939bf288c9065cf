/**
 * Reads one track's parts in the order they come, live or stored: opens what
 * verifies, and turns everything else into faults. Order is checked across
 * calls: what was read once is never read again, and what is left out is said.
 */
import { type Bytes, equal, hex } from './bytes';
import type { EpochBook } from './epochs';
import type { OpenEpoch } from './epoch';
import { Failure } from './failure';
import { type Before, type Opened, openRun } from './opener';
import type { Part } from './part';

/** A stretch that a reader could not show. Times are unix milliseconds, `to` exclusive. */
export interface Fault {
  readonly from: number;
  readonly to: number;
  /** `not-shared`: nobody gave this member keys for it */
  readonly why: 'missing' | 'unverified' | 'not-shared';
  readonly cause: Failure | null;
}

/** Where a part lies in time. */
export interface Timed {
  readonly part: Opened;
  readonly epoch: OpenEpoch;
  /** unix milliseconds of the slot's begin */
  readonly at: number;
}

/** The place of a part: its epoch, that epoch's number among its hub's, and its second (unix). */
export interface At {
  readonly hub: Bytes;
  readonly n: number;
  readonly epoch: Bytes;
  readonly seq: number;
  readonly hash: Bytes;
  readonly time: number;
}

export interface Read {
  readonly opened: readonly Timed[];
  readonly faults: readonly Fault[];
}

/** Where readers get checked epochs from. */
export type EpochSource = Pick<EpochBook, 'get'>;

interface Position extends Before {
  readonly epoch: OpenEpoch;
  readonly slot: number;
}

export class TrackReader {
  readonly #track: string;
  readonly #epochs: EpochSource;
  #last: Position | null = null;
  /** what the server has said it leaves out: parts of this epoch before this seq */
  #excused = { epoch: '', to: 0 };
  /** true when parts are picked, not consecutive: holes are then no fault */
  readonly #sparse: boolean;

  constructor(track: string, epochs: EpochSource, sparse = false) {
    this.#track = track;
    this.#epochs = epochs;
    this.#sparse = sparse;
  }

  /** The last part that verified: what heads are compared with. */
  get last(): At | null {
    if (this.#last === null) return null;
    const { note } = this.#last.epoch;
    return { hub: note.hub, n: note.n, epoch: note.epoch, seq: this.#last.seq, hash: this.#last.hash, time: note.start + this.#last.slot };
  }

  /** The server says it left out parts up to seq `to` (exclusive) of this epoch (hex). */
  excuse(epoch: string, to: number): void {
    this.#excused = { epoch, to };
  }

  /** Opens parts as they came; consecutive ones are verified as one run. Throws only for the network. */
  async read(parts: readonly Part[]): Promise<Read> {
    const opened: Timed[] = [];
    const faults: Fault[] = [];
    for (const run of this.#runs(parts)) {
      const got = await this.#readRun(run);
      opened.push(...got.opened);
      faults.push(...got.faults);
    }
    return { opened, faults };
  }

  #runs(parts: readonly Part[]): Part[][] {
    const runs: Part[][] = [];
    let before: Part | null = null;
    for (const p of parts) {
      const run = runs[runs.length - 1];
      const follows = before !== null && equal(before.header.epoch, p.header.epoch) && p.header.seq === before.header.seq + 1;
      if (run !== undefined && follows && !this.#sparse) run.push(p);
      else runs.push([p]);
      before = p;
    }
    return runs;
  }

  async #readRun(run: readonly Part[]): Promise<Read> {
    const first = run[0];
    if (first === undefined) return { opened: [], faults: [] };
    let epoch: OpenEpoch;
    try {
      epoch = await this.#epochs.get(hex(first.header.epoch));
    } catch (err) {
      if (err instanceof Failure && err.kind !== 'network') return { opened: [], faults: [this.#unknownEpoch(err)] };
      throw err;
    }
    const opened: Timed[] = [];
    const faults: Fault[] = [];
    for (const piece of this.#byKeys(epoch, run)) {
      const got = this.#holds(epoch, piece[0]) ? await this.#readHeld(epoch, piece) : this.#passOver(epoch, piece);
      opened.push(...got.opened);
      faults.push(...got.faults);
    }
    return { opened, faults };
  }

  async #readHeld(epoch: OpenEpoch, run: readonly Part[]): Promise<Read> {
    const first = run[0];
    const faults = first === undefined ? [] : this.#place(epoch, first);
    if (faults === null) return { opened: [], faults: [this.#fault(epoch, run, new Failure('verify', 'reader: parts came twice or out of order'))] };
    const got = await this.#open(epoch, run);
    return { opened: got.opened, faults: [...faults, ...got.faults] };
  }

  /** A run cut where the keys of this member begin or end: a grant may do so at any second. */
  #byKeys(epoch: OpenEpoch, run: readonly Part[]): Part[][] {
    const pieces: Part[][] = [];
    for (const p of run) {
      const piece = pieces[pieces.length - 1];
      if (piece !== undefined && this.#holds(epoch, piece[0]) === this.#holds(epoch, p)) piece.push(p);
      else pieces.push([p]);
    }
    return pieces;
  }

  #holds(epoch: OpenEpoch, p: Part | undefined): boolean {
    return p === undefined || epoch.trees.get(this.#track)?.holds(p.header.slot) === true;
  }

  /** Parts that nobody gave keys for are no loss, and what follows them is not out of place. */
  #passOver(epoch: OpenEpoch, run: readonly Part[]): Read {
    const last = run[run.length - 1]?.header;
    if (last !== undefined) this.excuse(hex(last.epoch), last.seq + 1);
    const { from, to } = this.#fault(epoch, run, new Failure('not-found', 'reader: not shared'));
    return { opened: [], faults: [{ from, to, why: 'not-shared', cause: null }] };
  }

  /** Holes before the run, or null when the run does not come after what was read. */
  #place(epoch: OpenEpoch, first: Part): Fault[] | null {
    const last = this.#last;
    const h = first.header;
    if (hex(h.track) !== this.#track) return null;
    if (last === null) return [];
    if (!equal(last.epoch.note.epoch, h.epoch)) return laterEpoch(last.epoch, epoch) ? this.#tailFault(last, epoch, h.slot) : null;
    if (h.seq <= last.seq) return null;
    if (h.seq === last.seq + 1 || this.#sparse || this.#isExcused(last.epoch, h.seq)) return [];
    const start = epoch.note.start;
    return [{ from: (start + last.slot) * 1000, to: (start + h.slot) * 1000, why: 'missing', cause: null }];
  }

  /**
   * A new epoch's note names the last part of the one before: a tail that was
   * cut off there shows here, at the latest.
   */
  #tailFault(last: Position, epoch: OpenEpoch, slot: number): Fault[] {
    const final = epoch.note.last.find((l) => hex(l.track) === this.#track);
    const whole = final === undefined || (equal(final.epoch, last.epoch.note.epoch) && final.seq <= last.seq);
    if (whole || this.#sparse || this.#isExcused(last.epoch, final.seq)) return [];
    return [{ from: (last.epoch.note.start + last.slot) * 1000, to: (epoch.note.start + slot) * 1000, why: 'missing', cause: null }];
  }

  #isExcused(epoch: OpenEpoch, seq: number): boolean {
    return this.#excused.epoch === hex(epoch.note.epoch) && seq <= this.#excused.to;
  }

  async #open(epoch: OpenEpoch, run: readonly Part[]): Promise<Read> {
    const first = run[0];
    const last = run[run.length - 1];
    if (first === undefined || last === undefined) return { opened: [], faults: [] };
    try {
      const before = this.#beforeOf(epoch, first);
      const opened = await openRun(epoch, run, before);
      this.#advance(epoch, opened);
      return { opened: opened.map((part) => ({ part, epoch, at: (epoch.note.start + part.slot) * 1000 })), faults: [] };
    } catch (err) {
      if (!(err instanceof Failure) || err.kind !== 'verify') throw err;
      if (run.length === 1) return { opened: [], faults: [this.#fault(epoch, run, err)] };
      return this.#salvage(epoch, run);
    }
  }

  /** A run that fails as one may hold good parts: each has a signature of its own. */
  async #salvage(epoch: OpenEpoch, run: readonly Part[]): Promise<Read> {
    const opened: Timed[] = [];
    const faults: Fault[] = [];
    for (const p of run) {
      const got = await this.#open(epoch, [p]);
      opened.push(...got.opened);
      faults.push(...got.faults);
    }
    return { opened, faults };
  }

  #beforeOf(epoch: OpenEpoch, first: Part): Before | null {
    const last = this.#last;
    const follows = last !== null && equal(last.epoch.note.epoch, epoch.note.epoch) && first.header.seq === last.seq + 1;
    return follows && !this.#sparse ? last : null;
  }

  #advance(epoch: OpenEpoch, opened: readonly Opened[]): void {
    const part = opened[opened.length - 1];
    if (part !== undefined) this.#last = { epoch, seq: part.seq, hash: part.hash, slot: part.slot };
  }

  #fault(epoch: OpenEpoch, run: readonly Part[], cause: Failure): Fault {
    const first = run[0]?.header.slot ?? 0;
    const last = run[run.length - 1]?.header.slot ?? first;
    const start = epoch.note.start;
    return { from: (start + first) * 1000, to: (start + last + 1) * 1000, why: 'unverified', cause };
  }

  #unknownEpoch(cause: Failure): Fault {
    const at = this.#last === null ? Date.now() : (this.#last.epoch.note.start + this.#last.slot) * 1000;
    return { from: at, to: at + 1000, why: 'unverified', cause };
  }
}

/** Epochs of one hub only go forward; a second hub of the household may take over by time. */
function laterEpoch(from: OpenEpoch, to: OpenEpoch): boolean {
  return equal(from.note.hub, to.note.hub) ? to.note.n > from.note.n : to.note.start >= from.note.start;
}
