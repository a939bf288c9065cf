/**
 * The statements of the household chain (protocol 2.7), read and written. What
 * is written here is read again before it is signed, so that this client never
 * signs what no other would take.
 */
import { type Bytes, b64, hex } from './bytes';
import { refuse } from './failure';
import { type AccessBody, entryLines, type NoticeBody, readEntries, readNotice } from './entry';
import { type GrantBody, grantLines, readGrant } from './grant';
import { bytesField, composeText, edField, LineReader, maybeLine, type Note, numberField, parseVkey, readText, sortedLines, splitFields, type TextLine } from './note';
import { publicKeySize } from './hpke';
import type { TrackKind } from '../owner/types';

const kinds: readonly string[] = ['video', 'video-sub', 'audio', 'meta', 'bio'];
/** The word for "there is none", where a line has to have a value. */
export const none = 'none';

/** What every statement begins with. */
export interface Head {
  /** absent (null) in genesis, whose hash makes it */
  readonly household: Bytes | null;
  readonly seq: number;
  readonly prev: Bytes | null;
  readonly time: number;
  readonly by: Bytes;
  readonly salt: Bytes;
}

export interface TrackDecl {
  readonly track: Bytes;
  readonly kind: TrackKind;
}

export type Role = 'admin' | 'member' | 'viewer';
/** The tracks a member may see. */
export type Rights = 'all' | readonly Bytes[];

/** A statement's own lines. */
export type Body =
  | { readonly type: 'genesis'; readonly ed: Bytes; readonly x: Bytes; readonly recovery: Bytes; readonly ktag: Bytes; readonly operator: string; readonly log: string }
  | { readonly type: 'hub'; readonly ed: Bytes; readonly x: Bytes }
  | { readonly type: 'unhub' | 'unmember'; readonly kid: Bytes }
  | { readonly type: 'member'; readonly ed: Bytes; readonly x: Bytes; readonly recovery: Bytes; readonly role: Role; readonly share: boolean; readonly tracks: Rights }
  | { readonly type: 'rekey'; readonly kid: Bytes; readonly ed: Bytes | null; readonly x: Bytes | null; readonly recovery: Bytes | null }
  | { readonly type: 'camera'; readonly camera: Bytes; readonly tracks: readonly TrackDecl[] }
  | { readonly type: 'retain'; readonly track: Bytes | null; readonly seconds: number }
  | { readonly type: 'erase'; readonly track: Bytes; readonly from: number; readonly until: number }
  | { readonly type: 'anchor'; readonly epochs: readonly Bytes[]; readonly heads: readonly TrackHead[] }
  | GrantBody
  | { readonly type: 'revoke'; readonly grant: Bytes }
  | AccessBody
  | NoticeBody;

export interface Statement {
  readonly head: Head;
  readonly body: Body;
}

/** The text of a statement, ready to sign; throws Failure 'verify' on what nobody would take. */
export function statementText(head: Head, body: Body): Bytes {
  const lines: TextLine[] = [];
  if (head.household !== null) lines.push(['household', b64(head.household)]);
  lines.push(['seq', String(head.seq)]);
  if (head.prev !== null) lines.push(['prev', b64(head.prev)]);
  lines.push(['time', String(head.time)], ['by', b64(head.by)], ['salt', b64(head.salt)]);
  const text = composeText(body.type, [...lines, ...bodyLines(body)]);
  parseStatement(readText(text));
  return text;
}

