/**
 * What the operator writes into a household's chain (spec/chain, "Access"): that
 * somebody of its staff is about to open entries of a two-key grant, and what
 * else staff did. Neither gives anybody anything.
 */
import { type Bytes, b64, equal, hex } from './bytes';
import type { ChainState } from './chain';
import { refuse } from './failure';
import { kidOf } from './hash';
import { bytesField, type LineReader, numberField, parseVkey, sortedLines, splitFields, type TextLine } from './note';

/** No node of a two-key grant is wider than 512 seconds. */
export const releasedLevel = 8;
const leafLevel = 17;
const maxEntries = 512;

/** One node of a capsule: what a two-key grant is released by. */
export interface Entry {
  readonly epoch: Bytes;
  readonly track: Bytes;
  /** 8 to 17 */
  readonly level: number;
  /** below 2^level */
  readonly index: number;
}

export interface AccessBody {
  readonly type: 'access';
  readonly grant: Bytes;
  /** kid of the X-Wing key that the grant is to */
  readonly staff: Bytes;
  readonly entries: readonly Entry[];
}

export interface NoticeBody {
  readonly type: 'notice';
  /** kid of that person's X-Wing key */
  readonly staff: Bytes;
  /** a token, such as account-read */
  readonly action: string;
  readonly object: string | null;
}

export function entryLines(entries: readonly Entry[]): TextLine[] {
  return sortedLines('entry', entries.map((e) => `${b64(e.epoch)} ${b64(e.track)} ${e.level} ${e.index}`));
}

export function readEntries(r: LineReader): Entry[] {
  const out = r.many('entry').map((value) => {
    const [epoch, track, level, index] = splitFields(value, 4);
    const e = { epoch: bytesField(epoch, 16), track: bytesField(track, 16), level: numberField(level), index: numberField(index) };
    if (e.level < releasedLevel || e.level > leafLevel || e.index >= 2 ** e.level) throw refuse('entry: no node of a two-key grant');
    return e;
  });
  if (out.length === 0 || out.length > maxEntries) throw refuse('entry: none, or too many');
  return out;
}

export function readNotice(r: LineReader): NoticeBody {
  const body = { type: 'notice' as const, staff: r.bytes('staff', 16), action: r.one('action'), object: r.maybe('object') };
  if (!/^[a-z0-9-]{1,64}$/.test(body.action)) throw refuse('notice: the action is no token');
  if (body.object !== null && !/^[!-~]{1,128}$/.test(body.object)) throw refuse('notice: the object is no word');
  return body;
}

/** The operator's key of genesis, if by names it; throws Failure 'verify'. */
export function operatorKey(state: ChainState, by: Bytes): Bytes {
  const key = state.operator === null ? null : parseVkey(state.operator).publicKey;
  if (key === null || !equal(kidOf(key), by)) throw refuse('chain: signed by another than the operator');
  return key;
}

/** What an access demands: a two-key grant that runs, to that person, of those tracks. Throws Failure 'verify'. */
export function checkAccess(state: ChainState, b: AccessBody, time: number): void {
  const g = state.grants.get(hex(b.grant));
  if (g === undefined || g.revoked) throw refuse('chain: access to no grant, or to one that was revoked');
  if (g.release === null) throw refuse('chain: access to a grant that no hub releases');
  if (!equal(g.to, b.staff)) throw refuse('chain: access to a grant to another');
  if (time >= g.until) throw refuse('chain: access to a grant that is over');
  if (b.entries.some((e) => !g.tracks.some((r) => equal(r.track, e.track)))) throw refuse('chain: access to a track that was not granted');
}
