/**
 * The notes of staff: an opening asks a hub to release entries of a two-key
 * grant (spec/keys, "Two keys"), a desk note signs in.
 */
import { type Bytes, b64 } from './bytes';
import { type Entry, entryLines, readEntries } from './entry';
import { composeText, LineReader, type Note } from './note';
import { originField } from './request';

export interface Opening {
  readonly household: Bytes;
  readonly grant: Bytes;
  /** kid of the signing Ed25519 key */
  readonly by: Bytes;
  readonly time: number;
  readonly nonce: Bytes;
  /** H(text) of the access statement that names the entries */
  readonly access: Bytes;
  readonly entries: readonly Entry[];
}

export function parseOpening(n: Note): Opening {
  const r = new LineReader(n, 'opening');
  const out = {
    household: r.bytes('household', 16), grant: r.bytes('grant', 16), by: r.bytes('by', 16), time: r.number('time'),
    nonce: r.bytes('nonce', 16), access: r.bytes('access', 32), entries: readEntries(r),
  };
  r.end();
  return out;
}

export function openingText(o: Opening): Bytes {
  return composeText('opening', [
    ['household', b64(o.household)], ['grant', b64(o.grant)], ['by', b64(o.by)], ['time', String(o.time)],
    ['nonce', b64(o.nonce)], ['access', b64(o.access)], ...entryLines(o.entries),
  ]);
}

export interface Desk {
  /** kid of the Ed25519 key of a staff note */
  readonly by: Bytes;
  /** origin */
  readonly server: string;
  readonly nonce: Bytes;
  readonly time: number;
}

export function parseDesk(n: Note): Desk {
  const r = new LineReader(n, 'desk');
  const out = { by: r.bytes('by', 16), server: originField(r.one('server')), nonce: r.bytes('nonce', 16), time: r.number('time') };
  r.end();
  return out;
}

export function deskText(d: Desk): Bytes {
  return composeText('desk', [['by', b64(d.by)], ['server', d.server], ['nonce', b64(d.nonce)], ['time', String(d.time)]]);
}
