/**
 * Footage given to a member or to whoever has a link (design 0006): capsule,
 * sealed note of it in this browser's store, statement, proof, and only then the
 * capsule leaves this browser. A page that is closed between goes on at the next
 * visit; a statement that stands is never signed twice.
 */
import type { CameraId } from '../owner/types';
import type { Shared, ShareAsk, ShareNews } from '../owner/sharing/types';
import { type Bytes, hex, unhex, utf8 } from './bytes';
import { findCamera } from './cameras';
import { type CameraDecl, type ChainState, maySee } from './chain';
import { random } from './cipher';
import type { EpochBook } from './epochs';
import { Failure } from './failure';
import { entriesOf, inOrder, maxEntries, type Plain, sealEntries } from './giving';
import type { GrantBody, TrackRange } from './grant';
import { H, kidOf } from './hash';
import { Link } from './link';
import type { ProofStep } from './logproof';
import type { Member } from './member';
import { parseNote, vkey } from './note';
import { mayShare, seesCamera } from './rights';
import { sharedList } from './sharelist';
import { nowSeconds } from './signin';
import type { TrackDecl } from './statement';
import { Underway } from './underway';
import { worded } from './words';

/** More is asked for aloud (protocol 2.9): not on this page. */
const maxFootage = 86_400;
const maxServed = 7 * 86_400;
/** Of what is still to come: how far it reaches, and how long after its last second it is served. */
const maxAhead = 7 * 86_400;
const maxServedAfter = 30 * 86_400;

/** What is kept of a share until it is over. */
export interface Kept {
  readonly at: number;
  readonly body: GrantBody;
  /** null once it was handed over, and where nothing is: of what is only to come */
  readonly capsule: Bytes | null;
  /** fragment and sealed words; null for a member */
  readonly link: { readonly fragment: string; readonly words: Bytes } | null;
}

export interface ShareRooms {
  readonly member: Member;
  readonly epochs: EpochBook;
  /** the policy of the public log that this browser has pinned; null before it was reached first */
  policy(): Promise<string | null>;
  proven(seq: number, wait: { step(s: ProofStep): void; away(on: boolean): void }, signal: AbortSignal): Promise<Bytes>;
  /** the person's name, by hex kid */
  person(kid: string): string;
  camera(id: string): string;
  tell(err: unknown): void;
  changed(): void;
}

export class Shares {
  readonly #rooms: ShareRooms;
  readonly #underway: Underway<Kept>;
  readonly #closed = new AbortController();
  /** grants (hex) that are being handed over by this page */
  readonly #running = new Map<string, Promise<void>>();

  constructor(rooms: ShareRooms) {
    this.#rooms = rooms;
    this.#underway = new Underway(rooms.member, 'sharing');
  }

  close(): void {
    this.#closed.abort();
  }

  async share(ask: ShareAsk, news: (n: ShareNews) => void): Promise<Shared> {
    const { member } = this.#rooms;
    await member.sync();
    const policy = await this.#rooms.policy();
    if (policy === null) throw logUnknown();
    const kept = await this.#make(ask, policy);
    const id = await this.#underway.begin(kept);
    this.#rooms.changed();
    if (kept.capsule === null) {
      // Nothing of it is recorded yet: hubs wait for the log themselves.
      await this.#underway.drop(id);
      news({ kind: 'step', step: 'done' });
    } else {
      await this.#release(kept, news);
    }
    const [one] = (await this.list()).filter((s) => s.id === id);
    if (one === undefined) throw new Failure('not-found', 'share: it was ended meanwhile');
    return one;
  }

  /** Goes on with what an earlier page left half done; forgets what is over. */
  async resume(): Promise<void> {
    for (const [, kept] of await this.#underway.unfinished()) {
      if (kept.capsule !== null) void this.#release(kept, () => undefined).catch(this.#rooms.tell);
    }
  }

