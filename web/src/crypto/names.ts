/**
 * What people and hubs are called, as this browser knows it: the newest directory
 * note that an admin has signed. An older one than seen is a rollback.
 */
import { keysSince, settled } from './addlate';
import { equal, type Bytes, hex, own } from './bytes';
import type { ChainState, Member as Listed } from './chain';
import { storeOpen, storeSeal } from './cipher';
import { type Directory, directoryText, type Names, openDirectory, parseDirectory } from './directory';
import { Failure, isKind, refuse } from './failure';
import { openLetter, sealLetter } from './letter';
import type { Member } from './member';
import { parseNote, signNote } from './note';
import { attempts } from './safe';
import { nowSeconds } from './signin';

const noNames: Names = { household: '', people: new Map(), hubs: new Map() };

/** Names while they are being changed. */
export interface Draft {
  household: string;
  readonly people: Map<string, string>;
  readonly hubs: Map<string, string>;
}

interface Kept {
  readonly note: Bytes;
  readonly hash: Bytes;
  readonly directory: Directory;
}

export class NameBook {
  readonly #member: Member;
  readonly #changed: () => void;
  /** what this browser kept has been read */
  readonly loaded: Promise<void>;
  #kept: Kept | null = null;
  /** the number that the server last said it has */
  #served = 0;
  /** who got no letter of the newest directory that was made here: it follows when the log has proven his keys */
  #unnamed: readonly string[] = [];

  constructor(member: Member, changed: () => void) {
    this.#member = member;
    this.#changed = changed;
    this.loaded = this.#load();
  }

  /** What this browser kept: believed once, its number counts from then on. */
  async #load(): Promise<void> {
    const account = await this.#member.place.store.load();
    this.#unnamed = account?.unnamed ?? [];
    const sealed = account?.directory ?? null;
    if (sealed === null) return;
    const note = await storeOpen(this.#member.guard, sealed);
    const parsed = parseNote(note);
    this.#kept = { note, hash: parsed.hash, directory: parseDirectory(parsed) };
  }

  get names(): Names {
    return this.#kept?.directory.names ?? noNames;
  }

  /** The name of a person by any key he ever had; one's own also from the vault. Empty while unknown. */
  person(m: Listed): string {
    const found = pick(this.names.people, m);
    return found === '' && equal(m.kid, this.#member.keys.kid) ? this.#member.name('me') : found;
  }

  get household(): string {
    return this.names.household === '' ? this.#member.name('household') : this.names.household;
  }

  /** Fetches the newest. Throws Failure 'verify' on one that is older than the one seen, or another of its number. */
  async refresh(): Promise<void> {
    await this.loaded;
    const had = this.#kept;
    const reply = await this.#member.api.chain.getDirectory({}).catch((err: unknown) => {
      if (isKind(err, 'not-found')) return null;
      throw err;
    });
    if (reply === null) {
      if (had !== null && !this.#letterFollows(had.directory)) throw refuse('names: the server has none any more');
      this.#served = 0;
      return;
    }
    this.#served = Number(reply.n);
    const note = await openLetter(this.#member.household, this.#member.keys.sealing, own(reply.letter));
    const parsed = parseNote(note);
    if (had !== null && equal(parsed.hash, had.hash)) return;
    const directory = await this.#admitted(note);
    if (directory === null) return;
    if (directory.n !== this.#served) throw refuse('names: it came under another number');
    if (had !== null && directory.n <= had.directory.n) throw refuse('names: the server shows an older one than this browser has seen');
    await this.#keep({ note, hash: parsed.hash, directory });
  }

  /** Who has newer keys than the directory is told the names when the log has proven them to an admin. */
  #letterFollows(had: Directory): boolean {
    const { chain, keys } = this.#member;
    const me = chain.head.members.get(hex(keys.kid));
    return me === undefined || (chain.at(keysSince(chain, me))?.time ?? 0) > had.time;
  }

  /** The word of somebody who was an admin once and is none now counts no more: null. */
  async #admitted(note: Bytes): Promise<Directory | null> {
    const { chain } = this.#member;
    const by = hex(parseDirectory(parseNote(note)).by);
    if (chain.head.members.get(by)?.role === 'admin') return openDirectory(note, chain.head);
    for (let seq = chain.length - 1; seq >= 0; seq--) {
      const state = chain.at(seq);
      if (state?.members.get(by)?.role !== 'admin') continue;
      await openDirectory(note, state);
      return null;
    }
    throw refuse('names: signed by nobody who ever was an admin');
  }

