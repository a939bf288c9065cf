/**
 * Footage for one person of support, for one ticket (protocol 2.8, "Two-key
 * grants"): log, then release, as every grant; the keys in it are covered by a
 * mask that is sealed to the hub. The household's chain says what was opened.
 */
import type { TimeRange } from '../owner/types';
import type { LetSee, Opened, SeeAsk, SeeNews } from '../owner/help/types';
import type { Staff } from '../ledger/staff';
import { type Bytes, equal, fromUtf8, hex, unhex } from './bytes';
import { findCamera } from './cameras';
import { maySee, trackOf } from './chain';
import { random } from './cipher';
import type { Entry } from './entry';
import type { EpochBook } from './epochs';
import { Failure, refuse } from './failure';
import { inOrder, maxEntries, type Plain, sealEntries } from './giving';
import type { Grant, GrantBody, TrackRange } from './grant';
import { H, kidOf } from './hash';
import type { ProofStep } from './logproof';
import { Mask, maskedEntries } from './mask';
import { parseNote, vkey } from './note';
import { mayShare } from './rights';
import { nowSeconds } from './signin';
import { joined } from './spans';
import { parseStatement } from './statement';
import { purposeOf, type TicketRooms, type Tickets, ticketOfPurpose } from './ticket';
import { depth } from './tree';
import { Underway } from './underway';
import { worded } from './words';

/** How far into the future staff can be let look, in seconds. */
const aheadMost = 900;
/** For how long it is served. */
const servedMost = 7 * 86_400;
/** An epoch that runs began up to a day and a half ago. */
const epochSeconds = 2 ** 17;

/** What is kept until it is handed over. */
interface Kept {
  readonly at: number;
  readonly ticket: number;
  readonly body: GrantBody;
  readonly capsule: Bytes;
  readonly mask: Bytes;
}

export interface GiveRooms extends TicketRooms {
  readonly epochs: EpochBook;
  proven(seq: number, wait: { step(s: ProofStep): void; away(on: boolean): void }, signal: AbortSignal): Promise<Bytes>;
  camera(id: string): string;
  changed(): void;
}

export class StaffGrants {
  readonly #rooms: GiveRooms;
  readonly #underway: Underway<Kept>;
  readonly #tickets: Tickets;
  readonly #closed = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  #names: Promise<Map<string, string>> | null = null;

