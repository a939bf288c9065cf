/**
 * A member's side of trusted contacts (spec/contacts): his own set, the shares
 * he keeps for others, the claims that everybody sees, and the wait that does
 * not rest on the server.
 */
import type { Claim as ShownClaim, Kid, PersonRef, TrustedContacts } from '../owner/types';
import { ClaimState, type ClaimInfo } from '../api/latchkey/v1/contact_pb';
import { MailSlot } from '../api/latchkey/v1/latchkey_pb';
import { keysSince, notProven } from './addlate';
import { type Bytes, equal, hex, own, unhex, utf8 } from './bytes';
import { random } from './cipher';
import type { Code } from './code';
import { checkClaim, type Claimed, claimDigits, claimId, openShare, parseClaim, type Share, sealShare, shareTo, signClaim, verifyShare } from './contactnote';
import { Failure, isKind, refuse } from './failure';
import { H } from './hash';
import type { Member } from './member';
import { parseNote } from './note';
import { type Offer, openOffer, sealAnswer } from './pairing';
import { sealContactWrap, shareCount, split } from './shamir';
import { nowSeconds } from './signin';
import { appError, WordedFailure } from './words';

const day = 24 * 3_600_000;
/** How long a share is kept after its claim was first seen, whatever the server says. */
export const contactWait = 7 * day;
const claimLife = 30 * day;
/** The vault's notes: the own set, and when each claim was first seen. */
const contactsKey = 'contacts';
const claimKey = (id: string): string => `claim ${id}`;
const stoppedWord = 'stopped';
const codeLifeMs = 15 * 60_000;
const waitSeconds = 20;
const maxOffers = 10;

const states: Readonly<Record<ClaimState, ShownClaim['state']>> = {
  [ClaimState.OPEN]: 'open',
  [ClaimState.STOPPED]: 'stopped',
  [ClaimState.DONE]: 'done',
  [ClaimState.ENDED]: 'ended',
  [ClaimState.UNSPECIFIED]: 'ended',
};

/** A claim as shown, with what only this room uses of it. */
interface ReadClaim {
  shown: ShownClaim;
  readonly claimed: Claimed;
  /** of the earliest note, Unix seconds */
  readonly time: number;
}

export interface ContactsOptions {
  readonly member: Member;
  readonly nameOf: (kid: string) => string;
  readonly changed: () => void;
  /** ms; only tests shorten it */
  readonly wait?: number;
}

export class Contacts {
  readonly #member: Member;
  readonly #nameOf: (kid: string) => string;
  readonly #changed: () => void;
  readonly #wait: number;

  constructor(a: ContactsOptions) {
    this.#member = a.member;
    this.#nameOf = a.nameOf;
    this.#changed = a.changed;
    this.#wait = a.wait ?? contactWait;
  }

  #ref(kid: Bytes): PersonRef {
    return { kid: hex(kid) as Kid, name: this.#nameOf(hex(kid)) };
  }

