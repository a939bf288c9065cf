/**
 * What grants of the chain give this member: their capsules, opened once, by
 * epoch. A capsule is believed only when its hash stands in the chain, and its
 * statement in the public log (protocol 2.8).
 */
import type { Policy } from '../ledger/policy';
import { type Bytes, equal, hex, own } from './bytes';
import { type Granted, openCapsule, parseCapsule } from './epoch';
import { isKind, refuse } from './failure';
import { type Grant, grantsTo } from './grant';
import { H } from './hash';
import type { Member } from './member';

/** A capsule that is not at the server yet is asked for again after this long. */
const againMs = 15_000;

export class GrantBook {
  readonly #member: Member;
  readonly #opened = new Map<string, readonly Granted[]>();
  readonly #asked = new Map<string, number>();
  #opening: Promise<boolean> = Promise.resolve(false);

  constructor(member: Member) {
    this.#member = member;
  }

  /** Entries for an epoch, by grants that stand. */
  of(epoch: Bytes): Granted[] {
    const standing = new Set(this.#standing().map((g) => hex(g.grant)));
    return [...this.#opened].flatMap(([id, all]) => (standing.has(id) ? all.filter((g) => equal(g.entry.epoch, epoch)) : []));
  }

  /** Opens the capsules of grants that are new; true when one was. Throws Failure 'verify' or 'network'. */
  refresh(): Promise<boolean> {
    this.#opening = this.#opening.catch(() => false).then(() => this.#openNew());
    return this.#opening;
  }

  async #openNew(): Promise<boolean> {
    let grown = false;
    for (const g of this.#standing()) {
      const id = hex(g.grant);
      if (this.#opened.has(id) || Date.now() - (this.#asked.get(id) ?? 0) < againMs) continue;
      // Which log to believe is pinned by this browser's first look at it: until then nothing is opened.
      const policy = await import('./logproof').then((m) => m.pinnedPolicy(this.#member));
      if (policy === null) return grown;
      this.#asked.set(id, Date.now());
      const entries = await this.#open(g, policy);
      if (entries === null) continue;
      this.#opened.set(id, entries);
      grown = true;
    }
    return grown;
  }

  #standing(): Grant[] {
    const { chain, keys } = this.#member;
    const me = chain.head.members.get(hex(keys.kid));
    return me === undefined ? [] : grantsTo(chain.head, me).filter((g) => g.capsule !== null);
  }

  async #open(g: Grant, policy: Policy): Promise<Granted[] | null> {
    const reply = await this.#member.api.chain.getCapsule({ grant: g.grant }).catch((err: unknown) => {
      if (isKind(err, 'not-found')) return null;
      throw err;
    });
    // Without a proof it may not be opened; whoever gave it may put one.
    if (reply === null || reply.proof.length === 0) return null;
    const state = this.#member.chain.at(g.seq);
    if (state === null) throw refuse('granted: a grant that is not in the chain');
    const { checkStatementProof, logTagKey } = await import('./logproof');
    await checkStatementProof(own(reply.proof), policy, state.hash, { key: await logTagKey(this.#member), seq: g.seq });
    const capsule = own(reply.capsule);
    if (g.capsule === null || !equal(H(capsule), g.capsule)) throw refuse('granted: this capsule is not the one the grant names');
    const { household, keys } = this.#member;
    const entries = parseCapsule(await openCapsule(keys.sealing, household, g.grant, capsule));
    return entries.map((entry) => ({ entry, lines: g.tracks }));
  }
}
