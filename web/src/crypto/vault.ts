/**
 * A member's vault and the wraps of its key (protocol 2.10). The JSON inside is
 * shared with the command line: same fields, no others.
 */
import { type Bytes, b64, concat, equal, fromUtf8, hex, own, parseB64, parseHex, u32, utf8, view } from './bytes';
import { open, random, seal, signer, type Signer } from './cipher';
import { refuse } from './failure';
import { H, kdf, kidOf } from './hash';
import { type SealingKey, sealingKey } from './hpke';

const vaultMagic = utf8('LKV1');
const vaultHead = 40;
const wrapMagic = utf8('LKW1');
const wrapHead = 53;
const wrapSize = wrapHead + 32 + 16;

/** What a member owns. Seeds are here because the vault is their only home. */
export interface Vault {
  readonly household: Bytes;
  readonly edSeed: Bytes;
  readonly xSeeds: readonly Bytes[];
  readonly ktag: Bytes | null;
  /** newest statement seen */
  readonly seq: number;
  readonly hash: Bytes;
  /** "household", "me", or a hex id → display name */
  readonly names: Readonly<Record<string, string>>;
  /** the recovery code has opened this vault, and no new one was made since */
  readonly used: boolean;
  /** of the public log, pinned at founding; null: not pinned yet */
  readonly policy: string | null;
}

/** The keys of a vault, ready to use. */
export interface MemberKeys {
  readonly signer: Signer;
  readonly kid: Bytes;
  readonly sealing: readonly SealingKey[];
}

export async function keysOf(v: Vault): Promise<MemberKeys> {
  const sign = await signer(v.edSeed);
  return { signer: sign, kid: kidOf(sign.publicKey), sealing: await Promise.all(v.xSeeds.map(sealingKey)) };
}

export async function sealVault(v: Vault, vk: Bytes, version: number): Promise<Bytes> {
  const { signer: sign } = await keysOf(v);
  const head = concat(vaultMagic, u32(version), kidOf(sign.publicKey), random(16));
  const doc = {
    v: 1,
    household: hex(v.household),
    ed: b64(v.edSeed),
    x: v.xSeeds.map(b64),
    ...(v.ktag === null ? {} : { ktag: b64(v.ktag) }),
    seq: v.seq,
    hash: hex(v.hash),
    names: v.names,
    ...(v.used ? { used: true } : {}),
    ...(v.policy === null ? {} : { policy: v.policy }),
  };
  return concat(head, await seal(kdf(vk, 'vault', head), head, utf8(JSON.stringify(doc))));
}

/** Opens an LKV1 object; throws Failure 'verify'. The caller refuses an older version than it saw. */
export async function openVault(vk: Bytes, b: Bytes): Promise<{ vault: Vault; version: number }> {
  if (b.length < vaultHead + 16 || !equal(b.subarray(0, 4), vaultMagic)) throw refuse('vault: not a vault');
  const head = own(b.subarray(0, vaultHead));
  const plain = await open(kdf(vk, 'vault', head), head, own(b.subarray(vaultHead)));
  const vault = parseVault(fromUtf8(plain));
  plain.fill(0);
  const keys = await signer(vault.edSeed);
  if (!equal(kidOf(keys.publicKey), head.subarray(8, 24))) throw refuse('vault: holds the keys of somebody else');
  return { vault, version: view(head).getUint32(4) };
}

/** The version in the public head of a vault. */
export function vaultVersion(b: Bytes): number {
  if (b.length < vaultHead) throw refuse('vault: not a vault');
  return view(b).getUint32(4);
}

const members: readonly string[] = ['v', 'household', 'ed', 'x', 'ktag', 'seq', 'hash', 'names', 'used', 'policy'];