function bodyLines(b: Body): TextLine[] {
  switch (b.type) {
    case 'genesis':
      return [...keyLines(b), ['ktag', b64(b.ktag)], ['operator', b.operator], ['log', b.log]];
    case 'hub':
      return [['ed', b64(b.ed)], ['x', b64(b.x)]];
    case 'unhub':
    case 'unmember':
      return [['kid', b64(b.kid)]];
    case 'member':
      return [...keyLines(b), ['role', b.role], ['share', b.share ? 'yes' : 'no'], ...sortedLines('track', b.tracks === 'all' ? ['*'] : b.tracks.map(b64))];
    case 'rekey':
      return [['kid', b64(b.kid)], ...maybeLine('ed', b.ed), ...maybeLine('x', b.x), ...maybeLine('recovery', b.recovery)];
    case 'camera':
      return [['camera', b64(b.camera)], ...sortedLines('track', b.tracks.map((t) => `${b64(t.track)} ${t.kind}`))];
    case 'retain':
      return [['track', b.track === null ? '*' : b64(b.track)], ['seconds', String(b.seconds)]];
    case 'erase':
      return [['track', b64(b.track)], ['from', String(b.from)], ['until', String(b.until)]];
    case 'anchor':
      return [...sortedLines('epoch', b.epochs.map(b64)), ...sortedLines('head', b.heads.map((h) => `${b64(h.track)} ${h.seq} ${b64(h.hash)}`))];
    case 'grant':
      return grantLines(b);
    case 'revoke':
      return [['grant', b64(b.grant)]];
    case 'access':
      return [['grant', b64(b.grant)], ['staff', b64(b.staff)], ...entryLines(b.entries)];
    case 'notice':
      return [['staff', b64(b.staff)], ['action', b.action], ...(b.object === null ? [] : [['object', b.object] as const])];
  }
}

function keyLines(b: { readonly ed: Bytes; readonly x: Bytes; readonly recovery: Bytes }): TextLine[] {
  return [['ed', b64(b.ed)], ['x', b64(b.x)], ['recovery', b64(b.recovery)]];
}

/** Reads a statement's lines; throws Failure 'verify' on what the spec does not allow. */
export function parseStatement(n: Note): Statement {
  const r = new LineReader(n, n.type);
  const head = readHead(r, n.type === 'genesis');
  const body = readBody(r, n.type);
  r.end();
  return { head, body };
}

function readHead(r: LineReader, genesis: boolean): Head {
  const household = genesis ? null : r.bytes('household', 16);
  const seq = r.number('seq');
  if (genesis !== (seq === 0)) throw refuse('statement: genesis has number 0 and nothing else has');
  const prev = genesis ? null : r.bytes('prev', 32);
  return { household, seq, prev, time: r.number('time'), by: r.bytes('by', 16), salt: r.bytes('salt', 16) };
}

function readBody(r: LineReader, type: string): Body {
  switch (type) {
    case 'genesis':
      return {
        type, ...readKeys(r),
        ktag: r.bytes('ktag', 32), operator: operatorField(r.one('operator')), log: tokenField(r.one('log')),
      };
    case 'hub':
      return { type, ed: r.ed('ed'), x: r.bytes('x', publicKeySize) };
    case 'unhub':
    case 'unmember':
      return { type, kid: r.bytes('kid', 16) };
    case 'member':
      return {
        type, ...readKeys(r),
        role: roleField(r.one('role')), share: yesField(r.one('share')), tracks: readRights(r.many('track')),
      };
    case 'rekey':
      return readRekey(r);
    case 'camera':
      return { type, camera: r.bytes('camera', 16), tracks: readTracks(r.many('track')) };
    case 'retain': {
      const track = r.one('track');
      const seconds = r.number('seconds');
      if (seconds === 0) throw refuse('statement: retains for no time at all');
      return { type, track: track === '*' ? null : bytesField(track, 16), seconds };
    }
    case 'erase':
      return readErase(r);
    case 'anchor':
      return readAnchor(r);
    case 'grant':
      return readGrant(r);
    case 'revoke':
      return { type, grant: r.bytes('grant', 16) };
    case 'access':
      return { type, grant: r.bytes('grant', 16), staff: r.bytes('staff', 16), entries: readEntries(r) };
    case 'notice':
      return readNotice(r);
    default:
      throw refuse(`statement: this version does not know ${JSON.stringify(type)}`);
  }
}

