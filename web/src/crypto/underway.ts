/** Grants that this browser has begun: each is kept, sealed, until it was handed over, so that a page that is closed midway goes on at the next visit. */
import { hex } from './bytes';
import { isKind } from './failure';
import type { GrantBody } from './grant';
import { openKept, sealKept } from './keptjson';
import type { Member } from './member';
import { nowSeconds } from './signin';

/** In milliseconds. Nobody takes longer over a touch: what has no statement after this was given up. */
const givenUpMs = 600_000;

interface Begun {
  /** unix milliseconds */
  readonly at: number;
  readonly body: GrantBody;
}

export class Underway<Kept extends Begun> {
  readonly #member: Member;
  readonly #where: 'sharing' | 'helping';

  /** where: of what the browser keeps of the account */
  constructor(member: Member, where: 'sharing' | 'helping') {
    [this.#member, this.#where] = [member, where];
  }

  /** By grant (hex). */
  async all(): Promise<[string, Kept][]> {
    const list = (await this.#member.place.store.load())?.[this.#where] ?? {};
    return Promise.all(Object.entries(list).map(async ([id, sealed]): Promise<[string, Kept]> => [id, (await openKept(this.#member.guard, sealed)) as Kept]));
  }

  async keep(id: string, kept: Kept): Promise<void> {
    const sealed = await sealKept(this.#member.guard, kept);
    await this.#member.keep((a) => ({ ...a, [this.#where]: { ...a[this.#where], [id]: sealed } }));
  }

  async drop(id: string): Promise<void> {
    await this.#member.keep((a) => ({ ...a, [this.#where]: Object.fromEntries(Object.entries(a[this.#where] ?? {}).filter(([k]) => k !== id)) }));
  }

  /** Keeps a grant, then puts it into the chain. Returns its id (hex). */
  async begin(kept: Kept): Promise<string> {
    const id = hex(kept.body.grant);
    await this.keep(id, kept);
    try {
      await this.#member.append(kept.body);
    } catch (err) {
      // An answer that got lost may have left it in the chain: the next visit sees.
      if (!isKind(err, 'network') && !this.#member.chain.head.grants.has(id)) await this.drop(id);
      throw err;
    }
    return id;
  }

  /** What an earlier page left half done and the chain has; forgets what is over. */
  async unfinished(): Promise<[string, Kept][]> {
    const out: [string, Kept][] = [];
    for (const [id, kept] of await this.all()) {
      const grant = this.#member.chain.head.grants.get(id);
      const over = grant === undefined ? Date.now() - kept.at > givenUpMs : grant.revoked || grant.until <= nowSeconds();
      if (over) await this.drop(id);
      else if (grant !== undefined) out.push([id, kept]);
    }
    return out;
  }
}