function parseVault(json: string): Vault {
  let doc: unknown;
  try {
    doc = JSON.parse(json);
  } catch {
    // The parser's own words could quote the plaintext.
    throw refuse('vault: not the JSON of a vault');
  }
  if (typeof doc !== 'object' || doc === null) throw refuse('vault: not the JSON of a vault');
  const d = doc as Record<string, unknown>;
  if (d['v'] !== 1 || !Array.isArray(d['x']) || d['x'].length === 0) throw refuse('vault: not a version 1 vault');
  if (Object.keys(d).some((k) => !members.includes(k))) throw refuse('vault: holds what this version does not know');
  const used = d['used'] ?? false;
  const policy = d['policy'] ?? null;
  if (typeof used !== 'boolean' || (policy !== null && typeof policy !== 'string')) throw refuse('vault: a field is missing or malformed');
  const names = Object.entries(d['names'] ?? {}).filter((e): e is [string, string] => typeof e[1] === 'string');
  const seq = d['seq'];
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq)) throw refuse('vault: no position in the chain');
  return {
    household: need(typeof d['household'] === 'string' ? parseHex(d['household'], 16) : null),
    edSeed: secret(d['ed']),
    xSeeds: d['x'].map(secret),
    ktag: d['ktag'] === undefined || d['ktag'] === null ? null : secret(d['ktag']),
    seq,
    hash: need(typeof d['hash'] === 'string' ? parseHex(d['hash'], 32) : null),
    names: Object.fromEntries(names),
    used,
    policy: policy === '' ? null : policy,
  };
}

function secret(v: unknown): Bytes {
  return need(typeof v === 'string' ? parseB64(v, 32) : null);
}

function need(b: Bytes | null): Bytes {
  if (b === null) throw refuse('vault: a field is missing or malformed');
  return b;
}

/** Wraps the vault key under the recovery secret of a code: 101 bytes. */
export function sealRecoveryWrap(recoverySecret: Bytes, vk: Bytes): Promise<Bytes> {
  return sealWrap(concat(wrapMagic, new Uint8Array([2]), new Uint8Array(32), random(16)), recoverySecret, vk);
}

/** Wraps the vault key under the secret of a set of trusted contacts; credential is H(set id). */
export function sealContactWrapUnder(contactSecret: Bytes, credential: Bytes, vk: Bytes): Promise<Bytes> {
  return sealWrap(concat(wrapMagic, new Uint8Array([3]), credential, random(16)), contactSecret, vk);
}

/** Wraps the vault key under the PRF output of a passkey: 101 bytes. */
export function sealPasskeyWrap(credentialId: Bytes, prf: Bytes, vk: Bytes): Promise<Bytes> {
  return sealWrap(concat(wrapMagic, new Uint8Array([1]), H(credentialId), random(16)), prf, vk);
}

async function sealWrap(head: Bytes, secretOfKind: Bytes, vk: Bytes): Promise<Bytes> {
  return concat(head, await seal(kdf(secretOfKind, 'wrap', head), head, vk));
}

/** Whether the wrap is for this passkey. */
export function wrapIsFor(credentialId: Bytes, b: Bytes): boolean {
  return wrapKind(b) === 1 && equal(b.subarray(5, 37), H(credentialId));
}

/** The kind of a wrap, 1 passkey, 2 recovery, 3 contacts; throws Failure 'verify' on a malformed one. */
export function wrapKind(b: Bytes): 1 | 2 | 3 {
  const kind = b[4];
  if (b.length !== wrapSize || !equal(b.subarray(0, 4), wrapMagic) || (kind !== 1 && kind !== 2 && kind !== 3)) {
    throw refuse('wrap: not a wrap');
  }
  const zero = b.subarray(5, 37).every((x) => x === 0);
  if (zero !== (kind === 2)) throw refuse('wrap: kind and credential do not fit');
  return kind;
}

/** The vault key inside a wrap; throws Failure 'verify' with another secret. */
export async function openWrap(secretOfKind: Bytes, b: Bytes): Promise<Bytes> {
  wrapKind(b);
  const head = own(b.subarray(0, wrapHead));
  return open(kdf(secretOfKind, 'wrap', head), head, own(b.subarray(wrapHead)));
}
