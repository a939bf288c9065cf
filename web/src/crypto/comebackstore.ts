/**
 * What a browser keeps of a comeback until its person is back (IndexedDB): keys
 * and codes, sealed under a CryptoKey that cannot be read out. Apart from the
 * account's store: there is no account yet.
 */
import { type DBSchema, openDB } from 'idb';
import type { Bytes } from './bytes';
import { Failure } from './failure';

export interface KeptComeback {
  readonly guard: CryptoKey;
  readonly sealed: Bytes;
}

interface Schema extends DBSchema {
  comeback: { key: 'only'; value: KeptComeback };
}

export interface ComebackStore {
  load(): Promise<KeptComeback | null>;
  save(kept: KeptComeback): Promise<void>;
  forget(): Promise<void>;
}

export async function browserComebacks(): Promise<ComebackStore> {
  const db = await guarded(() => openDB<Schema>('latchkey-comeback', 1, { upgrade: (fresh) => void fresh.createObjectStore('comeback') }));
  return {
    load: () => guarded(async () => (await db.get('comeback', 'only')) ?? null),
    save: (kept) =>
      guarded(async () => {
        await db.put('comeback', kept, 'only');
      }),
    forget: () => guarded(() => db.clear('comeback')),
  };
}

async function guarded<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new Failure('storage', 'comeback: this browser’s storage failed', { cause });
  }
}
