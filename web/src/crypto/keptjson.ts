/** What has to be gone on with after a crash: JSON with bytes in it, sealed under a key that only this browser has. */
import { type Bytes, b64, fromUtf8, parseB64, utf8 } from './bytes';
import { storeOpen, storeSeal } from './cipher';

export function sealKept(guard: CryptoKey, kept: unknown): Promise<Bytes> {
  return storeSeal(guard, utf8(JSON.stringify(kept, writeBytes)));
}

/** Written by this code alone: of the form that it had then. */
export async function openKept(guard: CryptoKey, sealed: Bytes): Promise<unknown> {
  return JSON.parse(fromUtf8(await storeOpen(guard, sealed)), readBytes);
}

function writeBytes(_key: string, v: unknown): unknown {
  return v instanceof Uint8Array ? { b64: b64(v) } : v;
}

function readBytes(_key: string, v: unknown): unknown {
  if (typeof v !== 'object' || v === null || !('b64' in v) || typeof v.b64 !== 'string') return v;
  return parseB64(v.b64) ?? new Uint8Array();
}