function readKeys(r: LineReader): { ed: Bytes; x: Bytes; recovery: Bytes } {
  return { ed: r.ed('ed'), x: r.bytes('x', publicKeySize), recovery: r.ed('recovery') };
}

function readRekey(r: LineReader): Body {
  const kid = r.bytes('kid', 16);
  const key = (name: string, read: (value: string) => Bytes): Bytes | null => {
    const value = r.maybe(name);
    return value === null ? null : read(value);
  };
  const x = (value: string): Bytes => bytesField(value, publicKeySize);
  const body = { type: 'rekey' as const, kid, ed: key('ed', edField), x: key('x', x), recovery: key('recovery', edField) };
  if (body.ed === null && body.x === null && body.recovery === null) throw refuse('statement: a rekey without a key');
  return body;
}

function readErase(r: LineReader): Body {
  const body = { type: 'erase' as const, track: r.bytes('track', 16), from: r.number('from'), until: r.number('until') };
  if (body.from >= body.until) throw refuse('statement: erases an empty range');
  return body;
}

function readAnchor(r: LineReader): Body {
  const epochs = r.many('epoch').map((v) => bytesField(v, 32));
  const heads = readHeads(r.many('head'));
  if (epochs.length + heads.size === 0) throw refuse('statement: an anchor of nothing');
  return { type: 'anchor', epochs, heads: [...heads.values()] };
}

function roleField(value: string): Role {
  if (value !== 'admin' && value !== 'member' && value !== 'viewer') throw refuse('statement: unknown role');
  return value;
}

function yesField(value: string): boolean {
  if (value !== 'yes' && value !== 'no') throw refuse('statement: neither yes nor no');
  return value === 'yes';
}

function readRights(values: readonly string[]): Rights {
  if (!values.includes('*')) return values.map((v) => bytesField(v, 16));
  if (values.length > 1) throw refuse('statement: all tracks and single ones');
  return 'all';
}

function tokenField(value: string): string {
  if (!/^[!-~]{1,255}$/.test(value)) throw refuse('statement: not a word');
  return value;
}

function operatorField(value: string): string {
  if (value !== none) parseVkey(value);
  return value;
}

function readTracks(values: readonly string[]): TrackDecl[] {
  const out = values.map((value) => {
    const [track, kind] = splitFields(value, 2);
    if (kind === undefined || !kinds.includes(kind)) throw refuse('statement: unknown kind of track');
    return { track: bytesField(track, 16), kind: kind as TrackKind };
  });
  if (out.length === 0) throw refuse('statement: a camera without tracks');
  if (new Set(out.map((t) => hex(t.track))).size !== out.length) throw refuse('statement: one track twice');
  return out;
}

export interface TrackHead {
  readonly track: Bytes;
  readonly seq: number;
  readonly hash: Bytes;
}

/** Head lines, one a track, keyed by hex. */
export function readHeads(values: readonly string[]): Map<string, TrackHead> {
  const out = new Map<string, TrackHead>();
  for (const value of values) {
    const [track, seq, hash] = splitFields(value, 3);
    const head = { track: bytesField(track, 16), seq: seqField(seq), hash: bytesField(hash, 32) };
    if (out.has(hex(head.track))) throw refuse('heads: one track twice');
    out.set(hex(head.track), head);
  }
  return out;
}

/** A number of 32 bits. */
export function seqField(value: string | undefined): number {
  const n = numberField(value);
  if (n > 0xffffffff) throw refuse('note: a number past 32 bits');
  return n;
}

/** A line of three fields as epoch notes and chain positions use them. */
export function positionField(value: string): { seq: number; hash: Bytes; proofTime: number } {
  const [seq, hash, proofTime] = splitFields(value, 3);
  return { seq: numberField(seq), hash: bytesField(hash, 32), proofTime: numberField(proofTime) };
}
