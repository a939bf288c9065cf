/**
 * Signed notes (C2SP signed-note) with Latchkey's text (protocol 2.2): the
 * container, the strict text grammar, and readers for its lines. A note is
 * verified over its received bytes and never written again.
 */
import { type Bytes, b64, compare, concat, equal, fromUtf8, hex, own, parseB64, utf8 } from './bytes';
import { type Signer, verifier } from './cipher';
import { refuse } from './failure';
import { H, kidOf } from './hash';

const maxText = 60_000;
const maxNote = 65_536;
const maxSignatures = 16;
const dash = '\u2014 ';
const sigType = new Uint8Array([1]);

interface SignatureLine {
  readonly name: string;
  readonly keyHash: Bytes;
  readonly sig: Bytes;
}

/** A note whose container and text grammar hold; its signature is not checked yet. */
export interface Note {
  readonly raw: Bytes;
  readonly text: Bytes;
  readonly type: string;
  readonly lines: readonly Line[];
  readonly signatures: readonly SignatureLine[];
  /** H(text): the statement's identity. */
  readonly hash: Bytes;
}

export interface Line {
  readonly key: string;
  readonly value: string;
}

function keyName(publicKey: Bytes): string {
  return `lk.${hex(kidOf(publicKey))}`;
}

function keyHash(publicKey: Bytes): Bytes {
  return H(utf8(`${keyName(publicKey)}\n`), sigType, publicKey).slice(0, 4);
}

/** Verifier key in the text form of C2SP notes: name+hash+base64. */
export function vkey(publicKey: Bytes): string {
  return `${keyName(publicKey)}+${hex(keyHash(publicKey))}+${b64(concat(sigType, publicKey))}`;
}

/** Reads a verifier key as vkey writes it, under any name. */
export function parseVkey(s: string): { name: string; publicKey: Bytes } {
  const [name, id, key, ...more] = s.split('+');
  // The key's own base64 may contain plus signs.
  const body = parseB64([key ?? '', ...more].join('+'), 33);
  if (name === undefined || id === undefined || !signerName.test(name) || body === null) throw refuse('note: not a verifier key');
  if (body[0] !== 1 || hex(H(utf8(`${name}\n`), body).slice(0, 4)) !== id) throw refuse('note: not a verifier key');
  return { name, publicKey: body.slice(1) };
}

/** A line of a text: key and value. */
export type TextLine = readonly [string, string];

/** A line, or none for null. */
export function maybeLine(key: string, value: Bytes | null): TextLine[] {
  return value === null ? [] : [[key, b64(value)]];
}

/** The repeated lines of one key, sorted by bytes. */
export function sortedLines(key: string, values: readonly string[]): TextLine[] {
  return [...values].sort((a, b) => compare(utf8(a), utf8(b))).map((v) => [key, v] as const);
}

/** Joins the lines of a text: "latchkey/v1 <type>" first. */
export function composeText(type: string, lines: readonly TextLine[]): Bytes {
  return utf8([`latchkey/v1 ${type}`, ...lines.map(([k, v]) => `${k} ${v}`), ''].join('\n'));
}

/** Signs a text made by composeText: text ‖ LF ‖ signature line. */
export async function signNote(text: Bytes, signer: Signer): Promise<Bytes> {
  const sig = await signer.sign(text);
  const line = `${dash}${keyName(signer.publicKey)} ${b64(concat(keyHash(signer.publicKey), sig))}\n`;
  return concat(text, utf8('\n'), utf8(line));
}

/** Reads a text that is not signed yet, as parseNote reads one that is. */
export function readText(text: Bytes): Note {
  if (text.length > maxText) throw refuse('note: text too long');
  const [type, lines] = parseText(fromUtf8(text));
  return { raw: text, text, type, lines, signatures: [], hash: H(text) };
}

/** Reads container and text grammar; throws Failure 'verify' on any second spelling. */
export function parseNote(raw: Bytes): Note {
  if (raw.length > maxNote) throw refuse('note: too long');
  let s: string;
  try {
    s = fromUtf8(raw);
  } catch (cause) {
    throw refuse('note: not UTF-8', cause);
  }
  const cut = s.lastIndexOf('\n\n');
  if (cut < 0 || !s.endsWith('\n')) throw refuse('note: no signature block');
  const textString = s.slice(0, cut + 1);
  const text = utf8(textString);
  if (text.length > maxText) throw refuse('note: text too long');
  const [type, lines] = parseText(textString);
  const signatures = parseSignatures(s.slice(cut + 2, -1));
  return { raw, text: own(raw.subarray(0, text.length)), type, lines, signatures, hash: H(text) };
}

const head = /^latchkey\/v1 ([a-z]+)$/;
// No control characters, no space at either end, not empty. Spelled as escapes:
// a value may hold any other character.
// eslint-disable-next-line no-control-regex
const field = /^([a-z]+) ((?! )[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u0020\u007f-\u009f])$/u;
const signerName = /^[!-*,-~]{1,255}$/;

