/**
 * The epochs this client has opened, by id. An epoch is fetched and checked
 * once; many readers that need it at the same moment share the work.
 */
import { type Bytes, equal, hex, own, unhex } from './bytes';
import { type EpochBundle, type EpochNote, openEpoch, type OpenEpoch, parseEpochNote } from './epoch';
import { Failure, isKind, refuse } from './failure';
import { GrantBook } from './granted';
import type { Member } from './member';
import { parseNote } from './note';
import type { EpochInfo } from '../api/latchkey/v1/latchkey_pb';

/** Enough for weeks of days; each holds one root a track. */
const capacity = 256;

/** How many epochs one call may ask for. */
const askAtOnce = 100;

/** An epoch by a hub that the public log has not proven to belong to the household yet: nothing of it is shown. */
class HubWaits extends Failure {
  constructor(readonly seq: number, readonly note: EpochNote) {
    super('network', 'epochs: its hub waits for the public log');
    this.name = 'HubWaits';
  }
}

export class EpochBook {
  readonly #member: Member;
  readonly #granted: GrantBook;
  /** by hub (hex) and n: the text hash of the note with that number */
  readonly #numbers = new Map<string, Map<number, { readonly hash: Bytes; readonly prev: Bytes }>>();
  readonly #open = new Map<string, Promise<OpenEpoch>>();
  readonly #newest = new Map<string, OpenEpoch>();
  readonly #doubled = new Set<string>();
  readonly #onHeads: (epoch: OpenEpoch, raw: Bytes) => void;

  /** onHeads hears the newest heads note that came along with an epoch. */
  constructor(member: Member, onHeads: (epoch: OpenEpoch, raw: Bytes) => void) {
    this.#member = member;
    this.#granted = new GrantBook(member);
    this.#onHeads = onHeads;
  }

