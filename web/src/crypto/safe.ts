/**
 * A member's vault where it is kept: at the server, and sealed in this browser's
 * store. Changes are compare-and-swap: whoever loses takes the other's vault and
 * changes that.
 */
import type { Api } from './api';
import { type Bytes, equal, own } from './bytes';
import type { Code } from './code';
import { isKind, refuse } from './failure';
import type { Account } from './store';
import { openVault, sealRecoveryWrap, sealVault, type Vault, wrapKind } from './vault';

export const attempts = 5;

/** A vault as it came, opened. */
export interface Kept {
  readonly vault: Vault;
  readonly sealed: Bytes;
  readonly version: number;
}

/** A vault that replaces the stored one, with what opens it. */
export interface Replacement {
  readonly vault: Bytes;
  readonly expectedVersion: number;
  readonly wraps: Bytes[];
  readonly recoveryId: Bytes;
}

/** Changes what this browser remembers of the account. */
export type Keeper = (change: (account: Account) => Account) => Promise<void>;

export class Safe {
  readonly #api: Api;
  readonly #keep: Keeper;
  readonly #vk: Bytes;
  #vault: Vault;
  #version: number;
  #passkeys: number;

  constructor(a: { api: Api; keep: Keeper; vk: Bytes; vault: Vault; version: number; passkeys: number }) {
    this.#api = a.api;
    this.#keep = a.keep;
    this.#vk = a.vk;
    this.#vault = a.vault;
    this.#version = a.version;
    this.#passkeys = a.passkeys;
  }

  get vault(): Vault {
    return this.#vault;
  }

  get version(): number {
    return this.#version;
  }

  /** How many passkeys open it, as last heard. */
  get passkeys(): number {
    return this.#passkeys;
  }

  /** Takes the vault that another device may have changed; an older one than ours is a rollback. Answers the wraps that came along. */
  async refresh(): Promise<Bytes[]> {
    const reply = await this.#api.account.getVault({});
    const wraps = reply.wraps.map(own);
    const sealed = own(reply.vault);
    const { vault, version } = await openVault(this.#vk, sealed);
    if (version < this.#version) throw refuse('safe: the server gave an older vault than this browser has seen');
    if (!equal(vault.household, this.#vault.household)) throw refuse('safe: the vault is of another household');
    await this.#take({ vault, sealed, version }, passkeysAmong(wraps));
    return wraps;
  }

  async edit(change: (v: Vault) => Vault): Promise<void> {
    for (let i = 0; ; i++) {
      const vault = change(this.#vault);
      const expectedVersion = this.#version;
      const sealed = await sealVault(vault, this.#vk, expectedVersion + 1);
      try {
        await this.#api.account.putVault({ vault: sealed, expectedVersion });
        await this.#take({ vault, sealed, version: expectedVersion + 1 });
        return;
      } catch (err) {
        if (!isKind(err, 'conflict') || i + 1 >= attempts) throw err;
        await this.refresh();
      }
    }
  }

  /** The next vault with a new recovery code in place of the old one; passkeys go on opening it. */
  async withCode(code: Code): Promise<Replacement & { readonly kept: Kept }> {
    const wraps = (await this.refresh()).filter((w) => wrapKind(w) === 1);
    const vault: Vault = { ...this.#vault, used: false };
    const version = this.#version + 1;
    const sealed = await sealVault(vault, this.#vk, version);
    return {
      vault: sealed,
      expectedVersion: this.#version,
      wraps: [...wraps, await sealRecoveryWrap(code.recoverySecret(), this.#vk)],
      recoveryId: code.recoveryId(),
      kept: { vault, sealed, version },
    };
  }

  /** Remembers what the server has taken. */
  took(kept: Kept): Promise<void> {
    return this.#take(kept);
  }

  /** A wrap of this vault's key. */
  wrap(make: (vk: Bytes) => Promise<Bytes>): Promise<Bytes> {
    return make(this.#vk);
  }

  erase(): void {
    this.#vk.fill(0);
  }

  async #take(kept: Kept, passkeys = this.#passkeys): Promise<void> {
    this.#vault = kept.vault;
    this.#version = kept.version;
    this.#passkeys = passkeys;
    await this.#keep((a) => ({
      ...a,
      // Another tab may be further.
      ...(a.vaultVersion > kept.version ? {} : { vault: kept.sealed, vaultVersion: kept.version }),
      passkeys,
    }));
  }
}

/** How many passkeys open a vault. */
export function passkeysAmong(wraps: readonly Bytes[]): number {
  return wraps.filter((w) => wrapKind(w) === 1).length;
}
