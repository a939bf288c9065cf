/**
 * A person on this browser: his vault, his keys, and the chain he has verified.
 * He comes from this browser's own store; founding.ts, join.ts and enter.ts put
 * him there. Everything the server says about the household passes through here.
 */
import type { EndReason } from '../owner/types';
import { Cover } from './addlate';
import { checkRoster, fetchChain, type Opened, ownLabel, type Place } from './account';
import { type Api, isEnded, reasonOf } from './api';
import { type Bytes, equal } from './bytes';
import { type Chain, replay } from './chain';
import { random, storeKey, storeOpen, storeSeal } from './cipher';
import { Failure, isKind, refuse } from './failure';
import { parseNote, signNote } from './note';
import { attempts, type Keeper, passkeysAmong, type Replacement, Safe } from './safe';
import { type Device, type Introduction, nowSeconds, signInByKey } from './signin';
import { type Body, statementText } from './statement';
import { keysOf, type MemberKeys, openVault } from './vault';
import { worded } from './words';

/** The statements that a stolen session must not make alone (design 0002, Step-up). */
const touched: readonly Body['type'][] = ['member', 'unmember', 'unhub', 'rekey', 'grant', 'revoke'];

export interface Placed {
  readonly seq: number;
  readonly hash: Bytes;
}

export class Member {
  readonly place: Place;
  readonly keys: MemberKeys;
  readonly chain: Chain;
  readonly safe: Safe;
  /** up to where the public log has proven the chain */
  readonly cover: Cover;
  readonly keep: Keeper;
  readonly guard: CryptoKey;
  readonly device: Device;
  readonly server: string;
  /** Told when the server lets this browser in no more; `forget`: and its keys are to go. */
  onEnd: (why: EndReason, forget: boolean) => void = () => undefined;
  /** Told when the chain has grown. */
  onGrown: () => void = () => undefined;
  #syncing: Promise<boolean> | null = null;

  private constructor(a: { place: Place; keep: Keeper; keys: MemberKeys; chain: Chain; safe: Safe; cover: Cover; guard: CryptoKey; device: Device; server: string }) {
    this.place = a.place;
    this.keep = a.keep;
    this.keys = a.keys;
    this.chain = a.chain;
    this.safe = a.safe;
    this.cover = a.cover;
    this.guard = a.guard;
    this.device = a.device;
    this.server = a.server;
    this.api.signIn = () => this.#signIn();
    this.api.ended = () => {
      this.onEnd('device-ended', true);
    };
  }

  get api(): Api {
    return this.place.api;
  }

  get household(): Bytes {
    return this.safe.vault.household;
  }

  /** A display name kept in the vault: "household", "me", or a hex id. */
  name(key: string): string {
    return this.safe.vault.names[key] ?? '';
  }

  /** Opens the account this browser remembers; null when there is none. */
  static async resume(place: Place): Promise<Member | null> {
    const account = await place.store.load();
    if (account === null) return null;
    const { guard, device } = account;
    const vk = await storeOpen(guard, account.vk);
    const { vault, version } = await openVault(vk, account.vault);
    const opened = { vault, version, vk, chain: await replay(account.chain, nowSeconds()), device: { id: device.id, secret: await storeOpen(guard, device.secret) } };
    return Member.#of(place, { ...opened, guard, passkeys: account.passkeys, server: account.server, covered: account.covered ?? vault.seq });
  }

