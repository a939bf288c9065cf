/** An account as the server hands it out, held against what is known of it already. */
import type { Api } from './api';
import { type Bytes, equal, hex, own } from './bytes';
import { Chain } from './chain';
import { refuse } from './failure';
import { sealLabel } from './letter';
import { parseNote } from './note';
import type { Page } from './page';
import { type Device, nowSeconds } from './signin';
import type { Account, Store } from './store';
import { type MemberKeys, openVault, type Vault } from './vault';

/** What a member works with: the server, this browser's store, the page in front. */
export interface Place {
  readonly api: Api;
  readonly store: Store;
  readonly page: Page;
}

/** An account as it was opened, before this browser remembers it. */
export interface Opened {
  readonly vault: Vault;
  readonly sealed: Bytes;
  readonly version: number;
  readonly wraps: readonly Bytes[];
  readonly vk: Bytes;
  readonly chain: Chain;
  readonly device: Device;
}

/** Opens the vault and holds the chain against it, and both against what this browser may still know of them. */
export async function openAccount(place: Place, a: { household: Bytes; sealed: Bytes; wraps: readonly Bytes[]; vk: Bytes; device: Device }): Promise<Opened> {
  const { vault, version } = await openVault(a.vk, a.sealed);
  if (!equal(vault.household, a.household)) throw refuse('account: the vault is of another household');
  const chain = await fetchChain(place.api, new Chain());
  checkAgainstVault(chain, vault);
  const before = await place.store.load();
  if (before !== null) checkAgainstStore(before, a.sealed, version, chain);
  return { ...a, vault, version, chain };
}

/**
 * Adds to chain whatever the server has beyond it. The last statement known is
 * asked for again: a server that has gone back, or to another chain, shows by it.
 */
export async function fetchChain(api: Api, chain: Chain): Promise<Chain> {
  for (;;) {
    const known = chain.length;
    const { notes } = await api.chain.getChain({ fromSeq: BigInt(Math.max(0, known - 1)) });
    const [first, ...rest] = notes.map(own);
    if (known > 0 && (first === undefined || !equal(parseNote(first).hash, chain.head.hash))) {
      throw refuse('account: the server shows another chain than before');
    }
    const fresh = known > 0 || first === undefined ? rest : [first, ...rest];
    for (const raw of fresh) await chain.add(raw, nowSeconds());
    if (fresh.length === 0) return chain;
  }
}

/** A chain older than, or other than, the one the vault has seen is a rollback or a fork. */
function checkAgainstVault(chain: Chain, vault: Vault): void {
  const seen = chain.at(vault.seq);
  if (seen === null || !equal(seen.hash, vault.hash)) throw refuse('account: the chain is not the one this vault has seen');
  if (!equal(chain.head.household, vault.household)) throw refuse('account: the chain is of another household');
}

/** Who opens his account again in the same browser is shown nothing older than it has seen. */
function checkAgainstStore(before: Account, sealed: Bytes, version: number, chain: Chain): void {
  if (!equal(before.household, chain.head.household)) return;
  const last = before.chain.length - 1;
  const [had, now] = [before.chain[last], chain.notes[last]];
  if (had !== undefined && (now === undefined || !equal(had, now))) throw refuse('account: the chain is not the one this browser has seen');
  const sameKeys = equal(before.vault.subarray(8, 24), sealed.subarray(8, 24));
  if (sameKeys && version < before.vaultVersion) throw refuse('account: the vault is older than the one this browser has seen');
}

/** The household lists the keys of this vault. */
export function checkRoster(chain: Chain, keys: MemberKeys): void {
  const me = chain.head.members.get(hex(keys.kid));
  const current = keys.sealing[0]?.publicKey;
  if (me === undefined || current === undefined || !equal(me.x, current)) {
    throw refuse('account: the household does not list the keys of this vault');
  }
}

/** What this browser calls itself, for its owner alone. */
export async function ownLabel(place: Place, household: Bytes, x: Bytes | undefined): Promise<Bytes> {
  return x === undefined ? new Uint8Array() : sealLabel(household, x, place.page.browser);
}