  async #keep(kept: Kept): Promise<void> {
    this.#kept = kept;
    const sealed = await storeSeal(this.#member.guard, kept.note);
    await this.#member.keep((a) => ({ ...a, directory: sealed }));
    this.#changed();
  }

  /** Changes names and hands them to every member; a lost race takes the other's and changes that. For admins. */
  async change(edit: (names: Draft) => void): Promise<void> {
    for (let i = 0; ; i++) {
      await this.refresh();
      try {
        await this.#put(edit);
        return;
      } catch (err) {
        if (!isKind(err, 'conflict') || i + 1 >= attempts) throw err;
        await this.#member.sync();
      }
    }
  }

  async #put(edit: (names: Draft) => void): Promise<void> {
    const { keys, household, chain, api } = this.#member;
    const names = this.#now(chain.head);
    edit(names);
    for (const map of [names.people, names.hubs]) for (const [kid, name] of map) if (name === '') map.delete(kid);
    const n = Math.max(this.#served, this.#kept?.directory.n ?? 0) + 1;
    const directory: Directory = { household, by: keys.kid, n, time: nowSeconds(), names };
    const note = await signNote(directoryText(directory), keys.signer);
    const to = settled(chain, this.#member.cover, keys.kid);
    const letters = await Promise.all(to.map(async (m) => ({ kid: m.kid, body: await sealLetter(household, m.x, note) })));
    await api.chain.putDirectory({ expectedN: BigInt(this.#served), n: BigInt(n), letters });
    this.#served = n;
    this.#unnamed = [...chain.head.members.values()].filter((m) => !to.includes(m)).map((m) => hex(m.kid));
    await this.#member.keep((a) => ({ ...a, unnamed: this.#unnamed }));
    await this.#keep({ note, hash: parseNote(note).hash, directory });
  }

  /** Everybody's and everything's name now, by present kids; whoever is gone is left out. */
  #now(state: ChainState): Draft {
    const people = new Map([...state.members.values()].map((m) => [hex(m.kid), this.person(m)] as const));
    const hubs = new Map([...state.hubs.keys()].map((kid) => [kid, this.names.hubs.get(kid) ?? this.#member.name(kid)] as const));
    return { household: this.household, people, hubs };
  }

  /** Whether the directory names people by keys they have no more, or lacks one who is there, or was signed by nobody who counts. */
  stale(): boolean {
    const { members } = this.#member.chain.head;
    if (this.#kept === null) return members.size > 1;
    const { by, names, n } = this.#kept.directory;
    const { chain, cover, keys } = this.#member;
    if (settled(chain, cover, keys.kid).some((m) => this.#unnamed.includes(hex(m.kid)))) return true;
    const known = [...members.values()].filter((m) => this.person(m) !== '').map((m) => hex(m.kid));
    return this.#served > n || members.get(hex(by))?.role !== 'admin' || known.length !== names.people.size || known.some((kid) => !names.people.has(kid));
  }
}

function pick(names: ReadonlyMap<string, string>, m: Listed): string {
  return [m.kid, ...m.pastEd].map((kid) => names.get(hex(kid)) ?? '').find((name) => name !== '') ?? '';
}

/** The name without spaces around it; throws Failure 'refused' on one that no directory takes. */
export function wantName(name: string): string {
  const trimmed = name.trim();
  if (trimmed === '' || new TextEncoder().encode(trimmed).length > 200 || /\p{Cc}/u.test(trimmed)) {
    throw new Failure('refused', 'names: not a name');
  }
  return trimmed;
}
