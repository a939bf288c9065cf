/**
 * Every call into WebCrypto of the whole web app: AES-256-GCM with the zero
 * nonce of protocol 2.1, Ed25519, randomness, and the non-extractable key that
 * guards this browser's own store. No other file names crypto.subtle.
 */
import { type Bytes, concat, own } from './bytes';
import { refuse } from './failure';

const nonce = new Uint8Array(12);
const GCM = 'AES-GCM';

export function random(size: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(size));
}

/** SHA-256 by the browser itself: for parts, which are long and many. */
export async function digest(b: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', b));
}

/** AEAD(k, aad, p). The caller guarantees that key seals exactly one message, ever. */
export async function seal(key: Bytes, aad: Bytes, plaintext: Bytes): Promise<Bytes> {
  const k = await crypto.subtle.importKey('raw', key, GCM, false, ['encrypt']);
  const ct = await crypto.subtle.encrypt({ name: GCM, iv: nonce, additionalData: aad }, k, plaintext);
  return new Uint8Array(ct);
}

/** Opens what seal made; throws Failure 'verify' when key, aad or bytes are not those. */
export async function open(key: Bytes, aad: Bytes, ciphertext: Bytes): Promise<Bytes> {
  const k = await crypto.subtle.importKey('raw', key, GCM, false, ['decrypt']);
  try {
    const p = await crypto.subtle.decrypt({ name: GCM, iv: nonce, additionalData: aad }, k, ciphertext);
    return new Uint8Array(p);
  } catch (cause) {
    throw refuse('cipher: the bytes do not open with this key', cause);
  }
}

/** An Ed25519 key that signs; the seed cannot be read back out of it. */
export interface Signer {
  readonly publicKey: Bytes;
  sign(message: Bytes): Promise<Bytes>;
}

// PKCS #8 wrapping of a bare Ed25519 seed (RFC 8410): the only form in which
// WebCrypto imports one.
const pkcs8 = new Uint8Array([
  0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
]);

/** The signing key of a 32-byte seed. */
export async function signer(seed: Bytes): Promise<Signer> {
  const form = concat(pkcs8, seed);
  // Imported twice: once readable, only to learn the public half, once for good.
  const readable = await crypto.subtle.importKey('pkcs8', form, 'Ed25519', true, ['sign']);
  const { x } = await crypto.subtle.exportKey('jwk', readable);
  const key = await crypto.subtle.importKey('pkcs8', form, 'Ed25519', false, ['sign']);
  form.fill(0);
  return {
    publicKey: fromUrl(x ?? ''),
    sign: async (message) => new Uint8Array(await crypto.subtle.sign('Ed25519', key, message)),
  };
}

function fromUrl(s: string): Bytes {
  return Uint8Array.from(atob(s.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

/** A public key made ready once and used for many checks. */
export type Verifier = (signature: Bytes, message: Bytes) => Promise<boolean>;

/** Throws Failure 'verify' when the 32 bytes are no Ed25519 key. */
export async function verifier(publicKey: Bytes): Promise<Verifier> {
  let key: CryptoKey;
  try {
    key = await crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify']);
  } catch (cause) {
    throw refuse('cipher: not an Ed25519 key', cause);
  }
  return (signature, message) => crypto.subtle.verify('Ed25519', key, signature, message);
}

/** A key that this browser keeps and nobody can read out of it, this code included. */
export function storeKey(): Promise<CryptoKey> {
  return crypto.subtle.generateKey({ name: GCM, length: 256 }, false, ['encrypt', 'decrypt']);
}

/** Seals for the store of this browser: nonce(12) ‖ ciphertext, a fresh nonce each time. */
export async function storeSeal(key: CryptoKey, plaintext: Bytes): Promise<Bytes> {
  const iv = random(12);
  return concat(iv, new Uint8Array(await crypto.subtle.encrypt({ name: GCM, iv }, key, plaintext)));
}

/** Opens what storeSeal made. */
export async function storeOpen(key: CryptoKey, sealed: Bytes): Promise<Bytes> {
  const iv = own(sealed.subarray(0, 12));
  try {
    return new Uint8Array(
      await crypto.subtle.decrypt({ name: GCM, iv }, key, own(sealed.subarray(12))),
    );
  } catch (cause) {
    throw refuse('cipher: this browser’s own store does not open', cause);
  }
}