  async list(): Promise<Shared[]> {
    const { member } = this.#rooms;
    const [kept, views] = await Promise.all([this.#underway.all(), member.api.link.listLinks({}).catch(() => null)]);
    return sharedList(this.#rooms, new Map(kept), views?.links ?? []);
  }

  async end(id: string): Promise<void> {
    await this.#rooms.member.append({ type: 'revoke', grant: unhex(id) });
    await this.#underway.drop(id);
    this.#rooms.changed();
  }

  async #make(ask: ShareAsk, policy: string): Promise<Kept> {
    const { member } = this.#rooms;
    const me = member.chain.head.members.get(hex(member.keys.kid));
    if (me === undefined || !mayShare(me.role)) throw worded('refused', { what: 'You may look, but not share.', safe: 'Nothing was shared.', next: 'Ask an admin of your household.' });
    const ahead = aheadFor(member.chain.head, ask);
    const lines = this.#lines(ask, me.tracks, ahead);
    const { entries, hubs } = await this.#entries(lines);
    if (lines.length === 0 || (entries.length === 0 && !ahead)) throw worded('not-found', { what: 'There is nothing in this stretch that you could share.', safe: 'Nothing was shared.', next: 'Choose another stretch.' });
    if (entries.length > maxEntries) throw worded('refused', { what: 'This stretch is in too many pieces for one share.', next: 'Choose a shorter one.' });
    const grant = random(16);
    const until = Math.floor(ask.until / 1000);
    const common = { type: 'grant', grant, purpose: ask.for.kind === 'link' ? 'link' : 'share', terms: null, tracks: lines, until, standing: ahead, release: null, mask: null } as const;
    if (ask.for.kind === 'member') {
      const to = member.chain.head.members.get(ask.for.kid);
      if (to === undefined) throw new Failure('not-found', 'share: nobody of this kid');
      const capsule = entries.length === 0 ? null : await sealEntries(member.household, grant, to.x, entries);
      for (const e of entries) e.key.fill(0);
      return { at: Date.now(), capsule, link: null, body: { ...common, to: kidOf(to.x), kind: 'member', key: null, hubs: [], capsule: capsule && H(capsule) } };
    }
    const link = await Link.fresh();
    const capsule = await sealEntries(member.household, grant, link.sealing.publicKey, entries);
    for (const e of entries) e.key.fill(0);
    const words = await link.sealWords({
      from: this.#rooms.person(hex(member.keys.kid)), camera: this.#rooms.camera(ask.camera), note: ask.note.trim(),
      zone: Intl.DateTimeFormat().resolvedOptions().timeZone, policy: H(utf8(policy)),
    });
    return {
      at: Date.now(), capsule, link: { fragment: link.reveal(), words },
      body: { ...common, to: link.kid, kind: 'link', key: link.sealing.publicKey, hubs, capsule: H(capsule) },
    };
  }

  #lines(ask: ShareAsk, rights: Parameters<typeof maySee>[0], ahead: boolean): TrackRange[] {
    const decl = declOf(this.#rooms.member.chain.head, ask.camera);
    const now = nowSeconds();
    const [from, until, served] = [Math.floor(ask.from / 1000), Math.min(Math.ceil(ask.to / 1000), ahead ? Infinity : now), Math.floor(ask.until / 1000)];
    if (from >= until) throw worded('refused', { what: 'This stretch has no length.', safe: 'Nothing was shared.', next: 'Choose where it begins and ends.' });
    if (ahead ? until - from > maxAhead : until - from > maxFootage) throw worded('refused', { what: ahead ? 'This is more than 7 days.' : 'This is more than 24 hours.', safe: 'Nothing was shared.', next: 'Choose a shorter stretch.' });
    if (served <= now || served < until || served - (ahead ? until : now) > (ahead ? maxServedAfter : maxServed) + 60) throw worded('refused', { what: 'A share works for at most 7 days.', safe: 'Nothing was shared.', next: 'Choose a shorter time.' });
    // A member gets beside the picture what the hub says of these times: names, events, why there is a gap.
    const kinds: readonly TrackDecl['kind'][] = ['video', ...(ask.sound ? ['audio'] as const : []), ...(ask.for.kind === 'member' ? ['video-sub', 'meta'] as const : [])];
    return decl.tracks.filter((t) => kinds.includes(t.kind) && maySee(rights, t.track)).map((t) => ({ track: t.track, from, until }));
  }

  /** The entries for the lines, and the keys of the hubs that filmed them. */
  async #entries(lines: readonly TrackRange[]): Promise<{ entries: Plain[]; hubs: string[] }> {
    const { member, epochs, tell } = this.#rooms;
    const found: Plain[] = [];
    const hubs = new Set<string>();
    const [first] = lines;
    if (first === undefined) return { entries: [], hubs: [] };
    await epochs.refreshGrants();
    for await (const epoch of epochs.between(first.from, Math.min(first.until, nowSeconds() + 1), tell)) {
      const some = entriesOf(epoch, lines);
      const hub = member.chain.at(epoch.note.chain.seq)?.hubs.get(hex(epoch.note.hub));
      found.push(...some);
      if (hub !== undefined && lines.some((l) => epoch.note.tracks.has(hex(l.track)))) hubs.add(vkey(hub.ed));
    }
    return { entries: inOrder(found), hubs: [...hubs] };
  }

  /** Waits for the proof and hands over; once at a time for each grant. */
  #release(kept: Kept, news: (n: ShareNews) => void): Promise<void> {
    const id = hex(kept.body.grant);
    const running = this.#running.get(id) ?? this.#handOver(id, kept, news).finally(() => this.#running.delete(id));
    this.#running.set(id, running);
    return running;
  }

