/**
 * The way back of a member who has lost everything (spec/contacts): fresh keys
 * and a fresh recovery code, sealed in this browser until he is in, so that any
 * step can be taken up again.
 */
import type { Comeback as ShownComeback } from '../owner/types';
import { type ClaimInfo, ClaimState, type PollClaimResponse } from '../api/latchkey/v1/contact_pb';
import { MailSlot } from '../api/latchkey/v1/latchkey_pb';
import type { Api } from './api';
import { b64, type Bytes, equal, fromUtf8, hex, own, parseB64, utf8 } from './bytes';
import { Chain } from './chain';
import { random, storeKey, storeOpen, storeSeal } from './cipher';
import { Code, parseCode } from './code';
import type { ComebackStore } from './comebackstore';
import { loginNote } from './command';
import { checkClaim, type Claim, claimDigits, claimId, openShare, parseClaim, verifyShare } from './contactnote';
import { Failure, isKind, refuse } from './failure';
import { newSealingKey } from './hpke';
import type { Place } from './account';
import { returned } from './enter';
import type { Member } from './member';
import { parseNote, signNote } from './note';
import { memberOffer, type Offer, openAnswer, sealOffer } from './pairing';
import { combine, openContactWrap, type Point } from './shamir';
import { nowSeconds } from './signin';
import { statementText } from './statement';
import { keysOf, openVault, sealRecoveryWrap, sealVault, type Vault } from './vault';

const waitSeconds = 20;
const codeLifeMs = 15 * 60_000;
const attempts = 5;

/** What is sealed in this browser. Times and pins are absent until a contact has answered. */
interface Sealed {
  readonly pairing: string;
  readonly recovery: string;
  /** the recovery code was typed back: its offer may leave */
  readonly typed: boolean;
  readonly edSeed: string;
  readonly xSeed: string;
  readonly vk: string;
  readonly nonce: string;
  readonly household: string | null;
  readonly seq: number;
  readonly hash: string | null;
}

const bytesOf = (s: string | null): Bytes => {
  const b = s === null ? null : parseB64(s);
  if (b === null) throw refuse('comeback: this browser’s own store is damaged');
  return b;
};

export class Comeback {
  readonly #place: Place;
  readonly #store: ComebackStore;
  readonly #guard: CryptoKey;
  #kept: Sealed;
  readonly #keys: Vault;
  readonly #offer: Offer;

  private constructor(a: { place: Place; store: ComebackStore; guard: CryptoKey; kept: Sealed; keys: Vault; offer: Offer }) {
    this.#place = a.place;
    this.#store = a.store;
    this.#guard = a.guard;
    this.#kept = a.kept;
    this.#keys = a.keys;
    this.#offer = a.offer;
  }

  /** What was begun in this browser; null: nothing. */
  static async resume(place: Place, store: ComebackStore): Promise<Comeback | null> {
    const found = await store.load();
    if (found === null) return null;
    const kept = JSON.parse(fromUtf8(await storeOpen(found.guard, found.sealed))) as Sealed;
    return Comeback.#of(place, store, found.guard, kept);
  }

  /** New keys and a new recovery code; or, when they are there and no contact has answered, another link for them. */
  static async begin(place: Place, store: ComebackStore, link: Code): Promise<Comeback> {
    const before = await Comeback.resume(place, store);
    if (before !== null && before.#kept.household !== null) return before;
    if (before !== null) {
      await before.#keep({ pairing: link.reveal() });
      return before;
    }
    const recovery = Code.fresh();
    const kept: Sealed = {
      pairing: link.reveal(), recovery: recovery.reveal(), typed: false, edSeed: b64(random(32)), xSeed: b64((await newSealingKey()).seed), vk: b64(random(32)),
      nonce: b64(random(16)), household: null, seq: 0, hash: null,
    };
    const made = await Comeback.#of(place, store, await storeKey(), kept);
    await made.#keep({});
    return made;
  }

  static async #of(place: Place, store: ComebackStore, guard: CryptoKey, kept: Sealed): Promise<Comeback> {
    const keys: Vault = {
      household: new Uint8Array(16), edSeed: bytesOf(kept.edSeed), xSeeds: [bytesOf(kept.xSeed)], ktag: null, seq: 0, hash: new Uint8Array(32), names: {}, used: false, policy: null,
    };
    const { signer, sealing } = await keysOf(keys);
    const x = sealing[0]?.publicKey;
    if (x === undefined) throw new Failure('internal', 'comeback: no sealing key');
    const recovery = (await parseCode(kept.recovery).recoverySigner()).publicKey;
    const offer = memberOffer({ ed: signer.publicKey, x, recovery, nonce: bytesOf(kept.nonce) });
    return new Comeback({ place, store, guard, kept, keys, offer });
  }

