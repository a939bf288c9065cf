/**
 * Stored footage as a stream of opened parts: fetched in pieces, verified piece
 * by piece, continuous across them.
 */
import type { Api, FootageQuery } from './api';
import { type Bytes, own } from './bytes';
import { Failure, refuse } from './failure';
import { next, type Part } from './part';
import { type EpochSource, type Fault, type Read, TrackReader } from './reader';

export interface Pace {
  /** bytes of the first answer: small, so that the first picture is there soon */
  readonly first: number;
  /** bytes of each later answer */
  readonly later: number;
}

/** For seeks: about one group of pictures first. */
export const seekPace: Pace = { first: 192 << 10, later: 1 << 20 };
/** For downloads and whole days of meta records. */
export const bulkPace: Pace = { first: 4 << 20, later: 8 << 20 };

/** What to read; times are unix milliseconds. */
export interface Span {
  readonly from: number;
  readonly to?: number;
  /** only random-access parts */
  readonly rap?: boolean;
}

export class Footage {
  readonly #api: Pick<Api, 'parts'>;
  readonly #epochs: EpochSource;

  constructor(api: Pick<Api, 'parts'>, epochs: EpochSource) {
    this.#api = api;
    this.#epochs = epochs;
  }

  /** Reads a track from the last random-access part at or before `from`. Ends at `to`, or where footage ends now. `parts` are as they came, not verified. */
  async *read(track: string, span: Span, pace: Pace, signal: AbortSignal): AsyncGenerator<Read & { readonly bytes: number; readonly parts: readonly Part[] }> {
    const reader = new TrackReader(track, this.#epochs, span.rap === true);
    let query: FootageQuery | null = { ...limits(span), from: span.from / 1000, max: pace.first };
    while (query !== null && !signal.aborted) {
      const reply: Awaited<ReturnType<Api['parts']>> = await this.#api.parts(track, query, signal);
      const { parts, fault } = splitReply(reply.bytes);
      const read = await reader.read(parts);
      yield { opened: read.opened, faults: [...read.faults, ...fault], bytes: reply.bytes.length, parts };
      query = reply.next === null || parts.length === 0 ? null : { ...limits(span), epoch: reply.next.epoch, seq: reply.next.seq, max: pace.later };
    }
  }

  /** The single random-access part at or before `at`; null when there is none. */
  async at(track: string, at: number, signal: AbortSignal): Promise<Read | null> {
    const reader = new TrackReader(track, this.#epochs, true);
    try {
      const reply = await this.#api.parts(track, { from: at / 1000, rap: true, max: 1 }, signal);
      return reply.bytes.length === 0 ? null : await reader.read(splitReply(reply.bytes).parts.slice(0, 1));
    } catch (err) {
      if (err instanceof Failure && err.kind === 'not-found') return null;
      throw err;
    }
  }
}

function limits(span: Span): FootageQuery {
  return {
    ...(span.to === undefined ? {} : { to: span.to / 1000 }),
    ...(span.rap === true ? { rap: true } : {}),
  };
}

/** Bytes that are not parts end the reply there, as a fault: nothing after them can be framed. */
function splitReply(bytes: Bytes): { parts: Part[]; fault: Fault[] } {
  const parts: Part[] = [];
  try {
    for (let rest = own(bytes); rest.length > 0; ) {
      const part = next(rest);
      if (part === null) throw refuse('footage: the last part is cut off');
      parts.push(part);
      rest = rest.subarray(part.raw.length);
    }
    return { parts, fault: [] };
  } catch (err) {
    if (!(err instanceof Failure)) throw err;
    const now = Date.now();
    return { parts, fault: [{ from: now, to: now, why: 'unverified', cause: err }] };
  }
}
