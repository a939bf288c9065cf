/**
 * The admin's side of an invitation (spec/keys, "Invitations"): wait for the
 * guest's offer, compare digits, sign, give the past, answer, tell the names.
 * What has to be gone on with after a crash is sealed in this browser's store
 * before each step.
 */
import type { Kid, MemberInviteStep, NewPerson } from '../owner/types';
import { type Bytes, b64, hex, parseB64 } from './bytes';
import { type Member as Listed } from './chain';
import { type Code, parseCode } from './code';
import type { EpochBook } from './epochs';
import { Failure } from './failure';
import type { GrantBody } from './grant';
import { kidOf } from './hash';
import { type Given, historyFor } from './history';
import { openKept, sealKept } from './keptjson';
import { codeLifeMs, sendAnswer, takeOffer } from './mail';
import type { Member } from './member';
import type { NameBook } from './names';
import { grouped, type Offer, offerDigits, openOffer, sealAnswer, sealOffer } from './pairing';
import { mayShare, tracksFor } from './rights';
import { type WordedFailure, worded } from './words';

const nobody = {
  what: 'Nobody used this invitation within 15 minutes.',
  safe: 'It is dead; nobody was added.',
  next: 'Invite again when the other person is there.',
};

/** A past that was promised is waited for as long as it takes. */
const never = new AbortController().signal;

/** What is kept of an invitation between two steps. */
interface Kept {
  readonly at: number;
  readonly code: string;
  readonly person: NewPerson;
  /** offer ‖ MAC, base64 */
  readonly offer: string | null;
  /** grants that were made, not all of them given yet; null before */
  readonly given: readonly { readonly body: GrantBody; readonly capsule: string }[] | null;
}

export interface InviteRooms {
  readonly member: Member;
  readonly epochs: EpochBook;
  readonly names: NameBook;
  /** The tlog-proof of a statement; waits until there is one. */
  proven(seq: number, signal: AbortSignal): Promise<Bytes>;
  /** hears what did not verify on the way */
  tell(err: unknown): void;
}

/** What the person who invites sees and says on the way. */
export interface InviteTalk {
  step(s: MemberInviteStep): void;
  digits(d: string): void;
  /** resolves when he has compared them */
  readonly confirmed: Promise<void>;
}

export class Invitation {
  readonly #rooms: InviteRooms;
  readonly #code: Code;
  #kept: Kept;

  private constructor(rooms: InviteRooms, code: Code, kept: Kept) {
    this.#rooms = rooms;
    this.#code = code;
    this.#kept = kept;
  }

  static begin(rooms: InviteRooms, code: Code, person: NewPerson): Invitation {
    return new Invitation(rooms, code, { at: Date.now(), code: code.reveal(), person, offer: null, given: null });
  }

