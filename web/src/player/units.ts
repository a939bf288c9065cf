/** Opened parts of one track turned into units that players take. */
import type { Timed } from '../crypto/reader';
import { captureMs, type Init, parseFragment, parseInit } from './fmp4';
import type { Unit } from './outlet';
import type { Media } from './wire';

const fragmentRecord = 1;
const initRecord = 2;

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** Remembers the init that is in force; parts before the first one give nothing. */
export class UnitReader {
  readonly #media: Media;
  #brokenFrom: number | null = null;
  #init: { readonly bytes: Uint8Array<ArrayBuffer>; readonly parsed: Init } | null = null;

  constructor(media: Media) {
    this.#media = media;
  }

  get init(): Init | null {
    return this.#init?.parsed ?? null;
  }

  /**
   * Something is missing from here on (unix milliseconds): pictures that build
   * on it are left out until the next one that stands alone.
   */
  breakAt(from: number): void {
    if (this.#media === 'video') this.#brokenFrom = Math.min(from, this.#brokenFrom ?? from);
  }

  /** Throws Mp4Error on records that are no MP4. */
  read(t: Timed): Unit[] {
    if (this.#brokenFrom !== null && t.at >= this.#brokenFrom) {
      if (!t.part.rap) return [];
      this.#brokenFrom = null;
    }
    let fresh = false;
    const out: Unit[] = [];
    for (const r of t.part.records) {
      if (r.type === initRecord && (this.#init === null || !same(this.#init.bytes, r.data))) {
        this.#init = { bytes: r.data, parsed: parseInit(r.data) };
        fresh = true;
      }
      if (r.type !== fragmentRecord || this.#init === null) continue;
      out.push(this.#unit(r.data, fresh ? this.#init.bytes : null, this.#init.parsed));
      fresh = false;
    }
    return out;
  }

  #unit(bytes: Uint8Array<ArrayBuffer>, initBytes: Uint8Array<ArrayBuffer> | null, init: Init): Unit {
    const fragment = parseFragment(bytes);
    const units = fragment.samples.reduce((n, s) => n + s.duration, 0);
    return {
      media: this.#media, init, initBytes, bytes, fragment,
      start: captureMs(fragment.decodeTime, init.timescale),
      end: captureMs(fragment.decodeTime + units, init.timescale),
    };
  }
}
