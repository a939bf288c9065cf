/**
 * What this browser remembers (IndexedDB): the sealed vault, its key wrapped
 * under a CryptoKey that cannot be read out, this browser's name at the server,
 * and the chain as last seen. One account a browser, and one invitation that is
 * being taken up. Nothing here opens anything without those CryptoKeys.
 */
import { type DBSchema, openDB } from 'idb';
import type { EndReason } from '../owner/types';
import type { Breach } from '../owner/access/types';
import { type Bytes, equal } from './bytes';
import { Failure } from './failure';

/** The one record of an account. */
export interface Account {
  readonly household: Bytes;
  readonly server: string;
  /** LKV1 */
  readonly vault: Bytes;
  readonly vaultVersion: number;
  readonly guard: CryptoKey;
  /** the vault key, sealed under guard */
  readonly vk: Bytes;
  /** statements 0…n as received and verified */
  readonly chain: readonly Bytes[];
  /** what this browser is at the server; the secret is sealed under guard */
  readonly device: { readonly id: Bytes; readonly secret: Bytes };
  /** passkeys that open the vault, as last heard */
  readonly passkeys: number;
  /** newest directory note seen, sealed under guard; null before the first */
  readonly directory: Bytes | null;
  /** ids of devices that were ended from here */
  readonly ended: readonly Bytes[];
  /** invitations between offer and end, by rendezvous in hex; each sealed under guard */
  readonly inviting: Readonly<Record<string, Bytes>>;
  /** statements of replaced keys that the reader has read about */
  readonly newKeysSeen: readonly number[];
  /** the public log as seen last; absent before the first look */
  readonly log?: KeptLog;
  /** the newest statement that a proof of the public log covered here; absent before the first */
  readonly covered?: number;
  /** members (hex) whom the newest directory from here was not sealed to: their keys were not proven yet */
  readonly unnamed?: readonly string[];
  /** the newest statement up to which the reader has read what was given away */
  readonly accessSeen?: number;
  /** footage given away from here, by grant in hex, until it is over: what is not handed over yet, and links; each sealed under guard */
  readonly sharing?: Readonly<Record<string, Bytes>>;
  /** footage that support is let see from here and does not have yet, by grant in hex; each sealed under guard */
  readonly helping?: Readonly<Record<string, Bytes>>;
  /** messages of tickets that this browser has shown, by ticket */
  readonly ticketsRead?: Readonly<Record<number, number>>;
  /** the account after a change of all keys that is on its way; vk and secret sealed as above */
  readonly next: { readonly vault: Bytes; readonly vk: Bytes } | null;
}

/** What the public log's next answers are held against. */
export interface KeptLog {
  /** whose signatures count: pinned when this browser looked first */
  readonly policy: string;
  /** unix milliseconds: when it was pinned */
  readonly since: number;
  /** the newest that was accepted, and its size; null before the first */
  readonly checkpoint: Bytes | null;
  readonly size: number;
  /** the newest proof of completeness; null before the first */
  readonly proof: Bytes | null;
  /** entries of statements 0…, proven to stand in the log of checkpoint */
  readonly leaves: readonly number[];
  /** what was wrong, until it is solved */
  readonly breach: Breach | null;
}

/** An invitation that is being taken up here; `sealed` opens with guard. */
export interface Joining {
  readonly guard: CryptoKey;
  readonly sealed: Bytes;
}

interface Schema extends DBSchema {
  account: { key: 'only'; value: Account };
  joining: { key: 'only'; value: Joining };
  ended: { key: 'why'; value: EndReason };
}

/** A store that survives reloads. All methods throw Failure 'storage'. */
export interface Store {
  load(): Promise<Account | null>;
  /** Remembers a new account in place of any other. */
  save(account: Account): Promise<void>;
  /** Changes the account of this device, as another tab may have left it; does nothing when it was forgotten or replaced meanwhile. */
  update(device: Bytes, change: (account: Account) => Account): Promise<void>;
  /** Forgets account and keys; `why` is kept until there is another. */
  forget(why: EndReason | null): Promise<void>;
  endReason(): Promise<EndReason | null>;
  /** Says why nobody is signed in here, without forgetting anything. */
  markEnded(why: EndReason | null): Promise<void>;
  joining(): Promise<Joining | null>;
  keepJoining(joining: Joining | null): Promise<void>;
}

const stores = ['account', 'joining', 'ended'] as const;

/** The store of this browser and origin. */
export async function browserStore(): Promise<Store> {
  const db = await guarded(() =>
    openDB<Schema>('latchkey', 3, {
      upgrade: (fresh) => {
        // What an earlier version kept has no device: it could not sign in.
        for (const name of [...fresh.objectStoreNames]) fresh.deleteObjectStore(name);
        for (const name of stores) fresh.createObjectStore(name);
      },
    }),
  );
  return {
    load: () => guarded(async () => (await db.get('account', 'only')) ?? null),
    save: (account) =>
      guarded(async () => {
        const tx = db.transaction(stores, 'readwrite');
        await Promise.all([tx.objectStore('account').put(account, 'only'), tx.objectStore('ended').clear(), tx.done]);
      }),
    update: (device, change) =>
      guarded(async () => {
        const tx = db.transaction('account', 'readwrite');
        const now = await tx.store.get('only');
        if (now !== undefined && equal(now.device.id, device)) await tx.store.put(change(now), 'only');
        await tx.done;
      }),
    forget: (why) =>
      guarded(async () => {
        const tx = db.transaction(stores, 'readwrite');
        const ended = tx.objectStore('ended');
        await Promise.all([tx.objectStore('account').clear(), why === null ? ended.clear() : ended.put(why, 'why'), tx.done]);
      }),
    endReason: () => guarded(async () => (await db.get('ended', 'why')) ?? null),
    markEnded: (why) =>
      guarded(async () => {
        await (why === null ? db.clear('ended') : db.put('ended', why, 'why'));
      }),
    joining: () => guarded(async () => (await db.get('joining', 'only')) ?? null),
    keepJoining: (joining) =>
      guarded(async () => {
        await (joining === null ? db.clear('joining') : db.put('joining', joining, 'only'));
      }),
  };
}

async function guarded<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new Failure('storage', 'store: this browser’s storage failed', { cause });
  }
}