  /** The checked epoch of this id (hex). Throws Failure 'verify', 'not-found' or 'network'. */
  get(id: string): Promise<OpenEpoch> {
    const known = this.#open.get(id);
    if (known !== undefined) return known;
    const opening = this.#fetch(id);
    this.#open.set(id, opening);
    // A failure may be the network's: the next reader tries again.
    opening.catch(() => this.#open.delete(id));
    this.#trim();
    return opening;
  }

  /** Opens what a list of epochs brought, for instance with fresh heads. */
  async take(info: EpochInfo): Promise<OpenEpoch> {
    const bundle = bundleOf(info);
    const epoch = await this.#check(bundle);
    const id = hex(epoch.note.epoch);
    if (!this.#open.has(id)) this.#open.set(id, Promise.resolve(epoch));
    if (info.heads.length > 0) this.#onHeads(epoch, own(info.heads));
    return epoch;
  }

  /** Takes capsules of grants that are new; epochs opened so far are then opened again, with what they give. */
  async refreshGrants(): Promise<boolean> {
    const grown = await this.#granted.refresh();
    if (grown) this.#open.clear();
    return grown;
  }

  /** Fetches epochs (hex) that are not open yet, many in one call; those that fail are met again by get. */
  async load(ids: readonly string[]): Promise<void> {
    const missing = ids.filter((id) => !this.#open.has(id));
    for (let i = 0; i < missing.length; i += askAtOnce) {
      const { epochs } = await this.#member.api.footage.getEpochs({ epochs: missing.slice(i, i + askAtOnce).map(unhex) }).catch((err: unknown) => {
        if (isKind(err, 'not-found')) return { epochs: [] };
        throw err;
      });
      for (const info of epochs) await this.take(info).catch((err: unknown) => { if (!(err instanceof HubWaits)) refused(err); });
    }
  }

  /** Every epoch that overlaps [from, until), unix seconds, a page at a time; what does not verify is told and passed over. */
  async *between(from: number, until: number, tell: (err: unknown) => void): AsyncGenerator<OpenEpoch> {
    const seen = new Set<string>();
    for (let after: Bytes = new Uint8Array(); ; ) {
      const { epochs, more } = await this.#member.api.footage.listEpochs({ from: BigInt(from), to: BigInt(until), after });
      let last: OpenEpoch | HubWaits | null = null;
      for (const info of epochs) {
        const epoch = await this.take(info).catch((err: unknown) => {
          if (err instanceof HubWaits) return err;
          refused(err);
          tell(err);
          return null;
        });
        if (epoch === null) continue;
        const id = hex(epoch.note.epoch);
        if (seen.has(id)) continue;
        seen.add(id);
        last = epoch;
        if (!(epoch instanceof HubWaits)) yield epoch;
      }
      // Nothing new on a page that promises more: the server goes round in circles.
      if (more && last === null) throw refuse('epochs: the server goes round in circles');
      if (!more || last === null) return;
      after = last.note.epoch;
    }
  }

  async #fetch(id: string): Promise<OpenEpoch> {
    await this.refreshGrants();
    const { epochs } = await this.#member.api.footage.getEpochs({ epochs: [unhex(id)] }).catch((err: unknown) => {
      // Whoever asks has a part of it: the server gives what it says it does not have.
      throw isKind(err, 'not-found') ? refuse('epochs: the server has no such epoch, and gives its parts') : err;
    });
    const info = epochs[0];
    if (info === undefined) throw refuse('epochs: the server gave no epoch');
    const epoch = await this.#check(bundleOf(info)).catch(async (err: unknown) => {
      if (!(err instanceof HubWaits)) throw err;
      await this.#member.cover.reached(err.seq, 'this hub');
      return this.#check(bundleOf(info));
    });
    if (hex(epoch.note.epoch) !== id) throw refuse('epochs: the server gave another epoch');
    if (info.heads.length > 0) this.#onHeads(epoch, own(info.heads));
    return epoch;
  }

  /** The newest epoch of a hub (hex) that has been opened; its note lists what the hub now records. */
  newest(hub: string): OpenEpoch | null {
    return this.#newest.get(hub) ?? null;
  }

  async #check(bundle: EpochBundle): Promise<OpenEpoch> {
    const epoch = await this.#verified(bundle);
    const hub = hex(epoch.note.hub);
    const added = this.#member.chain.at(epoch.note.chain.seq)?.hubs.get(hub)?.seq ?? 0;
    if (added > this.#member.cover.upTo) throw new HubWaits(added, epoch.note);
    this.#number(hub, epoch);
    const before = this.#newest.get(hub);
    if (before === undefined || epoch.note.n > before.note.n) this.#newest.set(hub, epoch);
    return epoch;
  }

  /** A hub counts its epochs, each naming the one before: two with one number were made by two machines. */
  #number(hub: string, { note, hash }: OpenEpoch): void {
    const numbers = this.#numbers.get(hub) ?? new Map<number, { hash: Bytes; prev: Bytes }>();
    const [before, same, after] = [numbers.get(note.n - 1), numbers.get(note.n), numbers.get(note.n + 1)];
    const contradicted = (same !== undefined && !equal(same.hash, hash)) || (before !== undefined && !equal(before.hash, note.prev)) || (after !== undefined && !equal(after.prev, hash));
    if (contradicted) {
      this.#doubled.add(hub);
      throw refuse('epochs: two machines sign as one hub');
    }
    this.#numbers.set(hub, numbers.set(note.n, { hash, prev: note.prev }));
  }

  /** Whether a hub's (hex) own notes contradict each other. */
  doubled(hub: string): boolean {
    return this.#doubled.has(hub);
  }

  async #verified(bundle: EpochBundle): Promise<OpenEpoch> {
    const open = (): Promise<OpenEpoch> => openEpoch(bundle, this.#member.chain, this.#member.keys.sealing, this.#granted.of(parseEpochNote(parseNote(bundle.note)).epoch));
    try {
      return await open();
    } catch (err) {
      // The hub may know a newer chain than we do; only then is another look worth it.
      if (!isKind(err, 'verify') || !(await this.#member.sync())) throw err;
      return open();
    }
  }

  #trim(): void {
    for (const id of this.#open.keys()) {
      if (this.#open.size <= capacity) return;
      this.#open.delete(id);
    }
  }
}

function refused(err: unknown): void {
  if (!isKind(err, 'verify')) throw err;
}

function bundleOf(info: EpochInfo): EpochBundle {
  return {
    note: own(info.note),
    seals: info.seals.map((s) => ({ kid: own(s.kid), hash: own(s.hash) })),
    capsule: own(info.capsule),
  };
}
