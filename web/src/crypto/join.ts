/**
 * The guest's side of an invitation (spec/keys, "Invitations"). His keys and his
 * recovery code are sealed in this browser's store before anything is sent, and
 * every step after: a tab that is closed goes on where it was, or begins cleanly.
 */
import { fetchChain, type Place } from './account';
import type { Api } from './api';
import { type Bytes, b64, equal, fromUtf8, hex, own, parseB64, utf8 } from './bytes';
import { Chain } from './chain';
import { random, signer, storeKey, storeOpen, storeSeal } from './cipher';
import { Code, parseCode } from './code';
import { isKind, refuse } from './failure';
import { H, kidOf } from './hash';
import { newSealingKey, sealingKey } from './hpke';
import { sealLabel } from './letter';
import { firstPolicy } from './logpolicy';
import { codeLifeMs, lookForAnswer, sendOffer, takeAnswer } from './mail';
import { Member } from './member';
import { type Answer, grouped, memberOffer, type Offer, offerDigits, openAnswer, sealOffer } from './pairing';
import { type Device, enrolled, newDevice, signInByKey } from './signin';
import { openVault, sealRecoveryWrap, sealVault, type Vault } from './vault';
import { worded } from './words';

/** What is kept between two steps; everything that is bytes in base64. */
interface Kept {
  readonly at: number;
  readonly code: string;
  readonly recovery: string;
  readonly person: string;
  readonly ed: string;
  readonly x: string;
  readonly nonce: string;
  /** the recovery code was typed back: an offer may have been sent */
  readonly typed: boolean;
  readonly answer: { readonly household: string; readonly seq: number; readonly hash: string } | null;
  readonly device: { readonly id: string; readonly secret: string } | null;
  /** key of the vault that is about to be stored, so that a second try opens the first's */
  readonly vk: string;
}

export class Joiner {
  readonly #place: Place;
  readonly #guard: CryptoKey;
  #kept: Kept;

  private constructor(place: Place, guard: CryptoKey, kept: Kept) {
    this.#place = place;
    this.#guard = guard;
    this.#kept = kept;
  }