  async #keep(change: Partial<Sealed>): Promise<void> {
    this.#kept = { ...this.#kept, ...change };
    await this.#store.save({ guard: this.#guard, sealed: await storeSeal(this.#guard, utf8(JSON.stringify(this.#kept))) });
  }

  get #api(): Api {
    return this.#place.api;
  }

  get #recovery(): Bytes {
    if (this.#offer.recovery === null) throw new Failure('internal', 'comeback: no recovery key');
    return this.#offer.recovery;
  }

  /** The new recovery code, to be shown and typed back. */
  get code(): string {
    return this.#kept.recovery;
  }

  get digits(): string {
    return claimDigits({ ed: this.#offer.ed, x: this.#offer.x, recovery: this.#recovery });
  }

  /** Typed back right: only now anything leaves this browser. */
  async confirm(typed: string): Promise<boolean> {
    if (!parseCode(typed).equals(parseCode(this.#kept.recovery))) return false;
    await this.#keep({ typed: true });
    return true;
  }

  /** Leaves the offer at the link and waits for the contact's answer, which pins household and chain. */
  async meet(signal: AbortSignal): Promise<void> {
    if (!this.#kept.typed) throw new Failure('refused', 'comeback: the recovery code has not been typed back');
    if (this.#kept.household !== null) return;
    const link = parseCode(this.#kept.pairing);
    await this.#api.pairing.putMail({ rendezvous: link.rendezvous(), slot: MailSlot.OFFER, body: sealOffer(link, this.#offer) }).catch((err: unknown) => {
      if (!isKind(err, 'conflict')) throw err; // it is there from the last try
    });
    const until = Date.now() + codeLifeMs;
    while (Date.now() < until) {
      if (signal.aborted) throw new Failure('network', 'comeback: cancelled');
      try {
        const { body } = await this.#api.pairing.getMail({ rendezvous: link.rendezvous(), slot: MailSlot.ANSWER, waitSeconds }, { signal });
        const answer = openAnswer(link, this.#offer, own(body));
        await this.#keep({ household: b64(answer.household), seq: answer.seq, hash: b64(answer.hash) });
        return;
      } catch (err) {
        if (signal.aborted || !(err instanceof Failure) || err.kind === 'verify') throw err;
        if (err.kind !== 'not-found') await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    throw new Failure('wrong-code', 'comeback: nobody answered the link');
  }

  /** How far it is. */
  async state(): Promise<ShownComeback> {
    if (!this.#kept.typed) return this.#shown('code', null);
    if (this.#kept.household === null) return this.#shown('link', null);
    try {
      const reply = await this.#poll(0);
      return this.#shown(stepOf(reply), reply.claim ?? null);
    } catch (err) {
      // No contact has confirmed yet: the server knows nothing of these keys.
      if (isKind(err, 'refused')) return this.#shown('digits', null);
      throw err;
    }
  }

  #shown(step: ShownComeback['step'] | 'done', info: ClaimInfo | null): ShownComeback {
    return {
      step: step === 'done' ? 'ready' : step, digits: this.digits, until: info === null ? null : Number(info.untilMs), confirmed: info?.notes.length ?? 0,
      shares: info?.released.length ?? 0,
    };
  }

  /** A note by the new key for a fresh challenge; it makes no session. */
  async #login(): Promise<Bytes> {
    const { signer, kid } = await keysOf(this.#keys);
    const household = bytesOf(this.#kept.household);
    const { nonce } = await this.#api.account.challenge({ household, who: { case: 'kid', value: kid } });
    return loginNote({ household, server: this.#api.origin, nonce: own(nonce), now: nowSeconds() }, signer);
  }

  async #poll(from: number): Promise<PollClaimResponse> {
    return this.#api.contact.pollClaim({ login: await this.#login(), fromSeq: BigInt(from) });
  }

  /** Takes the member's place back: everything is verified first, then one call changes chain and vault together. */
  async finish(): Promise<Member> {
    for (let i = 0; i < attempts; i++) {
      const reply = await this.#poll(0);
      const step = stepOf(reply);
      if (step === 'done') return this.#enter();
      if (step !== 'ready') throw new Failure('refused', `comeback: not yet: ${step}`);
      try {
        await this.#rekey(reply);
        return await this.#enter();
      } catch (err) {
        // Somebody changed the household, or it was done and the answer got lost.
        if (!isKind(err, 'conflict')) throw err;
      }
    }
    throw new Failure('conflict', 'comeback: others kept changing the household');
  }

  async #rekey(reply: PollClaimResponse): Promise<void> {
    const chain = await this.#chain(reply);
    const claim = await this.#claimed(chain, reply.claim);
    const lost = chain.head.members.get(hex(claim.member));
    if (lost === undefined) throw refuse('comeback: the member is not there any more');
    const vk = await this.#combine(claim, lost.ed, reply);
    const old = await openVault(vk, own(reply.vault));
    vk.fill(0);
    const { signer: oldSigner, kid } = await keysOf(old.vault);
    const seen = chain.at(old.vault.seq);
    if (!equal(kid, claim.member) || !equal(old.vault.household, chain.head.household)) throw refuse('comeback: the vault is another member’s');
    if (seen === null || !equal(seen.hash, old.vault.hash)) throw refuse('comeback: the chain is not the one the vault has seen');
    const { ed, x } = this.#offer;
    const head = chain.head;
    const text = statementText(
      { household: head.household, seq: head.seq + 1, prev: head.hash, time: Math.max(nowSeconds(), head.time), by: kid, salt: random(16) },
      { type: 'rekey', kid, ed, x, recovery: this.#recovery },
    );
    const note = await signNote(text, oldSigner);
    const after = await chain.add(note, nowSeconds());
    const vault: Vault = { ...old.vault, edSeed: this.#keys.edSeed, xSeeds: [...this.#keys.xSeeds, ...old.vault.xSeeds], seq: after.seq, hash: after.hash, used: false };
    const code = parseCode(this.#kept.recovery);
    const newVk = bytesOf(this.#kept.vk);
    await this.#api.contact.finishClaim({
      login: await this.#login(), note,
      vault: {
        vault: await sealVault(vault, newVk, old.version + 1), expectedVersion: old.version, recoveryId: code.recoveryId(),
        wraps: [await sealRecoveryWrap(code.recoverySecret(), newVk)],
      },
    });
  }

  /** The household's statements, verified against what the contact's answer has pinned. */
  async #chain(reply: PollClaimResponse): Promise<Chain> {
    const chain = new Chain();
    for (let notes = reply.chain; notes.length > 0; notes = (await this.#poll(chain.length)).chain) {
      for (const raw of notes) await chain.add(own(raw), nowSeconds());
    }
    const pinned = chain.at(this.#kept.seq);
    if (!equal(chain.head.household, bytesOf(this.#kept.household)) || pinned === null || !equal(pinned.hash, bytesOf(this.#kept.hash))) {
      throw refuse('comeback: the chain is not the one the contact has named');
    }
    return chain;
  }

  /** Two members have signed a claim for exactly these keys. */
  async #claimed(chain: Chain, info: ClaimInfo | undefined): Promise<Claim> {
    const claims = (info?.notes ?? []).map((raw) => parseClaim(parseNote(own(raw))));
    const [first] = claims;
    if (first === undefined || new Set(claims.map((c) => hex(c.by))).size < 2) throw refuse('comeback: fewer than two contacts have confirmed');
    for (const c of claims) {
      const ours = equal(c.ed, this.#offer.ed) && equal(c.x, this.#offer.x) && equal(c.recovery, this.#recovery);
      if (!ours || !equal(claimId(c), claimId(first))) throw refuse('comeback: the server shows a claim for other keys');
      if (!(await checkClaim(chain.head, c))) throw refuse('comeback: a claim that does not fit the household');
    }
    return first;
  }

  /** Opens two shares, which the member himself once signed, and the wrap of his vault key under the secret they give. */
  async #combine(claim: Claim, lostEd: Bytes, reply: PollClaimResponse): Promise<Bytes> {
    const { sealing } = await keysOf(this.#keys);
    const points: Point[] = [];
    for (const letter of reply.shares) {
      const share = await openShare(claim.household, sealing, own(letter));
      if (!equal(share.by, claim.member) || !equal(share.set, claim.set)) throw refuse('comeback: a share of another set');
      await verifyShare(share, lostEd);
      points.push(share.point);
    }
    const [p, q] = points;
    if (p === undefined || q === undefined) throw refuse('comeback: fewer than two shares');
    const secret = combine(p, q);
    const vk = await openContactWrap(secret, claim.set, own(reply.wrap));
    secret.fill(0);
    return vk;
  }

  /** Signs in with the new keys and makes this browser the member's. */
  async #enter(): Promise<Member> {
    const { signer } = await keysOf(this.#keys);
    const member = await returned(this.#place, {
      household: bytesOf(this.#kept.household), signer, code: parseCode(this.#kept.recovery), vk: bytesOf(this.#kept.vk),
    });
    await this.forget();
    return member;
  }

  /** Forgets keys and codes for good. */
  async forget(): Promise<void> {
    await this.#store.forget();
    this.#keys.edSeed.fill(0);
  }
}

function stepOf(reply: PollClaimResponse): ShownComeback['step'] | 'done' {
  switch (reply.claim?.state) {
    case ClaimState.OPEN:
      break;
    case ClaimState.STOPPED:
      return 'stopped';
    case ClaimState.DONE:
      return 'done';
    default:
      return 'ended';
  }
  if (reply.shares.length >= 2) return 'ready';
  return reply.claim.notes.length < 2 ? 'second' : 'waiting';
}