function parseText(text: string): [string, Line[]] {
  const rows = text.slice(0, -1).split('\n');
  const type = head.exec(rows[0] ?? '')?.[1];
  if (type === undefined) throw refuse('note: not a latchkey/v1 note');
  const lines = rows.slice(1).map((row) => {
    const m = field.exec(row);
    if (m?.[1] === undefined || m[2] === undefined) throw refuse(`note: line ${JSON.stringify(row)} is malformed`);
    return { key: m[1], value: m[2] };
  });
  return [type, lines];
}

function parseSignatures(block: string): SignatureLine[] {
  const out = block.split('\n').map(parseSignature);
  const seen = new Set(out.map((l) => `${l.name} ${hex(l.keyHash)}`));
  if (out.length > maxSignatures || seen.size !== out.length) throw refuse('note: too many signature lines');
  return out;
}

function parseSignature(row: string): SignatureLine {
  const [mark, name, sig, ...more] = row.split(' ');
  const body = sig === undefined ? null : parseB64(sig);
  if (mark !== dash.trim() || more.length > 0 || name === undefined || !signerName.test(name)) {
    throw refuse('note: malformed signature line');
  }
  if (body === null || body.length < 5) throw refuse('note: malformed signature');
  return { name, keyHash: body.slice(0, 4), sig: body.slice(4) };
}

/** The y coordinates of the Ed25519 points of small order, in every encoding of 255 bits. */
const smallOrderY: readonly string[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

/**
 * Whether 32 bytes encode a point of small order. As a key, anybody can sign for
 * one; as part of a signature, browsers differ in whether they take it, and a
 * chain must not split on that.
 */
function smallOrder(point: Uint8Array): boolean {
  const y = point.slice();
  y[31] = (y[31] ?? 0) & 0x7f;
  return smallOrderY.includes(hex(y));
}

/** Checks that publicKey signed the note; throws Failure 'verify' otherwise. */
export async function verifyNote(n: Note, publicKey: Bytes): Promise<void> {
  const name = keyName(publicKey);
  const id = keyHash(publicKey);
  const line = n.signatures.find((s) => s.name === name && equal(s.keyHash, id));
  if (line === undefined) throw refuse(`note: ${n.type} is not signed by ${name}`);
  const check = await verifier(publicKey);
  const weak = line.sig.length !== 64 || smallOrder(publicKey) || smallOrder(line.sig.subarray(0, 32));
  if (weak || !(await check(line.sig, n.text))) throw refuse(`note: the signature of ${name} does not hold`);
}

/** Reads a note's lines in their fixed order; every miss throws Failure 'verify'. */
export class LineReader {
  #at = 0;
  readonly #note: Note;

  constructor(note: Note, type: string) {
    if (note.type !== type) throw refuse(`note: want ${type}, got ${note.type}`);
    this.#note = note;
  }

  /** The next line, which has this key. */
  one(key: string): string {
    const value = this.maybe(key);
    if (value === null) throw refuse(`note: ${this.#note.type} lacks ${key}`);
    return value;
  }

  maybe(key: string): string | null {
    const line = this.#note.lines[this.#at];
    if (line?.key !== key) return null;
    this.#at++;
    return line.value;
  }

  /** All lines with this key: sorted by bytes, distinct. */
  many(key: string): string[] {
    const out: string[] = [];
    for (let value = this.maybe(key); value !== null; value = this.maybe(key)) {
      const before = out[out.length - 1];
      if (before !== undefined && compare(utf8(before), utf8(value)) >= 0) {
        throw refuse(`note: ${key} lines out of order`);
      }
      out.push(value);
    }
    return out;
  }

  bytes(key: string, size: number): Bytes {
    return bytesField(this.one(key), size);
  }

  /** A line that may be missing; null then. What no line may say is zeros: they would mean the same. */
  maybeBytes(key: string, size: number): Bytes | null {
    const value = this.maybe(key);
    if (value === null) return null;
    const b = bytesField(value, size);
    if (b.every((x) => x === 0)) throw refuse(`note: ${key} is zero`);
    return b;
  }

  /** An Ed25519 key for which not just anybody can sign. */
  ed(key: string): Bytes {
    return edField(this.one(key));
  }

  number(key: string): number {
    return numberField(this.one(key));
  }

  /** The value split at single spaces into exactly n fields. */
  fields(key: string, n: number): string[] {
    return splitFields(this.one(key), n);
  }

  end(): void {
    const line = this.#note.lines[this.#at];
    if (line !== undefined) throw refuse(`note: ${this.#note.type} has an unexpected ${line.key}`);
  }
}

export function bytesField(value: string | undefined, size: number): Bytes {
  const b = value === undefined ? null : parseB64(value, size);
  if (b === null) throw refuse(`note: want ${size} bytes of canonical base64`);
  return b;
}

/** An Ed25519 key, of no small order. */
export function edField(value: string | undefined): Bytes {
  const b = bytesField(value, 32);
  if (smallOrder(b)) throw refuse('note: a key of small order');
  return b;
}

/** A decimal without sign or leading zero, exact in a double. */
export function numberField(value: string | undefined): number {
  const n = value !== undefined && /^(0|[1-9][0-9]*)$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(n)) throw refuse('note: not a plain number');
  return n;
}

export function splitFields(value: string, n: number): string[] {
  const out = value.split(' ');
  if (out.length !== n) throw refuse(`note: want ${n} fields`);
  return out;
}