  /** Makes keys and a recovery code, or takes those that an earlier page made for the same invitation. Nothing is sent. */
  static async begin(place: Place, code: Code, person: string): Promise<Joiner> {
    const before = await Joiner.#load(place);
    if (before !== null && parseCode(before.#kept.code).equals(code)) {
      await before.#keep({ person });
      return before;
    }
    const [ed, x] = [random(32), await newSealingKey()];
    const joiner = new Joiner(place, await storeKey(), {
      at: Date.now(), code: code.reveal(), recovery: Code.fresh().reveal(), person,
      ed: b64(ed), x: b64(x.seed), nonce: b64(random(16)), typed: false, answer: null, device: null, vk: b64(random(32)),
    });
    await joiner.#keep({});
    return joiner;
  }

  /**
   * Goes on with what an earlier page left: null when nobody has answered, or
   * nothing was sent. An invitation that is over without an answer is forgotten.
   */
  static async resume(place: Place): Promise<Member | null> {
    const joiner = await Joiner.#load(place);
    if (joiner === null) return null;
    if (joiner.#kept.answer === null) {
      const mail = joiner.#kept.typed ? await lookForAnswer(place.api, joiner.#code) : null;
      if (mail === null) {
        if (Date.now() - joiner.#kept.at > 2 * codeLifeMs) await place.store.keepJoining(null);
        return null;
      }
      await joiner.#answered(await joiner.#offer(), mail);
    }
    return joiner.#enter();
  }

  static async #load(place: Place): Promise<Joiner | null> {
    const joining = await place.store.joining();
    if (joining === null) return null;
    const plain = await storeOpen(joining.guard, joining.sealed);
    // Written by this code alone, under a key that only this browser has.
    return new Joiner(place, joining.guard, JSON.parse(fromUtf8(plain)) as Kept);
  }

  /** The recovery code, to show. */
  reveal(): string {
    return this.#recovery.reveal();
  }

  /** The recovery code typed back: then the offer leaves, and its digits are there to compare. */
  async finish(typed: Code, digits: (d: string) => void, signal: AbortSignal): Promise<Member> {
    if (!typed.equals(this.#recovery)) {
      throw worded('wrong-code', { what: 'That is not the code that was shown.', next: 'Look at it again and type it once more.' });
    }
    await this.#keep({ typed: true });
    if (this.#kept.answer === null) await this.#meetOrLeave(digits, signal);
    return this.#enter();
  }

  /** Who stops before he is let in has not joined, and does not join later by himself. */
  async #meetOrLeave(digits: (d: string) => void, signal: AbortSignal): Promise<void> {
    try {
      await this.#meet(digits, signal);
    } catch (err) {
      if (signal.aborted) await this.#place.store.keepJoining(null);
      throw err;
    }
  }

  async #meet(digits: (d: string) => void, signal: AbortSignal): Promise<void> {
    const { api } = this.#place;
    const offer = await this.#offer();
    await sendOffer(api, this.#code, sealOffer(this.#code, offer));
    digits(grouped(offerDigits(offer)));
    const mail = await takeAnswer(api, this.#code, Date.now() + codeLifeMs, signal);
    if (mail === null) {
      await this.#place.store.keepJoining(null);
      throw worded('wrong-code', {
        what: 'Nobody let you in within 15 minutes.',
        safe: 'You did not join anything. The recovery code you wrote down opens nothing.',
        next: 'Ask for a new invitation.',
      });
    }
    await this.#answered(offer, mail);
  }

  get #code(): Code {
    return parseCode(this.#kept.code);
  }

  get #recovery(): Code {
    return parseCode(this.#kept.recovery);
  }

  async #offer(): Promise<Offer> {
    const [ed, x] = [await signer(read(this.#kept.ed)), await sealingKey(read(this.#kept.x))];
    const recovery = await this.#recovery.recoverySigner();
    return memberOffer({ ed: ed.publicKey, x: x.publicKey, recovery: recovery.publicKey, nonce: read(this.#kept.nonce) });
  }

  async #answered(offer: Offer, mail: Bytes): Promise<void> {
    const { household, seq, hash } = openAnswer(this.#code, offer, mail);
    await this.#keep({ answer: { household: b64(household), seq, hash: b64(hash) } });
  }

  async #keep(change: Partial<Kept>): Promise<void> {
    this.#kept = { ...this.#kept, ...change };
    await this.#place.store.keepJoining({ guard: this.#guard, sealed: await storeSeal(this.#guard, utf8(JSON.stringify(this.#kept))) });
  }

  /** With an answer in hand: sign in, hold the chain against it, store the first vault. */
  async #enter(): Promise<Member> {
    const { answer, person } = this.#kept;
    if (answer === null) throw refuse('join: no answer yet');
    const household = read(answer.household);
    const device = await this.#enrol(household);
    const chain = await fetchChain(this.#place.api, new Chain());
    checkAnswer(chain, { household, seq: answer.seq, hash: read(answer.hash) }, await this.#offer());
    // What the admin has vouched for; what came later waits for the public log.
    const { seq, hash } = answer;
    const ktag = await logTagKey(this.#place.api, chain);
    const policy = await firstPolicy(this.#place.api, chain.head);
    const vault: Vault = { household, edSeed: read(this.#kept.ed), xSeeds: [read(this.#kept.x)], ktag, seq, hash: read(hash), names: { me: person }, used: false, policy };
    const member = await storeFirst(this.#place, { vault, vk: read(this.#kept.vk), chain, code: this.#recovery, device });
    await this.#place.store.keepJoining(null);
    return member;
  }

  /** Enrols this browser as the first device. One whose answer got lost before is let in by the recovery key. */
  async #enrol(household: Bytes): Promise<Device> {
    const { api, page } = this.#place;
    const [mine, x] = [await signer(read(this.#kept.ed)), await sealingKey(read(this.#kept.x))];
    const as = { household, kid: kidOf(mine.publicKey) };
    if (this.#kept.device === null) {
      const fresh = newDevice(await sealLabel(household, x.publicKey, page.browser));
      const secret = await signInByKey(api, { ...as, device: fresh, signer: mine }).catch(async (err: unknown) => {
        if (!isKind(err, 'refused')) throw err;
        return signInByKey(api, { ...as, device: fresh, signer: await this.#recovery.recoverySigner() });
      }).catch((err: unknown) => {
        if (!isKind(err, 'refused')) throw err;
        throw worded('refused', {
          what: 'The home that answered you does not know you.',
          safe: 'You have not joined it, and nothing was shared.',
          next: 'Tell whoever invited you, and ask for a new invitation another way.',
        }, err);
      });
      const { id, secret: given } = enrolled(fresh, secret);
      await this.#keep({ device: { id: b64(id), secret: b64(given) } });
    }
    const had = this.#kept.device;
    if (had === null) throw refuse('join: no device');
    const device = { id: read(had.id), secret: read(had.secret) };
    // The session of an earlier page may be over.
    api.signIn = async () => void (await signInByKey(api, { ...as, device: { ...device, label: new Uint8Array() }, signer: mine }));
    return device;
  }
}

/** Stores the first vault of somebody who stands in the chain with these keys, and remembers him. */
export async function storeFirst(place: Place, a: { vault: Vault; vk: Bytes; chain: Chain; code: Code; device: Device }): Promise<Member> {
  const version = 1;
  const sealed = await sealVault(a.vault, a.vk, version);
  const wraps = [await sealRecoveryWrap(a.code.recoverySecret(), a.vk)];
  try {
    await place.api.account.putVault({ vault: sealed, expectedVersion: 0, wraps, recoveryId: a.code.recoveryId() });
    return await Member.remember(place, { ...a, sealed, version, wraps });
  } catch (err) {
    if (!isKind(err, 'conflict')) throw err;
  }
  // An earlier try has stored it, and its answer was lost.
  const stored = own((await place.api.account.getVault({})).vault);
  return Member.remember(place, { ...a, sealed: stored, wraps, ...(await openVault(a.vk, stored)) });
}

/** The key that finds the household in the public log: the server hands it out, and genesis says whether it is the right one. */
async function logTagKey(api: Api, chain: Chain): Promise<Bytes> {
  const key = own((await api.chain.getLogTagKey({})).key);
  if (!equal(H(key), chain.head.ktag)) throw refuse('join: the server hands out another log tag key than the household’s');
  return key;
}

/** The chain is of that household, has that statement, and the statement admits exactly these keys. */
function checkAnswer(chain: Chain, answer: Answer, offer: Offer): void {
  const [before, at] = [chain.at(answer.seq - 1), chain.at(answer.seq)];
  if (at === null || !equal(at.household, answer.household) || !equal(at.hash, answer.hash)) throw refuse('join: the chain is not the one that the answer names');
  const kid = hex(kidOf(offer.ed));
  const me = at.members.get(kid);
  const mine = me !== undefined && offer.recovery !== null && equal(me.ed, offer.ed) && equal(me.x, offer.x) && equal(me.recovery, offer.recovery);
  if (!mine || before?.members.has(kid) !== false) throw refuse('join: the statement does not admit these keys');
  if (!chain.head.members.has(kid)) throw refuse('join: the household has removed these keys again');
}

function read(s: string): Bytes {
  const b = parseB64(s);
  if (b === null) throw refuse('join: this browser’s own store does not read');
  return b;
}