  constructor(rooms: GiveRooms, tickets: Tickets) {
    [this.#rooms, this.#tickets] = [rooms, tickets];
    this.#underway = new Underway(rooms.member, 'helping');
  }

  close(): void {
    this.#closed.abort();
  }

  async give(ask: SeeAsk, news: (n: SeeNews) => void): Promise<LetSee> {
    const { member } = this.#rooms;
    await member.sync();
    const lines = this.#lines(ask);
    const staff = await this.#tickets.wanted(ask.ticket, ask.agent);
    const kept = await this.#make(ask, lines, staff);
    const id = await this.#underway.begin(kept);
    this.#rooms.changed();
    await this.#release(id, kept, news);
    const one = (await this.list()).find((s) => s.id === id);
    if (one === undefined) throw new Failure('not-found', 'support: it was ended meanwhile');
    return one;
  }

  /** Goes on with what an earlier page left half done; forgets what is over. */
  async resume(): Promise<void> {
    for (const [id, kept] of await this.#underway.unfinished()) void this.#release(id, kept, () => undefined).catch(this.#rooms.tell);
  }

  async end(id: string): Promise<void> {
    await this.#rooms.member.append({ type: 'revoke', grant: unhex(id) });
    await this.#underway.drop(id);
    this.#rooms.changed();
  }

  /** All that support was ever let see, newest first, with what was opened of it. */
  async list(): Promise<LetSee[]> {
    const { member } = this.#rooms;
    const { head } = member.chain;
    const mine = [...head.grants.values()].filter((g) => g.kind === 'staff');
    if (mine.length === 0) return [];
    const [names, opened, kept] = await Promise.all([this.#staffNames(), this.#openings(), this.#underway.all()]);
    const waiting = new Set(kept.map(([id]) => id));
    const { kid } = member.keys;
    const admin = head.members.get(hex(kid))?.role === 'admin';
    return mine.sort((a, b) => b.seq - a.seq).flatMap((g): LetSee[] => {
      const { body, time } = bodyOf(member.chain.notes[g.seq]);
      const ticket = ticketOfPurpose(body.purpose);
      if (ticket === null) return [];
      const id = hex(g.grant);
      const tracks = g.tracks.map((t) => trackOf(head, t.track)).filter((t) => t !== null);
      const camera = tracks[0] === undefined ? '' : this.#rooms.camera(hex(tracks[0].camera.camera));
      const to = Math.max(...g.tracks.map((t) => t.until));
      return [{
        id, ticket, agent: names.get(hex(g.to)) ?? '', camera, from: Math.min(...g.tracks.map((t) => t.from)) * 1000, to: to * 1000,
        sound: tracks.some((t) => t.decl.kind === 'audio'), until: g.until * 1000, given: time * 1000, live: to > time,
        state: g.revoked ? 'ended' : g.until <= nowSeconds() ? 'over' : 'runs', waiting: waiting.has(id), mayStop: admin || equal(g.by, kid),
        opened: opened.get(id) ?? [],
      }];
    });
  }

  /** The staff list is asked once: who has no name in it is somebody of support. */
  async #staffNames(): Promise<Map<string, string>> {
    this.#names ??= this.#tickets.names().catch(() => new Map<string, string>());
    const names = await this.#names;
    if (names.size === 0) this.#names = null;
    return names;
  }

  #lines(ask: SeeAsk): TrackRange[] {
    const { head } = this.#rooms.member.chain;
    const me = head.members.get(hex(this.#rooms.member.keys.kid));
    const safe = 'Nothing was shown to anybody.';
    if (me === undefined || !(mayShare(me.role) && me.share)) throw worded('refused', { what: 'You may look, but not let others see.', safe, next: 'Ask an admin of your household.' });
    const now = nowSeconds();
    const [from, until, served] = [Math.floor(ask.from / 1000), Math.ceil(ask.to / 1000), Math.floor(ask.until / 1000)];
    if (from >= until) throw worded('refused', { what: 'This stretch has no length.', safe, next: 'Choose where it begins and ends.' });
    if (until > now + aheadMost + 1) throw worded('refused', { what: 'Support can look ahead for 15 minutes at most.', safe, next: 'Choose an earlier end.' });
    if (served <= now || served > now + servedMost + 60) throw worded('refused', { what: 'Support can be let look for 7 days at most.', safe, next: 'Choose a shorter time.' });
    const decl = findCamera(head, unhex(ask.camera));
    const lines = (decl?.tracks ?? [])
      .filter((t) => (t.kind === 'video' || (t.kind === 'audio' && ask.sound)) && maySee(me.tracks, t.track))
      .map((t) => ({ track: t.track, from, until }));
    if (lines.length === 0) throw worded('not-found', { what: 'There is no picture of this camera that you may see.', safe, next: 'Choose another camera.' });
    return lines;
  }

  async #make(ask: SeeAsk, lines: readonly TrackRange[], staff: Staff): Promise<Kept> {
    const { member } = this.#rooms;
    const [mask, grant] = [new Mask(), random(16)];
    try {
      const { entries, hub, hubs } = await this.#entries(lines, mask);
      const capsule = await sealEntries(member.household, grant, staff.x, entries);
      const sealed = await mask.seal(member.household, grant, hub.x);
      const body: GrantBody = {
        type: 'grant', grant, to: kidOf(staff.x), kind: 'staff', key: staff.x, purpose: purposeOf(ask.ticket), terms: null, tracks: lines,
        until: Math.floor(ask.until / 1000), hubs, capsule: H(capsule), standing: false, release: hub.kid, mask: H(sealed),
      };
      return { at: Date.now(), ticket: ask.ticket, body, capsule, mask: sealed };
    } finally {
      mask.erase();
    }
  }

  /** Covered keys for the lines, and the one hub that recorded them: it gives the second key. */
  async #entries(lines: readonly TrackRange[], mask: Mask): Promise<{ entries: Plain[]; hub: { kid: Bytes; x: Bytes }; hubs: string[] }> {
    const { member, epochs, tell } = this.#rooms;
    const [first] = lines;
    const safe = 'Nothing was shown to anybody.';
    const nothing = worded('not-found', { what: 'There is nothing in this stretch that you could let see.', safe, next: 'Choose another stretch.' });
    if (first === undefined) throw nothing;
    const found: Plain[] = [];
    const [kids, keys] = [new Set<string>(), new Set<string>()];
    await epochs.refreshGrants();
    for await (const epoch of epochs.between(first.from - epochSeconds, Math.min(first.until, nowSeconds() + 1), tell)) {
      const some = maskedEntries(epoch, lines, mask);
      if (some.length === 0) continue;
      found.push(...some);
      kids.add(hex(epoch.note.hub));
      const hub = member.chain.at(epoch.note.chain.seq)?.hubs.get(hex(epoch.note.hub));
      if (hub !== undefined) keys.add(vkey(hub.ed));
    }
    const [kid, ...more] = kids;
    if (kid === undefined) throw nothing;
    if (more.length > 0) throw worded('refused', { what: 'Two hubs have recorded this stretch.', safe, next: 'Choose a stretch that one of them has recorded.' });
    if (found.length > maxEntries) throw worded('refused', { what: 'This stretch is in too many pieces.', safe, next: 'Choose a shorter one.' });
    const hub = member.chain.head.hubs.get(kid);
    if (hub === undefined) throw worded('refused', { what: 'The hub that recorded this is not in your home any more.', safe, next: 'Nobody could give the second key. Choose a stretch of another hub.' });
    return { entries: inOrder(found), hub, hubs: [...keys] };
  }

  /** Waits for the proof and hands over; once at a time for each grant. */
  #release(id: string, kept: Kept, news: (n: SeeNews) => void): Promise<void> {
    const running = this.#running.get(id) ?? this.#handOver(id, kept, news).finally(() => this.#running.delete(id));
    this.#running.set(id, running);
    return running;
  }

  async #handOver(id: string, kept: Kept, news: (n: SeeNews) => void): Promise<void> {
    const { member } = this.#rooms;
    const stands = member.chain.head.grants.get(id);
    if (stands === undefined) throw new Failure('internal', 'support: no statement');
    const proof = await this.#rooms.proven(stands.seq, {
      step: (step) => { news({ kind: 'step', step }); },
      away: (on) => { news({ kind: 'away', on }); },
    }, this.#closed.signal);
    // It may have been ended while the log was away.
    if (member.chain.head.grants.get(id)?.revoked !== false) return this.#underway.drop(id);
    await member.api.chain.putCapsule({ grant: stands.grant, capsule: kept.capsule, proof, mask: kept.mask });
    await this.#underway.drop(id);
    await this.#say(kept, stands);
    news({ kind: 'step', step: 'done' });
    this.#rooms.changed();
  }

  /** Tells whoever has the ticket what he may see, and how it is called. */
  async #say({ ticket, body }: Kept, g: Grant): Promise<void> {
    const { head } = this.#rooms.member.chain;
    const video = body.tracks.map((t) => trackOf(head, t.track)).find((t) => t?.decl.kind === 'video');
    if (video === undefined || video === null) return;
    const camera = this.#rooms.camera(hex(video.camera.camera));
    const [from, until] = [Math.min(...g.tracks.map((t) => t.from)), Math.max(...g.tracks.map((t) => t.until))].map((s) => new Date(s * 1000).toISOString().replace('.000', ''));
    const to = await this.#tickets.agentOf(ticket).catch(() => null);
    // Somebody else has it by now: it is not his.
    if (to === null || !equal(kidOf(to.x), g.to)) return;
    await this.#tickets.write(BigInt(ticket), `You may see ${camera}, ${from} – ${until}.`, { v: 1, grant: hex(g.grant), camera, video: hex(video.decl.track) }, to);
  }

  /** What access statements say, by grant in hex. */
  async #openings(): Promise<Map<string, Opened[]>> {
    const { member } = this.#rooms;
    const out = new Map<string, Opened[]>();
    for (const [seq, raw] of member.chain.notes.entries()) {
      if (!isAccess(raw)) continue;
      const { head, body } = parseStatement(parseNote(raw));
      const grant = body.type === 'access' ? member.chain.head.grants.get(hex(body.grant)) : undefined;
      if (body.type !== 'access' || grant === undefined) continue;
      const one = { seq, at: head.time * 1000, spans: await this.#spans(grant, body.entries) };
      out.set(hex(body.grant), [...(out.get(hex(body.grant)) ?? []), one]);
    }
    return out;
  }

  /** The times of entries, within the lines of their grant. */
  async #spans(g: Grant, entries: readonly Entry[]): Promise<TimeRange[]> {
    const spans: TimeRange[] = [];
    for (const e of entries) {
      const epoch = await this.#rooms.epochs.get(hex(e.epoch)).catch(() => null);
      if (epoch === null) continue;
      const width = 2 ** (depth - e.level);
      const [from, to] = [epoch.note.start + e.index * width, epoch.note.start + (e.index + 1) * width];
      for (const l of g.tracks) {
        if (equal(l.track, e.track) && l.from < to && from < l.until) spans.push({ from: Math.max(from, l.from) * 1000, to: Math.min(to, l.until) * 1000 });
      }
    }
    return joined(spans);
  }
}

const accessLine = 'latchkey/v1 access\n';
const isAccess = (raw: Bytes): boolean => fromUtf8(raw.subarray(0, accessLine.length)) === accessLine;

function bodyOf(raw: Bytes | undefined): { body: GrantBody; time: number } {
  const { head, body } = parseStatement(parseNote(raw ?? new Uint8Array()));
  if (body.type !== 'grant') throw refuse('support: a grant that is none');
  return { body, time: head.time };
}
