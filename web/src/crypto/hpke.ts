/**
 * HPKE base mode with X-Wing (ML-KEM-768 + X25519), HKDF-SHA-256, AES-256-GCM
 * (protocol 2.1). A private key is a 32-byte seed, imported as it is: the
 * derivation that libraries offer differs between them and is never used.
 */
import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core';
import { XWing } from '@hpke/hybridkem-x-wing';
import { type Bytes, concat, equal, utf8 } from './bytes';
import { random } from './cipher';
import { refuse } from './failure';
import { kidOf } from './hash';

export const encSize = 1120;
export const publicKeySize = 1216;

const kem = new XWing();
const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Aes256Gcm() });

/** A key that opens what was sealed to its public half. */
export interface SealingKey {
  readonly publicKey: Bytes;
  readonly kid: Bytes;
  /** The 32-byte seed, for the vault only. */
  readonly seed: Bytes;
  open(info: Bytes, enc: Bytes, ciphertext: Bytes): Promise<Bytes>;
}

export async function newSealingKey(): Promise<SealingKey> {
  return sealingKey(random(32));
}

/** The X-Wing key of a 32-byte seed. */
export async function sealingKey(seed: Bytes): Promise<SealingKey> {
  // The library reads the whole buffer behind a key: hand it one of its own.
  const pair = await kem.generateKeyPairDerand(seed.slice());
  const publicKey = new Uint8Array(await kem.serializePublicKey(pair.publicKey)).slice();
  return {
    publicKey,
    kid: kidOf(publicKey),
    seed,
    open: async (info, enc, ciphertext) => {
      try {
        const recipientKey = pair.privateKey;
        const context = await suite.createRecipientContext({ recipientKey, enc: enc.slice(), info });
        return new Uint8Array(await context.open(ciphertext.slice()));
      } catch (cause) {
        throw refuse('hpke: not sealed to this key for this purpose', cause);
      }
    },
  };
}

/** Seals plaintext to an X-Wing public key: enc(1120) ‖ ciphertext. */
export async function sealTo(publicKey: Bytes, info: Bytes, plaintext: Bytes): Promise<Bytes> {
  const recipientPublicKey = await kem.importKey('raw', publicKey.slice().buffer, true);
  const context = await suite.createSenderContext({ recipientPublicKey, info });
  const ct = new Uint8Array(await context.seal(plaintext));
  const out = new Uint8Array(encSize + ct.length);
  out.set(new Uint8Array(context.enc), 0);
  out.set(ct, encSize);
  return out;
}

/** What a sealed object is for: `latchkey/v1 <use>` ‖ 00 ‖ what it is bound to. The recipient's kid is added to it. */
export function purpose(use: 'capsule' | 'command' | 'letter' | 'release', ...bound: readonly Bytes[]): Bytes {
  return concat(utf8(`latchkey/v1 ${use}`), new Uint8Array(1), ...bound);
}

const objectHead = 20;

/** Seals for one recipient: magic(4) ‖ kid(16) ‖ enc(1120) ‖ ct (spec/keys). */
export async function sealObject(magic: string, publicKey: Bytes, use: Bytes, plaintext: Bytes): Promise<Bytes> {
  const kid = kidOf(publicKey);
  return concat(utf8(magic), kid, await sealTo(publicKey, concat(use, kid), plaintext));
}

/** Whose key an object of this magic is sealed to; throws Failure 'verify' when it is none. */
export function recipientOf(magic: string, sealed: Bytes): Bytes {
  if (sealed.length < objectHead + encSize + 16 || !equal(sealed.subarray(0, 4), utf8(magic))) throw refuse(`hpke: not an ${magic} object`);
  return sealed.slice(4, objectHead);
}

/** Opens an object with the one of the keys that it names; throws Failure 'verify'. */
export async function openObject(magic: string, keys: readonly SealingKey[], use: Bytes, sealed: Bytes): Promise<Bytes> {
  const kid = recipientOf(magic, sealed);
  const key = keys.find((k) => equal(k.kid, kid));
  if (key === undefined) throw refuse('hpke: sealed to another key');
  return key.open(concat(use, kid), sealed.slice(objectHead, objectHead + encSize), sealed.slice(objectHead + encSize));
}