  async #handOver(id: string, kept: Kept, news: (n: ShareNews) => void): Promise<void> {
    const { member } = this.#rooms;
    const { grant } = kept.body;
    const stands = member.chain.head.grants.get(id);
    if (stands === undefined || kept.capsule === null) throw new Failure('internal', 'share: no statement, or nothing to hand over');
    const proof = await this.#rooms.proven(stands.seq, {
      step: (step) => { news({ kind: 'step', step }); },
      away: (on) => { news({ kind: 'away', on }); },
    }, this.#closed.signal);
    const { capsule, link } = kept;
    if (link === null) {
      await member.api.chain.putCapsule({ grant, capsule, proof });
      await this.#underway.drop(id);
    } else {
      const secret = await Link.parse(link.fragment);
      await member.api.link.putLink({ grant, kid: secret.kid, capsule, proof, mac: secret.mac(noteHash(member, stands.seq)), words: link.words });
      await this.#underway.keep(id, { ...kept, capsule: null });
    }
    news({ kind: 'step', step: 'done' });
    this.#rooms.changed();
  }
}

/** Whether a share stands: it reaches into the future of a camera that is not its member's by right. What is his by right he is given of the past only. */
function aheadFor(state: ChainState, ask: ShareAsk): boolean {
  if (ask.for.kind === 'link') return false;
  const to = state.members.get(ask.for.kid);
  if (to === undefined) throw new Failure('not-found', 'share: nobody of this kid');
  const right = seesCamera(to, declOf(state, ask.camera));
  const future = ask.to > (nowSeconds() + 1) * 1000;
  if (!right && !future) throw worded('refused', { what: 'Who does not see this camera cannot be given its past alone.', safe: 'Nothing was shared.', next: 'Share what is to come, or let an admin change what they may see.' });
  return future && !right;
}

function declOf(state: ChainState, camera: CameraId): CameraDecl {
  const decl = findCamera(state, unhex(camera));
  if (decl === null) throw new Failure('not-found', 'share: no such camera');
  return decl;
}

function noteHash(member: Member, seq: number): Bytes {
  const raw = member.chain.notes[seq];
  if (raw === undefined) throw new Failure('not-found', `share: no statement ${seq}`);
  return parseNote(raw).hash;
}

function logUnknown(): Failure {
  return worded('network', {
    what: 'The public log has not been reached from this browser yet.',
    safe: 'Nothing was shared.',
    next: 'Try again in a minute. Sharing waits for the log; recording and watching do not.',
  });
}
