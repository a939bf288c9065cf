/**
 * The notes of staff: an opening asks a hub to release entries of a two-key
 * grant (spec/keys, "Two keys"), a desk note signs in.
 */
import { type Bytes, b64, fromUtf8, parseB64, utf8 } from './bytes';
import { type Entry, entryLines, readEntries } from './entry';
import { refuse } from './failure';
import { publicKeySize } from './hpke';
import { composeText, LineReader, type Note, verifyNote } from './note';
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

/** What somebody who is to work for the operator says of himself, signed with his own new key. */
export interface Applicant {
  readonly id: string;
  readonly role: string;
  readonly ed: Bytes;
  readonly x: Bytes;
  readonly trained: number;
  readonly time: number;
}

/** Reads an applicant's note and verifies that he has signed it with the key that it names. */
export async function parseApplicant(n: Note): Promise<Applicant> {
  const r = new LineReader(n, 'applicant');
  const out = { id: tokenField(r.one('id')), role: tokenField(r.one('role')), ed: r.ed('ed'), x: r.bytes('x', publicKeySize), trained: r.number('trained'), time: r.number('time') };
  r.end();
  await verifyNote(n, out.ed);
  return out;
}

export function applicantText(a: Applicant): Bytes {
  return composeText('applicant', [['id', a.id], ['role', a.role], ['ed', b64(a.ed)], ['x', b64(a.x)], ['trained', String(a.trained)], ['time', String(a.time)]]);
}

function tokenField(value: string): string {
  if (!/^[a-z0-9-]{1,64}$/.test(value)) throw refuse('applicant: not a token');
  return value;
}

/** One message of a ticket; it travels in letters. */
export interface Message {
  readonly household: Bytes;
  readonly ticket: number;
  /** kid of the writer's Ed25519 key: a member's, or of staff */
  readonly by: Bytes;
  readonly time: number;
  readonly nonce: Bytes;
  readonly words: string;
  /** JSON for programs; null: none */
  readonly about: string | null;
}

export function parseMessage(n: Note): Message {
  const r = new LineReader(n, 'message');
  const out = {
    household: r.bytes('household', 16), ticket: r.number('ticket'), by: r.bytes('by', 16), time: r.number('time'),
    nonce: r.bytes('nonce', 16), words: wordsField(r.one('text')), about: maybeWords(r.maybe('about')),
  };
  r.end();
  return out;
}

export function messageText(m: Message): Bytes {
  return composeText('message', [
    ['household', b64(m.household)], ['ticket', String(m.ticket)], ['by', b64(m.by)], ['time', String(m.time)],
    ['nonce', b64(m.nonce)], ['text', b64(utf8(m.words))], ...(m.about === null ? [] : [['about', b64(utf8(m.about))] as const]),
  ]);
}

/** What a hub says of its own state to whoever has the household's ticket; it travels in a letter. */
export interface Health {
  readonly household: Bytes;
  readonly hub: Bytes;
  readonly ticket: number;
  /** kid of the X-Wing key that the letter is to */
  readonly to: Bytes;
  readonly time: number;
  /** JSON */
  readonly report: string;
}

export function parseHealth(n: Note): Health {
  const r = new LineReader(n, 'health');
  const out = {
    household: r.bytes('household', 16), hub: r.bytes('hub', 16), ticket: r.number('ticket'), to: r.bytes('to', 16), time: r.number('time'),
    report: wordsField(r.one('report')),
  };
  r.end();
  return out;
}

export function healthText(h: Health): Bytes {
  return composeText('health', [
    ['household', b64(h.household)], ['hub', b64(h.hub)], ['ticket', String(h.ticket)], ['to', b64(h.to)], ['time', String(h.time)],
    ['report', b64(utf8(h.report))],
  ]);
}

/** The longest text of a message or a report, in bytes. */
const maxWords = 16 << 10;

const maybeWords = (value: string | null): string | null => (value === null ? null : wordsField(value));

function wordsField(value: string): string {
  const b = parseB64(value);
  if (b === null || b.length > maxWords) throw refuse('message: not 1 to 16,384 bytes');
  let text: string;
  try {
    text = fromUtf8(b);
  } catch (cause) {
    throw refuse('message: it is not UTF-8', cause);
  }
  if (goTrimmed(text) === '') throw refuse('message: it says nothing');
  return text;
}

/** Without the white space that Unicode names, which is what other implementations trim. */
const goTrimmed = (s: string): string => s.replaceAll(/^\p{White_Space}+|\p{White_Space}+$/gu, '');