  get #me(): Bytes {
    return this.#member.keys.kid;
  }

  /** The own set, held against what the vault knows of it. */
  async mine(): Promise<TrustedContacts | null> {
    await Promise.all([this.#member.sync(), this.#member.safe.refresh()]);
    const noted = (this.#member.safe.vault.names[contactsKey] ?? '').split(' ').filter((w) => w !== '');
    const reply = await this.#member.api.contact.getContacts({}).catch((err: unknown) => {
      if (isKind(err, 'not-found')) return null;
      throw err;
    });
    if (reply === null) {
      if (noted.length === 0) return null;
      return { people: noted.slice(1).map((kid) => this.#ref(unhex(kid))), since: null, broken: 'Your keys have changed since they were chosen.' };
    }
    const said = [hex(reply.set), ...reply.contacts.map(hex).sort()];
    const same = said.join(' ') === [noted[0] ?? '', ...noted.slice(1).sort()].join(' ');
    return {
      people: reply.contacts.map((kid) => this.#ref(own(kid))),
      since: Number(reply.createdMs),
      broken: reply.dead ? 'One of them has left or has new keys.' : same ? '' : 'The server shows other people than were chosen.',
    };
  }

  /** Draws a contact secret, wraps the vault key under it, and gives each of three a share. */
  async choose(kids: readonly Bytes[]): Promise<void> {
    await this.#member.sync();
    const { members, household } = this.#member.chain.head;
    const others = kids.map((kid) => members.get(hex(kid)));
    const distinct = new Set(kids.map(hex)).size === shareCount && kids.length === shareCount;
    if (!distinct || others.some((m) => m === undefined || equal(m.kid, this.#me))) throw new Failure('refused', 'contacts: want three other members');
    const { chain, cover } = this.#member;
    const late = others.find((m) => m !== undefined && keysSince(chain, m) > cover.upTo);
    if (late !== undefined) throw notProven(`the keys of ${this.#nameOf(hex(late.kid)) || 'one of them'}`);
    const set = random(16);
    const secret = random(32);
    const wrap = await this.#member.safe.wrap((vk) => sealContactWrap(secret, set, vk));
    const now = nowSeconds();
    const letters: { kid: Bytes; body: Bytes }[] = [];
    for (const [i, point] of split(secret).entries()) {
      const to = others[i];
      if (to === undefined) throw new Failure('internal', 'contacts: more shares than people');
      letters.push({ kid: to.kid, body: await sealShare(this.#member.keys.signer, point, { household, set, to: to.kid, x: to.x, now }) });
      point.y.fill(0);
    }
    secret.fill(0);
    const touch = await this.#member.touchFor(H(utf8('wraps')));
    // The vault first: a set that it does not know is never shown as good.
    await this.#member.rename(contactsKey, [hex(set), ...kids.map(hex)].join(' '));
    await this.#member.api.contact.setContacts({ set, wrap, letters, ...touch });
    this.#changed();
  }

  async remove(): Promise<void> {
    await this.#member.api.contact.removeContacts({});
    await this.#member.rename(contactsKey, null);
    this.#changed();
  }

  async entrusted(): Promise<PersonRef[]> {
    await this.#member.sync();
    return [...(await this.#shares()).keys()].map((owner) => this.#ref(unhex(owner)));
  }

  /** The shares kept for others, by owner; each checked. */
  async #shares(): Promise<Map<string, Share>> {
    const { entrusted } = await this.#member.api.contact.listEntrusted({});
    const out = new Map<string, Share>();
    for (const e of entrusted) {
      const share = await openShare(this.#member.household, this.#member.keys.sealing, own(e.letter));
      const owner = this.#member.chain.head.members.get(hex(share.by));
      if (owner === undefined) continue; // he has left or has new keys: it opens nothing
      if (!equal(share.to, this.#me) || !equal(share.by, e.owner) || !equal(share.set, e.set)) throw refuse('contacts: the share is another than the server says');
      await verifyShare(share, owner.ed);
      out.set(hex(share.by), share);
    }
    return out;
  }

  /** The claims of the last 30 days. Notes those that concern a share of this person, and gives out what is due. */
  async claims(): Promise<ShownClaim[]> {
    const all = await this.#read();
    let given = false;
    for (const one of all) {
      if (one.shown.released || this.#heldBack(one) !== null || one.shown.until > Date.now()) continue;
      await this.#give(one).then(() => (given = true), () => undefined);
    }
    return (given ? await this.#read() : all).map((c) => c.shown);
  }

  async #read(): Promise<ReadClaim[]> {
    const { claims } = await this.#member.api.contact.listClaims({});
    await this.#member.sync();
    const shares = claims.length === 0 ? new Map<string, Share>() : await this.#shares();
    const out: ReadClaim[] = [];
    for (const info of claims) {
      const one = await this.#readOne(info);
      const share = shares.get(hex(one.claimed.member));
      const mine = share !== undefined && equal(share.set, one.claimed.set);
      out.push({ ...one, shown: { ...one.shown, mine } });
    }
    await this.#note(out);
    return out;
  }

  /** Believes of a claim what its notes say under signatures that hold. */
  async #readOne(info: ClaimInfo): Promise<ReadClaim> {
    const head = this.#member.chain.head;
    const notes = info.notes.map((raw) => parseClaim(parseNote(own(raw))));
    const [first] = notes;
    if (first === undefined || notes.length > shareCount) throw refuse('contacts: a claim that nobody signed');
    let state = states[info.state];
    for (const c of notes) {
      if (!equal(claimId(c), info.claim) || !equal(c.member, info.member)) throw refuse('contacts: the notes of a claim differ');
      // Somebody has gone since, or the member is back: it is over, whatever the server says.
      if (!(await checkClaim(head, c)) && state === 'open') state = 'ended';
    }
    if (new Set(notes.map((c) => hex(c.by))).size !== notes.length) throw refuse('contacts: one contact twice');
    const me = this.#me;
    return {
      claimed: first,
      time: Math.min(...notes.map((c) => c.time)),
      shown: {
        id: hex(info.claim), member: this.#ref(first.member), me: equal(first.member, me), by: notes.map((c) => this.#ref(c.by)),
        digits: claimDigits(first), state, first: Number(info.firstMs), until: Number(info.untilMs),
        stoppedBy: info.stoppedBy.length === 16 ? this.#ref(own(info.stoppedBy)) : null,
        mayStop: state === 'open' && (equal(first.member, me) || head.members.get(hex(me))?.role === 'admin'),
        mine: false, signed: notes.some((c) => equal(c.by, me)), released: info.released.some((k) => equal(k, me)), releaseAt: null,
      },
    };
  }

  /** Writes into the vault when each claim was first seen, and that it was stopped; fills in when a share may go. */
  async #note(claims: ReadClaim[]): Promise<void> {
    const now = Date.now();
    const news: Record<string, string> = {};
    for (const one of claims) {
      if (!one.shown.mine) continue;
      const { id } = one.shown;
      const seen = this.#seen(id);
      const stopped = seen?.stopped === true || one.shown.state === 'stopped';
      const first = seen?.first ?? now;
      if (seen === null || seen.stopped !== stopped) news[claimKey(id)] = `${first}${stopped ? ` ${stoppedWord}` : ''}`;
      // A stop is for good, also when the server forgets it.
      one.shown = { ...one.shown, ...(stopped ? { state: 'stopped' as const } : {}), releaseAt: first + this.#wait };
    }
    if (Object.keys(news).length === 0) return;
    await this.#member.safe.edit((v) => {
      const old = (key: string, value: string): boolean => key.startsWith('claim ') && now - Number(value.split(' ')[0]) > claimLife + day;
      const kept = Object.fromEntries(Object.entries(v.names).filter(([k, value]) => !old(k, value)));
      return { ...v, names: { ...kept, ...news } };
    });
  }

  #seen(id: string): { first: number; stopped: boolean } | null {
    const [ms, word] = (this.#member.safe.vault.names[claimKey(id)] ?? '').split(' ');
    return ms !== undefined && /^[0-9]{1,15}$/.test(ms) ? { first: Number(ms), stopped: word === stoppedWord } : null;
  }

  /** Why a share may not go yet; null: it may. */
  #heldBack(one: ReadClaim): string | null {
    const seen = this.#seen(one.shown.id);
    if (one.shown.state !== 'open' || seen?.stopped === true) return 'the claim is over';
    if (!one.shown.mine || !one.shown.signed) return 'this person has not confirmed it';
    if (Date.now() - one.time * 1000 > claimLife) return 'the claim is older than 30 days';
    if (seen === null || Date.now() < seen.first + this.#wait) return 'the wait is not over';
    return null;
  }

  async #find(id: string): Promise<ReadClaim> {
    const one = (await this.#read()).find((c) => c.shown.id === id);
    if (one === undefined) throw new Failure('not-found', 'contacts: no such claim');
    return one;
  }

  /** After comparing the digits. */
  async confirm(id: string): Promise<void> {
    const one = await this.#find(id);
    if (one.shown.state !== 'open' || !one.shown.mine) throw new Failure('refused', 'contacts: not a claim to confirm');
    await this.#sign(one.claimed);
    this.#changed();
  }

  async #sign(claimed: Claimed): Promise<void> {
    await this.#member.api.contact.putClaim({ note: await signClaim(claimed, nowSeconds(), this.#member.keys.signer) });
  }

  async stop(id: string): Promise<void> {
    await this.#member.api.contact.stopClaim({ claim: unhex(id) });
    await this.#read(); // notes the stop
    this.#changed();
  }

  async release(id: string): Promise<void> {
    const one = await this.#find(id);
    const why = this.#heldBack(one);
    if (why !== null) throw new Failure('refused', `contacts: ${why}`);
    await this.#give(one);
    this.#changed();
  }

  async #give(one: ReadClaim): Promise<void> {
    const share = (await this.#shares()).get(hex(one.claimed.member));
    if (share === undefined || !equal(share.set, one.claimed.set)) throw new Failure('refused', 'contacts: they have been chosen anew');
    await this.#member.api.contact.putShare({ claim: unhex(one.shown.id), letter: await shareTo(share, one.claimed.x) });
  }

  /** Waits for whoever has the link, and tells him the household; answers the digits and how to sign. Nothing is signed yet. */
  async help(code: Code, owner: Bytes, signal: AbortSignal): Promise<{ digits: string; confirm: () => Promise<void> }> {
    await this.#member.sync();
    const share = (await this.#shares()).get(hex(owner));
    if (share === undefined) throw new Failure('refused', 'contacts: this member has not chosen you');
    const { set } = share;
    const offer = await this.#offer(code, signal);
    const { recovery } = offer;
    if (recovery === null) throw refuse('contacts: an offer without a recovery key');
    const { household, seq, hash } = this.#member.chain.head;
    await this.#member.api.pairing.putMail({ rendezvous: code.rendezvous(), slot: MailSlot.ANSWER, body: sealAnswer(code, offer, household, seq, hash) });
    const claimed: Claimed = { household, member: owner, set, ed: offer.ed, x: offer.x, recovery };
    return {
      digits: claimDigits(claimed),
      confirm: async () => {
        await this.#sign(claimed);
        await this.#read(); // notes when this person first saw it
        this.#changed();
      },
    };
  }

  /** The first offer of a person whose MAC is right. */
  async #offer(code: Code, signal: AbortSignal): Promise<Offer> {
    const until = Date.now() + codeLifeMs;
    for (let index = 0; Date.now() < until && index < maxOffers; ) {
      if (signal.aborted) throw new Failure('network', 'contacts: cancelled');
      try {
        const { body } = await this.#member.api.pairing.getMail({ rendezvous: code.rendezvous(), slot: MailSlot.OFFER, waitSeconds, index }, { signal });
        const offer = readOffer(code, own(body));
        if (offer !== null) return offer;
        index++;
      } catch (err) {
        if (signal.aborted || !(err instanceof Failure)) throw err;
        // Without a network for a moment: the code lives on, so does the waiting.
        if (err.kind !== 'not-found') await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
    throw new WordedFailure(appError('wrong-code', { what: 'Nobody used this link within 15 minutes.', safe: 'The link is dead; nothing was signed.', next: 'Make a new link.' }));
  }
}

function readOffer(code: Code, mail: Bytes): Offer | null {
  try {
    const offer = openOffer(code, mail);
    return offer.role === 'member' ? offer : null;
  } catch (err) {
    // Left by somebody who knows the mailbox and not the code.
    if (isKind(err, 'verify')) return null;
    throw err;
  }
}
