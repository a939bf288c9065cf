/** Every statement of the household's chain as what it decided: who may see what, since when, until when. */
import type { AccessRow, Decision, Given, GivenFootage, NamedCamera, Party, SeenCamera, Sees } from '../owner/access/types';
import type { CameraId, Kid } from '../owner/types';
import { type Bytes, b64, equal, hex } from './bytes';
import { type Chain, type ChainState, holderOf, type Member as Listed, trackOf } from './chain';
import { refuse } from './failure';
import type { GrantBody, TrackRange } from './grant';
import { kidOf } from './hash';
import { parseNote } from './note';
import { rightsOf } from './rights';
import { type Body, parseStatement } from './statement';

/** What rows need besides the chain. Ids are hex; names are empty while unknown. */
export interface Surroundings {
  /** the reader's own signing kid */
  readonly me: Bytes;
  person(kid: string): string;
  hub(kid: string): string;
  camera(id: string): string;
  /** entry of a statement in the public log; null while it is on its way */
  leaf(seq: number): number | null;
  covered(seq: number): boolean;
}

/** Newest first. Throws Failure 'verify' on a chain that is none. */
export function accessRows(chain: Chain, around: Surroundings): AccessRow[] {
  return new Rows(chain, around).all().reverse();
}

type BodyOf<T extends Body['type']> = Extract<Body, { readonly type: T }>;

/** A grant with where it was made and what became of it. */
interface Traced {
  readonly seq: number;
  readonly body: GrantBody;
}

class Rows {
  readonly #chain: Chain;
  readonly #around: Surroundings;
  readonly #grants = new Map<string, Traced>();

  constructor(chain: Chain, around: Surroundings) {
    this.#chain = chain;
    this.#around = around;
  }

  all(): AccessRow[] {
    return this.#chain.notes.map((raw, seq) => this.#row(raw, seq));
  }

