/**
 * Early removals (protocol 2.7, "remove early"): signed statements that the
 * chain does not have yet and that count already, so that a server which
 * refuses to carry one gains nothing. An overlay only ever takes away. It is a
 * value; its order is that of arrival.
 */
import { type Bytes, equal, hex } from './bytes';
import { admins, type ChainState, type Member, without, withoutHub, withRevoked } from './chain';
import { refuse } from './failure';
import { parseNote, verifyNote } from './note';
import { type Body, type Head, parseStatement } from './statement';

/** A statement may lie this far in the future, in seconds, as in chain.ts. */
const slack = 600;
/** How far past the verified head a removal may claim its place: one signature must not shut somebody out for ever. */
const maxLead = 1024;
/** How many removals of parties that the chain does not have yet are kept. */
const maxWaiting = 64;

/** What a removal does. */
export type RemovalBody = Extract<Body, { readonly type: 'unmember' | 'unhub' | 'revoke' }>;

interface Removal {
  readonly raw: Bytes;
  readonly household: Bytes;
  readonly head: Head;
  readonly body: RemovalBody;
}

export class Overlay {
  readonly #removals: readonly Removal[];

  private constructor(removals: readonly Removal[]) {
    this.#removals = removals;
  }

  /** An overlay that holds nothing. */
  static readonly empty = new Overlay([]);

  /**
   * Reads back what `notes` gave. It verifies no signature: whoever signed may be
   * gone from the chain since. What comes from elsewhere goes through add.
   */
  static parse(notes: readonly Bytes[]): Overlay {
    const removals = notes.map(readRemoval);
    const first = removals[0];
    if (new Set(removals.map((r) => target(r.body))).size !== removals.length) throw refuse('overlay: two removals of one party');
    if (first !== undefined && removals.some((r) => !equal(r.household, first.household))) throw refuse('overlay: of two households');
    return new Overlay(removals);
  }

  /** The signed notes, to be kept across a restart. */
  get notes(): readonly Bytes[] {
    return this.#removals.map((r) => r.raw);
  }

  /** Whom or what they remove, in order of arrival. */
  get bodies(): readonly RemovalBody[] {
    return this.#removals.map((r) => r.body);
  }

  /**
   * Takes a removal on top of the verified state: its signer has the right there
   * and is not removed at an earlier or the same place, and its place is past the
   * state, so that an old removal says nothing against somebody who was admitted
   * again. Throws Failure 'verify' and stays as it was.
   */
  async add(state: ChainState, raw: Bytes, now: number): Promise<Overlay> {
    const r = readRemoval(raw);
    checkPlace(state, r, now);
    const settled = this.settle(state);
    const signer = settled.#signer(state, r);
    await verifyNote(parseNote(raw), signer.ed);
    return settled.#with(state, r);
  }

  #signer(state: ChainState, r: Removal): Member {
    const by = hex(r.head.by);
    const signer = state.members.get(by);
    const issuer = r.body.type === 'revoke' ? state.grants.get(hex(r.body.grant))?.by : undefined;
    const right = signer?.role === 'admin' || (issuer !== undefined && equal(issuer, r.head.by));
    if (signer === undefined || !right) throw refuse('overlay: signed by nobody who has the right');
    const before = new Overlay(this.#removals.filter((x) => x.head.seq <= r.head.seq));
    if (!before.under(state).members.has(by)) throw refuse('overlay: its signer is removed himself');
    if (r.body.type === 'unmember' && memberNamed(state, r.body.kid) === signer) throw refuse('overlay: nobody removes himself');
    return signer;
  }

  /** Of one target the latest place is kept: that one counts wherever an earlier one would. */
  #with(state: ChainState, r: Removal): Overlay {
    const i = this.#removals.findIndex((x) => target(x.body) === target(r.body));
    const old = this.#removals[i];
    if (old !== undefined && old.head.seq >= r.head.seq) return this;
    const next = new Overlay(old === undefined ? [...this.#removals, r] : this.#removals.with(i, r));
    if (r.body.type === 'unmember') {
      const who = memberNamed(state, r.body.kid);
      if (who !== null && next.under(state).members.has(hex(who.kid))) throw refuse('overlay: the last admin stays');
    }
    // Whoever is there can be removed, however many wait.
    const waits = (x: Removal): boolean => !counts(state, x);
    if (waits(r) && next.#removals.filter(waits).length > maxWaiting) throw refuse('overlay: too many removals wait');
    return next;
  }

  /**
   * Drops what the state has settled: the chain has come to the removal's place,
   * and its target is gone, or was admitted or restated after it. That another
   * statement stands there settles nothing: a server could have put it there to
   * keep the removal out.
   */
  settle(state: ChainState): Overlay {
    return new Overlay(this.#removals.filter((r) => equal(r.household, state.household) && (state.seq < r.head.seq || counts(state, r))));
  }

  /** The state as the removals leave it: the same place, fewer members and hubs, grants that ended. The last admin stays. */
  under(state: ChainState): ChainState {
    return this.#removals.reduce((s, r) => (counts(s, r) ? take(s, r.body) : s), state);
  }
}

function readRemoval(raw: Bytes): Removal {
  const { head, body } = parseStatement(parseNote(raw));
  if (body.type !== 'unmember' && body.type !== 'unhub' && body.type !== 'revoke') throw refuse(`overlay: ${body.type} is no removal`);
  if (head.household === null) throw refuse('overlay: of no household');
  return { raw, household: head.household, head, body };
}

function target(b: RemovalBody): string {
  return `${b.type} ${hex(b.type === 'revoke' ? b.grant : b.kid)}`;
}

/** prev is not held against the state: a removal counts even if its signer was shown another chain. */
function checkPlace(state: ChainState, r: Removal, now: number): void {
  if (!equal(r.household, state.household)) throw refuse('overlay: of another household');
  if (r.head.seq <= state.seq) throw refuse('overlay: its place is past');
  if (r.head.seq - state.seq > maxLead) throw refuse('overlay: its place is too far on');
  if (r.head.time > now + slack) throw refuse('overlay: lies in the future');
}

/** The member with this key, or who had it before a rekey: nobody escapes a removal by one. */
function memberNamed(state: ChainState, kid: Bytes): Member | null {
  return state.members.get(hex(kid)) ?? [...state.members.values()].find((m) => m.pastEd.some((k) => equal(k, kid))) ?? null;
}

/** Whether it takes something away: its target is there, and was not admitted or restated at a later place. */
function counts(state: ChainState, r: Removal): boolean {
  if (!equal(r.household, state.household)) return false;
  const since = sinceOf(state, r.body);
  return since !== null && since <= r.head.seq;
}

/** The place of the statement that admitted the target; null when there is nothing to remove. */
function sinceOf(state: ChainState, b: RemovalBody): number | null {
  if (b.type === 'revoke') {
    const g = state.grants.get(hex(b.grant));
    return g === undefined || g.revoked ? null : g.seq;
  }
  return (b.type === 'unhub' ? state.hubs.get(hex(b.kid)) : memberNamed(state, b.kid))?.seq ?? null;
}

/** A removal that counts, done. */
function take(state: ChainState, b: RemovalBody): ChainState {
  if (b.type === 'unhub') return withoutHub(state, b.kid);
  if (b.type === 'revoke') {
    const g = state.grants.get(hex(b.grant));
    return g === undefined ? state : withRevoked(state, g);
  }
  const m = memberNamed(state, b.kid);
  return m === null || (m.role === 'admin' && admins(state) === 1) ? state : without(state, m);
}
