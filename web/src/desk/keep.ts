/**
 * What this browser keeps of one person of staff: his keys, sealed under a key
 * that cannot be read out, and the policy of the public log that he pinned when
 * he joined. A database of its own: nothing of it is a household's.
 */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb';
import type { Bytes } from '../crypto/bytes';
import { random, signer, type Signer, storeKey } from '../crypto/cipher';
import { Failure } from '../crypto/failure';
import { kidOf } from '../crypto/hash';
import { sealingKey, type SealingKey } from '../crypto/hpke';
import { openKept, sealKept } from '../crypto/keptjson';

/** One person of staff, ready to work. */
export interface Agent {
  readonly id: string;
  readonly role: string;
  /** origin of the service */
  readonly server: string;
  /** text of the policy, pinned when he joined */
  readonly policy: string;
  readonly sign: Signer;
  readonly kid: Bytes;
  readonly sealing: SealingKey;
}

interface Secrets {
  readonly id: string;
  readonly role: string;
  readonly server: string;
  readonly policy: string;
  readonly ed: Bytes;
  readonly x: Bytes;
}

interface Kept {
  readonly guard: CryptoKey;
  readonly sealed: Bytes;
}

interface Schema extends DBSchema {
  staff: { key: 'only'; value: Kept };
}

const database = (): Promise<IDBPDatabase<Schema>> =>
  guarded(() => openDB<Schema>('latchkey-desk', 1, { upgrade: (db) => void db.createObjectStore('staff') }));

/** New keys of somebody who joins; kept by keepAgent. */
export async function newAgent(id: string, role: string, server: string, policy: string): Promise<{ agent: Agent; keep(): Promise<void> }> {
  const secrets: Secrets = { id, role, server, policy, ed: random(32), x: random(32) };
  return { agent: await ready(secrets), keep: () => keep(secrets) };
}

async function keep(secrets: Secrets): Promise<void> {
  const guard = await storeKey();
  const sealed = await sealKept(guard, secrets);
  const db = await database();
  await guarded(() => db.put('staff', { guard, sealed }, 'only'));
}

/** Who lives in this browser; null: nobody. */
export async function loadAgent(): Promise<Agent | null> {
  const db = await database();
  const kept = await guarded(() => db.get('staff', 'only'));
  // Written by this code alone.
  return kept === undefined ? null : ready((await openKept(kept.guard, kept.sealed)) as Secrets);
}

export async function forgetAgent(): Promise<void> {
  const db = await database();
  await guarded(() => db.delete('staff', 'only'));
}

async function ready(s: Secrets): Promise<Agent> {
  const sign = await signer(s.ed);
  return { id: s.id, role: s.role, server: s.server, policy: s.policy, sign, kid: kidOf(sign.publicKey), sealing: await sealingKey(s.x) };
}

async function guarded<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new Failure('storage', 'desk: this browser’s storage failed', { cause });
  }
}
