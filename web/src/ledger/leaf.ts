/**
 * The public log from outside (docs/spec/log.md): its entries and their tags.
 * Everything in this room is checked, nothing is fetched: callers bring bytes,
 * and judge by their clock how old they may be.
 */
import { type Bytes, concat, fromUtf8, own, u64 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { kdf } from '../crypto/hash';

/** The largest entry of a log, in bytes. */
const maxEntry = 65_535;

/** The name of statement `seq` of the household whose log tag key this is; 32 bytes. */
export function tagOf(key: Uint8Array, seq: number): Bytes {
  return kdf(key, 'log tag', u64(seq));
}

export type Entry =
  | { readonly kind: 'household'; readonly tag: Bytes; readonly value: Bytes }
  | { readonly kind: 'public'; readonly note: Bytes };

export function encodeEntry(e: Entry): Bytes {
  return e.kind === 'household' ? concat(new Uint8Array([0]), e.tag, e.value) : concat(new Uint8Array([1]), e.note);
}

/** Reads an entry strictly. Who signed a note is for its reader. Throws Failure 'verify'. */
export function parseEntry(b: Uint8Array): Entry {
  if (b.length === 65 && b[0] === 0) return { kind: 'household', tag: own(b.subarray(1, 33)), value: own(b.subarray(33)) };
  const text = b.length <= maxEntry && b[0] === 1 && b[b.length - 1] === 10 ? latin(b.subarray(1)) : '';
  if (text.startsWith('latchkey/v1 ') && text.includes(mark)) return { kind: 'public', note: own(b.subarray(1)) };
  throw refuse('ledger: neither a household\'s leaf nor a public note');
}

/** "\n\n— " byte by byte. */
const mark = '\n\n\u00e2\u0080\u0094 ';

/** One character a byte: for looking at what need not be UTF-8. */
function latin(b: Uint8Array): string {
  let s = '';
  for (let i = 0; i < b.length; i += 0x8000) s += String.fromCharCode(...b.subarray(i, i + 0x8000));
  return s;
}

/** The text of a file; bytes that are not UTF-8 are refused. */
export function textOf(b: Uint8Array): string {
  try {
    return fromUtf8(b);
  } catch (err) {
    throw refuse('ledger: not UTF-8', err);
  }
}

/** Reads a decimal number in its one form; null when it is anything else. */
export function decimal(s: string | undefined): number | null {
  if (s === undefined || !/^(0|[1-9][0-9]*)$/.test(s)) return null;
  const n = Number(s);
  return Number.isSafeInteger(n) ? n : null;
}