  #row(raw: Bytes, seq: number): AccessRow {
    const note = parseNote(raw);
    const { head, body } = parseStatement(note);
    if (body.type === 'grant') this.#grants.set(hex(body.grant), { seq, body });
    return {
      seq, at: head.time * 1000, by: this.#signer(head.by, seq), what: this.#decision(head.by, body, seq),
      hash: b64(note.hash), leaf: this.#around.leaf(seq), covered: this.#around.covered(seq),
    };
  }

  /** The state right after statement seq. */
  #at(seq: number): ChainState {
    const state = this.#chain.at(seq);
    if (state === null) throw refuse('access: a statement beyond the chain');
    return state;
  }

  /** A hub signs its anchors, a recovery key one's new keys. */
  #signer(kid: Bytes, seq: number): Party {
    const before = this.#chain.at(Math.max(0, seq - 1));
    if (before?.hubs.has(hex(kid)) === true) return this.#hub(kid);
    const byCode = [...(before?.members.values() ?? [])].find((m) => equal(kidOf(m.recovery), kid));
    return this.#person(byCode?.kid ?? kid);
  }

  /** Somebody by a signing key that he has or had. */
  #person(kid: Bytes): Party {
    const { me } = this.#around;
    const mine = this.#chain.head.members.get(hex(me));
    return { kid: hex(kid) as Kid, name: this.#around.person(hex(kid)), me: equal(kid, me) || (mine?.pastEd.some((k) => equal(k, kid)) ?? false) };
  }

  #hub(kid: Bytes): Party {
    return { kid: hex(kid) as Kid, name: this.#around.hub(hex(kid)), me: false };
  }

  #camera(id: Bytes): NamedCamera {
    return { camera: hex(id) as CameraId, name: this.#around.camera(hex(id)) };
  }

  #cameraOf(track: Bytes, seq: number): NamedCamera | null {
    const found = trackOf(this.#at(seq), track);
    return found === null ? null : this.#camera(found.camera.camera);
  }

  #decision(by: Bytes, b: Body, seq: number): Decision {
    switch (b.type) {
      case 'genesis':
        return { type: 'founded' };
      case 'member':
        return this.#member(b, seq);
      case 'unmember':
        return { type: 'removed', person: this.#person(b.kid) };
      case 'rekey':
        return { type: 'keys', person: this.#person(b.kid), byCode: !equal(by, b.kid), signing: b.ed !== null, code: b.recovery !== null };
      case 'hub':
        return { type: 'hub', hub: this.#hub(kidOf(b.ed)) };
      case 'unhub':
        return { type: 'unhub', hub: this.#hub(b.kid) };
      case 'camera': {
        const before = this.#at(seq - 1).cameras.get(hex(b.camera));
        const had = before?.tracks.map((t) => t.kind) ?? [];
        return { type: 'camera', camera: this.#camera(b.camera), kinds: b.tracks.map((t) => t.kind).filter((k) => !had.includes(k)), first: before === undefined };
      }
      case 'retain':
        return { type: 'retain', camera: b.track === null ? null : this.#cameraOf(b.track, seq), seconds: b.seconds };
      case 'erase':
        return { type: 'erase', camera: this.#cameraOf(b.track, seq), from: b.from * 1000, until: b.until * 1000 };
      case 'anchor':
        return { type: 'seal', hub: this.#hub(by), epochs: b.epochs.length };
      case 'grant':
        return { type: 'given', given: this.#given({ seq, body: b }) };
      case 'revoke': {
        const traced = this.#grants.get(hex(b.grant));
        if (traced === undefined) throw refuse('access: an end of no grant');
        return { type: 'ended', given: this.#given(traced), seq: traced.seq };
      }
      case 'access': {
        const traced = this.#grants.get(hex(b.grant));
        if (traced === undefined) throw refuse('access: an opening of no grant');
        return { type: 'opened', given: this.#given(traced), seq: traced.seq, keys: b.entries.length };
      }
      case 'notice':
        return { type: 'notice', action: b.action, object: b.object ?? '' };
    }
  }

  #member(b: BodyOf<'member'>, seq: number): Decision {
    const kid = kidOf(b.ed);
    const [state, had] = [this.#at(seq), this.#at(seq - 1)];
    const [now, before] = [state.members.get(hex(kid)), had.members.get(hex(kid))];
    if (now === undefined) throw refuse('access: a member who is none');
    return { type: 'member', person: this.#person(kid), role: b.role, share: b.share, sees: this.#sees(now, state), before: before === undefined ? null : this.#sees(before, had) };
  }

  #sees(m: Listed, state: ChainState): Sees {
    const rights = rightsOf(m, state);
    return rights.all ? 'all' : rights.cameras.map((c): SeenCamera => ({ ...c, name: this.#around.camera(c.camera) }));
  }

  #given({ seq, body }: Traced): Given {
    const holder = body.kind === 'member' ? holderOf(this.#at(seq), body.to) : null;
    return {
      kind: body.kind, to: holder === null ? null : this.#person(holder.kid), footage: this.#footage(body.tracks, seq),
      purpose: body.purpose, standing: body.standing, until: body.until * 1000, ended: this.#ended(hex(body.grant), seq),
    };
  }

  /** The tracks of one camera together: what was given of it, and whether with sound. */
  #footage(tracks: readonly TrackRange[], seq: number): GivenFootage[] {
    const out = new Map<string, GivenFootage>();
    for (const t of tracks) {
      const found = trackOf(this.#at(seq), t.track);
      if (found === null) continue;
      const id = hex(found.camera.camera);
      const had = out.get(id);
      out.set(id, {
        ...this.#camera(found.camera.camera),
        sound: (had?.sound ?? false) || found.decl.kind === 'audio',
        from: Math.min(had?.from ?? Infinity, t.from * 1000),
        until: Math.max(had?.until ?? 0, t.until * 1000),
      });
    }
    return [...out.values()];
  }

  /** When a grant was revoked, or ended with the membership of whoever had it. */
  #ended(grant: string, seq: number): number | null {
    if (this.#chain.head.grants.get(grant)?.revoked !== true) return null;
    for (let at = seq; at < this.#chain.length; at++) {
      if (this.#at(at).grants.get(grant)?.revoked === true) return this.#at(at).time * 1000;
    }
    return null;
  }
}

/** How long news of what was given stay news, once it is over. */
const newsMs = 30 * 24 * 3600_000;

/** What somebody else gave away or ended, and what staff opened, above statement seen: what is still served, and what is not long past. */
export function accessNews(rows: readonly AccessRow[], seen: number, now: number): AccessRow[] {
  return rows.filter(({ seq, at, by, what }) => {
    if (seq <= seen || by.me || !['given', 'ended', 'opened', 'notice'].includes(what.type)) return false;
    const served = what.type === 'given' && what.given.ended === null && what.given.until > now;
    return served || now - at < newsMs;
  });
}