  /** Goes on with what an earlier page left half done: guests who stand in the chain get the rest. */
  static async resume(rooms: InviteRooms): Promise<void> {
    const { member } = rooms;
    const inviting = (await member.place.store.load())?.inviting ?? {};
    for (const [box, sealed] of Object.entries(inviting)) {
      const kept = (await openKept(member.guard, sealed)) as Kept;
      const invitation = new Invitation(rooms, parseCode(kept.code), kept);
      if (await invitation.#isSigned()) await invitation.#rest(() => undefined);
      else if (Date.now() - kept.at > codeLifeMs) await drop(member, box);
    }
  }

  /** From the code to a guest who is in. Throws in words when the code dies, or the page cancels. */
  async run(talk: InviteTalk, signal: AbortSignal): Promise<Kid> {
    const { member } = this.#rooms;
    try {
      talk.step('waiting');
      const offer = await takeOffer(member.api, this.#code, signal, nobody);
      if (offer.role !== 'member') throw new Failure('verify', 'invite: a hub answered an invitation');
      talk.step('found');
      await this.#keep({ offer: b64(sealOffer(this.#code, offer)) });
      talk.digits(grouped(offerDigits(offer)));
      talk.step('compare');
      await confirmed(talk.confirmed, signal);
      await this.#sign(offer);
      talk.step('signed');
    } catch (err) {
      if (!(await this.#isSigned())) await drop(member, this.#box);
      throw err;
    }
    await this.#rest(talk.step);
    talk.step('joined');
    return hex(this.#guest().kid) as Kid;
  }

  get #box(): string {
    return hex(this.#code.rendezvous());
  }

  async #keep(change: Partial<Kept>): Promise<void> {
    this.#kept = { ...this.#kept, ...change };
    const { member } = this.#rooms;
    const sealed = await sealKept(member.guard, this.#kept);
    await member.keep((a) => ({ ...a, inviting: { ...a.inviting, [this.#box]: sealed } }));
  }

  async #sign(offer: Offer): Promise<void> {
    const { role, rights } = this.#kept.person;
    const { member } = this.#rooms;
    if (offer.recovery === null) throw new Failure('verify', 'invite: an offer without a recovery key');
    const { ed, x, recovery } = offer;
    await member.append({ type: 'member', ed, x, recovery, role, share: mayShare(role), tracks: tracksFor(rights, member.chain.head) });
  }

  /** The guest's offer; throws when none came yet. */
  #offer(): Offer {
    const mail = this.#kept.offer === null ? null : parseB64(this.#kept.offer);
    if (mail === null) throw new Failure('internal', 'invite: no offer yet');
    return openOffer(this.#code, mail);
  }

  async #isSigned(): Promise<boolean> {
    if (this.#kept.offer === null) return false;
    // An answer that got lost may have left him in the chain.
    await this.#rooms.member.sync().catch(() => undefined);
    return this.#rooms.member.chain.head.members.has(hex(kidOf(this.#offer().ed)));
  }

  #guest(): Listed {
    const guest = this.#rooms.member.chain.head.members.get(hex(kidOf(this.#offer().ed)));
    if (guest === undefined) throw new Failure('not-found', 'invite: the guest is not in the household any more');
    return guest;
  }

  /** Everything after the signature. Each step that was done is not done again. */
  async #rest(step: (s: MemberInviteStep) => void): Promise<void> {
    const { member, names } = this.#rooms;
    const guest = this.#guest();
    let pastless: unknown = null;
    if (this.#kept.person.history !== 'none') {
      step('history');
      // He is a member all the same, and must not wait for ever.
      await this.#signPast(guest).catch((err: unknown) => (pastless = err));
    }
    const { seq, hash } = placeOf(member, guest);
    await sendAnswer(member.api, this.#code, sealAnswer(this.#code, this.#offer(), member.household, seq, hash));
    await names.change((n) => n.people.set(hex(guest.kid), this.#kept.person.name));
    // He is in by now: only what was before waits for the log.
    if (pastless === null) await this.#releasePast().catch((err: unknown) => (pastless = err));
    await drop(member, this.#box);
    if (pastless !== null) throw withoutPast(this.#kept.person.name, pastless);
  }

  /** Grants in the chain; what they give stays here until the public log has them. */
  async #signPast(guest: Listed): Promise<void> {
    const { member, epochs, tell } = this.#rooms;
    if (this.#kept.given === null) {
      const made = await historyFor(member, epochs, guest, this.#kept.person.history, tell);
      await this.#keep({ given: made.map((g) => ({ body: g.body, capsule: b64(g.capsule) })) });
    }
    for (const g of this.#given()) {
      if (!member.chain.head.grants.has(hex(g.body.grant))) await member.append(g.body);
    }
  }

  async #releasePast(): Promise<void> {
    const { member, proven } = this.#rooms;
    for (const { body, capsule } of this.#given()) {
      const grant = member.chain.head.grants.get(hex(body.grant));
      if (grant === undefined || grant.revoked) continue;
      const proof = await proven(grant.seq, never);
      await member.api.chain.putCapsule({ grant: body.grant, capsule, proof });
    }
  }

  #given(): Given[] {
    return (this.#kept.given ?? []).map((g) => ({ body: g.body, capsule: parseB64(g.capsule) ?? new Uint8Array() }));
  }
}

/** The statement that admitted somebody. */
function placeOf(member: Member, guest: Listed): { seq: number; hash: Bytes } {
  for (let seq = member.chain.length - 1; seq >= 0; seq--) {
    const state = member.chain.at(seq);
    const before = member.chain.at(seq - 1);
    if (state?.members.has(hex(guest.kid)) === true && before?.members.has(hex(guest.kid)) !== true) return { seq, hash: state.hash };
  }
  throw new Failure('not-found', 'invite: the chain does not have the guest');
}

function withoutPast(name: string, cause: unknown): WordedFailure {
  return worded('conflict', {
    what: `${name} has joined, but was not given what was recorded before.`,
    safe: 'What is recorded from now on is shared as you chose.',
    next: 'To share the past too, remove the person and invite again.',
  }, cause);
}

function confirmed(yes: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(new Failure('network', 'invite: cancelled'));
    };
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    yes.then(resolve, reject);
  });
}

async function drop(member: Member, box: string): Promise<void> {
  await member.keep((a) => ({ ...a, inviting: Object.fromEntries(Object.entries(a.inviting).filter(([k]) => k !== box)) }));
}
