/** The people of the household: who they are, what they may see, and how that changes. */
import type { Kid, NewKeys, Person, RemovalReport, Rights as Shown, Role } from '../owner/types';
import { type Bytes, equal, hex } from './bytes';
import { admins, type Member as Listed } from './chain';
import type { EpochBook } from './epochs';
import { Failure, isKind } from './failure';
import { kidsOf } from './grant';
import { kidOf } from './hash';
import type { Member } from './member';
import { type NameBook, wantName } from './names';
import { admitted, newKeys } from './newkeys';
import { mayShare, rightsOf, tracksFor } from './rights';
import { nowSeconds } from './signin';
import { recipients } from './standing';
import { worded } from './words';

/** How long a removal waits for hubs to seal without the removed, and how often it looks. */
const heardWithinMs = 15_000;
const lookEveryMs = 1000;
/** Seconds around now in which the newest epochs are looked for: clocks differ. */
const aroundSeconds = 900;

export interface PeopleRooms {
  readonly member: Member;
  readonly names: NameBook;
  readonly epochs: EpochBook;
  /** hears what did not verify on the way */
  tell(err: unknown): void;
}

export class People {
  readonly #rooms: PeopleRooms;

  constructor(rooms: PeopleRooms) {
    this.#rooms = rooms;
  }

  /** Oneself first, then by name. */
  async list(): Promise<Person[]> {
    const { member } = this.#rooms;
    const changed = await this.#newKeys();
    const people = [...member.chain.head.members.values()].map((m) => this.#person(m, changed));
    return people.sort((a, b) => Number(b.me) - Number(a.me) || a.name.localeCompare(b.name) || (a.kid < b.kid ? -1 : 1));
  }

  async one(kid: Kid): Promise<Person> {
    return this.#person(this.#listed(kid), await this.#newKeys());
  }

  async #newKeys(): Promise<ReadonlyMap<string, NewKeys>> {
    const { member } = this.#rooms;
    const me = member.chain.head.members.get(hex(member.keys.kid));
    const since = admitted(member.chain, [member.keys.kid, ...(me?.pastEd ?? [])].map(hex));
    const seen = (await member.place.store.load())?.newKeysSeen ?? [];
    return new Map([...newKeys(member.chain)].map(([kid, { seq, time, byCode }]) => [kid, { at: time * 1000, byCode, seen: seq <= since || seen.includes(seq) }]));
  }

  /** Does not say again on this browser that these keys were replaced. */
  async seenNewKeys(kid: Kid): Promise<void> {
    const { member } = this.#rooms;
    const seq = newKeys(member.chain).get(kid)?.seq;
    if (seq !== undefined) await member.keep((a) => ({ ...a, newKeysSeen: [...a.newKeysSeen.filter((s) => s !== seq), seq] }));
  }

  #person(m: Listed, changed: ReadonlyMap<string, NewKeys>): Person {
    const { member, names } = this.#rooms;
    const state = member.chain.head;
    const me = equal(m.kid, member.keys.kid);
    return {
      kid: hex(m.kid) as Kid,
      name: names.person(m),
      role: m.role,
      rights: rightsOf(m, state),
      me,
      removable: !me && (m.role !== 'admin' || admins(state) > 1),
      newKeys: changed.get(hex(m.kid)) ?? null,
    };
  }

  #listed(kid: Kid): Listed {
    const m = this.#rooms.member.chain.head.members.get(kid);
    if (m === undefined) throw worded('not-found', { what: 'This person is not in your household any more.', next: 'Look at the list again.' });
    return m;
  }

  /** Restates somebody with another role or other rights: they count for footage from then on. */
  async change(kid: Kid, a: { role: Role; rights: Shown }): Promise<void> {
    const { member } = this.#rooms;
    const { ed, x, recovery, role } = this.#listed(kid);
    if (role === 'admin' && a.role !== 'admin' && admins(member.chain.head) === 1) throw lastAdmin();
    await member.append({ type: 'member', ed, x, recovery, role: a.role, share: mayShare(a.role), tracks: tracksFor(a.rights, member.chain.head) });
  }

  async rename(kid: Kid, name: string): Promise<void> {
    const { member, names } = this.#rooms;
    const wanted = nameOrWords(name);
    const m = this.#listed(kid);
    await names.change((n) => n.people.set(hex(m.kid), wanted));
    if (equal(m.kid, member.keys.kid)) await member.rename('me', wanted);
  }

  /** Removes somebody, and looks whether the hubs seal without him: any of them that does has heard. */
  async remove(kid: Kid): Promise<RemovalReport> {
    const { member, names } = this.#rooms;
    const gone = this.#listed(kid);
    if (gone.role === 'admin' && admins(member.chain.head) === 1) throw lastAdmin();
    const before = this.#newest();
    const concerned = recipients(member.chain.head, nowSeconds()).some((r) => equal(r.kid, kidOf(gone.x)));
    try {
      await member.append({ type: 'unmember', kid: gone.kid });
    } catch (err) {
      // A browser reaches hubs through the server alone: without it nobody has heard.
      if (!isKind(err, 'network')) throw err;
      return { server: 'failed', hubs: [...before.keys()].map((hub) => ({ kid: hub as Kid, heard: false })) };
    }
    const hubs = await this.#heard(before, concerned ? kidsOf(gone) : []);
    // The names follow by themselves when this does not go through.
    await names.change(() => undefined).catch(() => undefined);
    return { server: 'done', hubs };
  }

  /** The number of each hub's (hex) newest epoch; 0 while none is known. */
  #newest(): Map<string, number> {
    const { member, epochs } = this.#rooms;
    return new Map([...member.chain.head.hubs.keys()].map((hub) => [hub, epochs.newest(hub)?.note.n ?? 0] as const));
  }

  /** A hub has heard when it is connected and has begun another epoch, that none of these keys opens. */
  async #heard(before: ReadonlyMap<string, number>, keys: readonly Bytes[]): Promise<RemovalReport['hubs']> {
    const heard = new Set<string>();
    for (const until = Date.now() + heardWithinMs; heard.size < before.size && Date.now() < until; ) {
      for (const hub of await this.#online()) {
        const newest = this.#rooms.epochs.newest(hub);
        const later = newest !== null && newest.note.n > (before.get(hub) ?? 0) && !keys.some((kid) => newest.sealedTo.has(hex(kid)));
        // Whoever could open nothing is no reason for a new epoch.
        if (later || keys.length === 0) heard.add(hub);
      }
      if (heard.size < before.size) await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
    return [...before.keys()].map((hub) => ({ kid: hub as Kid, heard: heard.has(hub) }));
  }

  /** The connected hubs (hex), with their newest epochs opened on the way. */
  async #online(): Promise<string[]> {
    const { member, epochs, tell } = this.#rooms;
    try {
      const { hubs } = await member.api.hub.listHubs({});
      const now = nowSeconds();
      for await (const _ of epochs.between(now - aroundSeconds, now + aroundSeconds, tell)) {
        // The book keeps the newest of each hub.
      }
      return hubs.filter((h) => h.online).map((h) => hex(h.kid));
    } catch (err) {
      if (!isKind(err, 'network')) throw err;
      return [];
    }
  }
}

function nameOrWords(name: string): string {
  try {
    return wantName(name);
  } catch (err) {
    if (!(err instanceof Failure)) throw err;
    throw worded('refused', { what: 'That name cannot be used.', next: 'Use 1 to 60 plain characters.' }, err);
  }
}

function lastAdmin(): Failure {
  return worded('refused', {
    what: 'This is the last admin of your household.',
    safe: 'Nothing was changed.',
    next: 'Make somebody else admin first.',
  });
}

