/** C2SP signed notes by keys of any name: checkpoints, cosignatures, set notes. */
import { type Bytes, b64, concat, equal, hex, own, parseB64, utf8, view } from '../crypto/bytes';
import { verifier } from '../crypto/cipher';
import { refuse } from '../crypto/failure';
import { H } from '../crypto/hash';
import { textOf } from './leaf';

const maxNote = 65_536;
const maxLines = 100;

/** Type 1 signs the text, type 4 the text at a time (tlog-cosignature). */
export type KeyType = 1 | 4;

/** A verifier key: `name+hash+base64(type ‖ key)`. */
export interface Key {
  readonly name: string;
  readonly id: Bytes;
  readonly type: KeyType;
  readonly publicKey: Bytes;
}

/** Reads a verifier key of this type; null when it is anything else. */
export function parseKey(s: string, type: KeyType): Key | null {
  const [, name, id, bytes] = /^([^+\p{White_Space}]+)\+([0-9a-f]{8})\+(\S+)$/u.exec(s) ?? [];
  const raw = bytes === undefined ? null : parseB64(bytes, 33);
  if (name === undefined || id === undefined || raw === null || raw[0] !== type) return null;
  const key = { name, id: H(utf8(`${name}\n`), raw).slice(0, 4), type, publicKey: own(raw.slice(1)) };
  return Number.parseInt(id, 16) === view(key.id).getUint32(0) ? key : null;
}

/** The one form of a verifier key. */
export function vkeyOf(k: Key): string {
  return `${k.name}+${hex(k.id)}+${b64(concat(new Uint8Array([k.type]), k.publicKey))}`;
}

export interface SignatureLine {
  readonly name: string;
  readonly id: Bytes;
  /** what comes after the key's id */
  readonly blob: Bytes;
  /** as it stands in the note, with its newline */
  readonly line: string;
}

export interface Signed {
  readonly text: string;
  readonly lines: readonly SignatureLine[];
}

/** Splits text and signature lines. Throws Failure 'verify'. */
export function parseSigned(raw: Uint8Array): Signed {
  if (raw.length > maxNote) throw refuse('ledger: a note that is too long');
  const all = textOf(raw);
  const at = all.lastIndexOf('\n\n');
  const block = all.slice(at + 2);
  // Control characters have no place in a note.
  if (at < 0 || block === '' || !block.endsWith('\n') || [...all].some((c) => c < ' ' && c !== '\n')) throw refuse('ledger: no signed note');
  const lines = block.slice(0, -1).split('\n').map((l) => {
    const [, name, blob] = /^— ([^+\p{White_Space}]+) ([A-Za-z0-9+/]+={0,2})$/u.exec(l) ?? [];
    const bytes = blob === undefined ? null : loose(blob);
    if (name === undefined || bytes === null || bytes.length < 5) throw refuse('ledger: no signature line');
    return { name, id: own(bytes.slice(0, 4)), blob: own(bytes.slice(4)), line: `${l}\n` };
  });
  if (lines.length > maxLines) throw refuse('ledger: too many signatures');
  return { text: all.slice(0, at + 1), lines };
}

/** Base64 as signed-note's readers take it: the last digit's spare bits are nobody's. */
function loose(s: string): Bytes | null {
  return s.length % 4 === 0 ? Uint8Array.from(atob(s), (c) => c.charCodeAt(0)) : null;
}

/** The lines of these keys, each of which must hold: one that does not spoils the note. Throws Failure 'verify'. */
export async function verifySigned(n: Signed, keys: readonly Key[]): Promise<Map<Key, SignatureLine>> {
  const held = new Map<Key, SignatureLine>();
  for (const line of n.lines) {
    const key = keys.find((k) => k.name === line.name && equal(k.id, line.id));
    if (key === undefined || held.has(key)) continue;
    const check = await verifier(key.publicKey);
    const holds = key.type === 1
      ? await check(line.blob, utf8(n.text))
      : line.blob.length === 72 && Number.isSafeInteger(timeOf(line)) && await check(own(line.blob.slice(8)), concat(utf8(`cosignature/v1\ntime ${timeOf(line)}\n`), utf8(n.text)));
    if (!holds) throw refuse(`ledger: the signature of ${key.name} does not hold`);
    held.set(key, line);
  }
  return held;
}

/** When a cosignature was made, unix seconds. */
export function timeOf(line: SignatureLine): number {
  return Number(view(line.blob).getBigUint64(0));
}
