/**
 * The spellings of bytes in Latchkey: lower-case hex for identifiers in URLs,
 * canonical base64 inside statements, big-endian integers in binary objects.
 * Every reader here is strict: what it accepts re-encodes to the same input.
 */

/** Bytes over a plain ArrayBuffer: what WebCrypto takes and postMessage transfers. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The same bytes as {@link Bytes}; copies only when they live in shared memory. */
export function own(b: Uint8Array): Bytes {
  return b.buffer instanceof ArrayBuffer
    ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength)
    : new Uint8Array(b);
}

export function utf8(s: string): Bytes {
  return own(encoder.encode(s));
}

/** Throws on anything that is not UTF-8; keeps a byte order mark as a character. */
export function fromUtf8(b: Uint8Array): string {
  return decoder.decode(b);
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** Compares in time that depends on the lengths only. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let diff = 0;
  for (let i = 0; i < a.length; i++) diff |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return diff === 0;
}

/** Orders as Go's bytes.Compare does. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

export function u16(v: number): Bytes {
  return new Uint8Array([v >>> 8, v & 255]);
}

export function u32(v: number): Bytes {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, v);
  return out;
}

export function u64(v: number): Bytes {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(v));
  return out;
}

/** A view for reading big-endian numbers out of b. */
export function view(b: Uint8Array): DataView {
  return new DataView(b.buffer, b.byteOffset, b.byteLength);
}

const hexDigits = '0123456789abcdef';

export function hex(b: Uint8Array): string {
  let s = '';
  for (const x of b) s += (hexDigits[x >>> 4] ?? '') + (hexDigits[x & 15] ?? '');
  return s;
}

/** Reads lower-case hex of exactly size bytes; null when it is anything else. */
export function parseHex(s: string, size: number): Bytes | null {
  if (s.length !== 2 * size || !/^[0-9a-f]*$/.test(s)) return null;
  const out = new Uint8Array(size);
  for (let i = 0; i < size; i++) out[i] = Number.parseInt(s.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/** Reads hex that is known to be well formed because this code made or checked it. */
export function unhex(s: string): Bytes {
  const b = parseHex(s, s.length >>> 1);
  if (b === null) throw new Error('bytes: not hex');
  return b;
}

export function b64(b: Uint8Array): string {
  let s = '';
  for (let i = 0; i < b.length; i += 0x8000) s += String.fromCharCode(...b.subarray(i, i + 0x8000));
  return btoa(s);
}

/** Reads canonical padded base64 (RFC 4648 §4), of size bytes if given; null otherwise. */
export function parseB64(s: string, size?: number): Bytes | null {
  if (s.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(s)) return null;
  let raw: string;
  try {
    raw = atob(s);
  } catch {
    return null;
  }
  const out = Uint8Array.from(raw, (c) => c.charCodeAt(0));
  if (size !== undefined && out.length !== size) return null;
  // Spare bits in the last digit may hide a second spelling of the same bytes.
  return b64(out) === s ? out : null;
}