  static async #of(place: Place, a: Omit<Opened, 'sealed' | 'wraps'> & { guard: CryptoKey; passkeys: number; server: string; covered: number }): Promise<Member> {
    const keep: Keeper = (change) => place.store.update(a.device.id, change);
    const safe = new Safe({ api: place.api, keep, vk: a.vk, vault: a.vault, version: a.version, passkeys: a.passkeys });
    return new Member({ place, keep, safe, cover: new Cover(a.covered), keys: await keysOf(a.vault), chain: a.chain, guard: a.guard, device: a.device, server: a.server });
  }

  /** Remembers an account that was opened just now. */
  static async remember(place: Place, a: Opened): Promise<Member> {
    // Before anything is remembered: what is remembered is not checked again.
    checkRoster(a.chain, await keysOf(a.vault));
    const passkeys = passkeysAmong(a.wraps);
    const guard = await storeKey();
    // Who opens his account again in this browser does not begin to trust the log anew.
    const before = await place.store.load();
    const known = before !== null && equal(before.household, a.vault.household) ? before : null;
    await place.store.save({
      household: a.vault.household, server: place.api.origin, vault: a.sealed, vaultVersion: a.version, guard, passkeys,
      vk: await storeSeal(guard, a.vk),
      chain: a.chain.notes,
      device: { id: a.device.id, secret: await storeSeal(guard, a.device.secret) },
      directory: null, ended: [], inviting: {}, newKeysSeen: [], next: null,
      ...(known?.log === undefined ? {} : { log: known.log }),
      ...(known?.covered === undefined ? {} : { covered: known.covered }),
      ...(known?.accessSeen === undefined ? {} : { accessSeen: known.accessSeen }),
    });
    return Member.#of(place, { ...a, guard, passkeys, server: place.api.origin, covered: known?.covered ?? a.vault.seq });
  }

  async #signIn(device: Introduction = { ...this.device, label: new Uint8Array() }): Promise<void> {
    try {
      await signInByKey(this.api, { household: this.household, kid: this.keys.kid, signer: this.keys.signer, device });
    } catch (err) {
      if (isEnded(err)) this.onEnd('device-ended', true);
      else if (reasonOf(err) === 'device-unknown') this.onEnd('device-ended', false);
      else if (reasonOf(err) === 'clock') throw wrongClock(err);
      // Who was removed may be let in again, or the server may say so falsely: the keys stay.
      else if (isKind(err, 'refused')) this.onEnd('removed', false);
      throw err;
    }
  }

  /** Tells the server what this device is called; a list without its name is no reason to fail. */
  async introduce(): Promise<void> {
    try {
      await this.#signIn({ ...this.device, label: await ownLabel(this.place, this.household, this.keys.sealing[0]?.publicKey) });
    } catch (err) {
      if (!(err instanceof Failure)) throw err;
    }
  }

  /** Fetches what the chain has grown by; true when it has. Throws Failure 'verify' on one that does not extend ours. */
  sync(): Promise<boolean> {
    this.#syncing ??= this.#fetchAndKeep().finally(() => (this.#syncing = null));
    return this.#syncing;
  }

  async #fetchAndKeep(): Promise<boolean> {
    const before = this.chain.length;
    try {
      await fetchChain(this.api, this.chain);
    } finally {
      const { notes } = this.chain;
      if (notes.length > before) await this.keep((a) => (a.chain.length > notes.length ? a : { ...a, chain: notes }));
    }
    if (this.chain.length > before) this.onGrown();
    return this.chain.length > before;
  }

  /** A fresh touch for one purpose, in the form of a request's field; empty where this session needs none. */
  async touchFor(purpose: Bytes): Promise<{ stepUp?: { ticket: Uint8Array; assertionJson: string } }> {
    const { ticket, optionsJson } = await this.api.passkey.beginStepUp({ purpose });
    if (ticket.length === 0) return {};
    const { json } = await this.place.page.touch({ kind: 'get', options: optionsJson, prf: false });
    return { stepUp: { ticket, assertionJson: json } };
  }

  /**
   * Signs a statement at the head of the chain and appends it; a lost race is
   * signed again. `beside` makes what the server stores in the same step.
   */
  async append(body: Body, beside?: () => Promise<Replacement>): Promise<Placed> {
    for (let i = 0; ; i++) {
      const raw = await this.#signAtHead(body);
      const hash = parseNote(raw).hash;
      try {
        const touch = touched.includes(body.type) ? await this.touchFor(hash) : {};
        await this.api.chain.appendStatement({ note: raw, ...touch, ...(beside === undefined ? {} : { vault: await beside() }) });
      } catch (err) {
        if (!isKind(err, 'conflict') && !isKind(err, 'network')) throw err;
        // Whether it was appended, the chain tells: an answer can get lost.
        await this.sync();
        if (this.seqOf(hash) === null && (!isKind(err, 'conflict') || i + 1 >= attempts)) throw err;
        if (this.seqOf(hash) === null) continue;
      }
      await this.sync();
      const seq = this.seqOf(hash);
      if (seq === null) throw refuse('member: the server accepted a statement and does not show it');
      // Best effort: a vault that lags only weakens what a fresh browser can compare with.
      if (beside === undefined) await this.#rememberInVault().catch(() => undefined);
      return { seq, hash };
    }
  }

  /** Where the chain has the statement of this hash; null when it has not. */
  seqOf(hash: Bytes): number | null {
    for (let seq = this.chain.length - 1; seq >= 0; seq--) {
      const s = this.chain.at(seq);
      if (s !== null && equal(s.hash, hash)) return seq;
    }
    return null;
  }

  async #signAtHead(body: Body): Promise<Bytes> {
    const head = this.chain.head;
    const text = statementText(
      { household: head.household, seq: head.seq + 1, prev: head.hash, time: Math.max(nowSeconds(), head.time), by: this.keys.kid, salt: random(16) },
      body,
    );
    return signNote(text, this.keys.signer);
  }

  /** Puts the newest chain position into the vault, so that a fresh browser can tell a rolled-back server. */
  async #rememberInVault(): Promise<void> {
    const { seq, hash } = this.chain.head;
    await this.safe.edit((v) => ({ ...v, seq, hash }));
  }

  /** Keeps a display name in the vault, where the command line finds it too; null removes it. */
  async rename(key: string, name: string | null): Promise<void> {
    await this.safe.edit((v) => {
      const names = Object.fromEntries(Object.entries(v.names).filter(([k]) => k !== key));
      return { ...v, names: name === null ? names : { ...names, [key]: name } };
    });
  }

  /** Ends this device and forgets the account on this browser, even without a network. */
  async leave(): Promise<void> {
    await this.forget(null);
    await this.api.account.endDevice({ id: this.device.id }).catch(() => undefined);
  }

  /** Forgets the account on this browser. */
  async forget(why: EndReason | null): Promise<void> {
    this.api.signIn = () => Promise.reject(new Failure('refused', 'member: signed out'));
    this.api.ended = () => undefined;
    await this.place.store.forget(why);
    this.safe.erase();
  }
}

function wrongClock(cause: unknown): Failure {
  return worded('refused', {
    what: 'The clock of this device is wrong by more than five minutes.',
    safe: 'Nothing was changed; your keys are still here.',
    next: 'Set the clock, then reload this page.',
  }, cause);
}
