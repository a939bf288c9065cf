/**
 * Tickets with the operator's support: words are letters to the members and to
 * whoever has the ticket, once the public log has proven that he is of support.
 */
import { type HelpLetter, type LetSee, type NewTicket, type Ticket, type TicketView, TOPICS } from '../owner/help/types';
import type { GetTicketResponse, StaffEntry, Ticket as Listed } from '../api/latchkey/v1/desk_pb';
import type { Staff } from '../ledger/staff';
import { settled } from './addlate';
import { AgentWaits, agentTrouble, NobodyThere, provenAgent } from './agent';
import { type Bytes, b64, equal, fromUtf8, hex, own } from './bytes';
import type { Chain } from './chain';
import { random } from './cipher';
import type { Op } from './command';
import { Failure, isKind, refuse } from './failure';
import { H, kidOf } from './hash';
import { openLetter, sealLetter } from './letter';
import type { Member } from './member';
import { type Note, parseNote, signNote, verifyNote } from './note';
import { type Message, messageText, parseMessage } from './opening';
import { nowSeconds } from './signin';
import { parseStatement } from './statement';
import { worded } from './words';

/** How long hubs report for a ticket unless it is closed before; they take a week at most. */
const healthSeconds = 7 * 86_400 - 3600;

/** What a message says to programs. */
export interface About {
  readonly v: 1;
  /** hex */
  readonly grant?: string;
  /** name of the camera */
  readonly camera?: string;
  /** hex, of its picture's track */
  readonly video?: string;
  /** support asks for footage */
  readonly ask?: 'footage';
  /** hubs report, or no more, to the staff of this id */
  readonly health?: { readonly on: boolean; readonly to: string };
  /** what was written before was passed on to the staff of this id */
  readonly passed?: { readonly to: string };
}

export interface TicketRooms {
  readonly member: Member;
  /** the policy of the public log that is pinned here; null before it was reached first */
  policy(): Promise<string | null>;
  person(kid: string): string;
  command(hub: Bytes, op: Op, args: unknown): Promise<void>;
  tell(err: unknown): void;
}

/** More letters than one ticket can have. */
const maxOpened = 1000;

export class Tickets {
  readonly #rooms: TicketRooms;
  /** notes of letters by H (hex) of the letter: a page looks every few seconds */
  readonly #opened = new Map<string, Note>();

  constructor(rooms: TicketRooms) {
    this.#rooms = rooms;
  }

  async list(): Promise<Ticket[]> {
    const { tickets } = await this.#rooms.member.api.ticket.listTickets({});
    return tickets.map(ticketOf);
  }

  /** Those in which more was written than this browser has shown, by the server's count; none from before it showed any. */
  async news(): Promise<Ticket[]> {
    const read = (await this.#rooms.member.place.store.load())?.ticketsRead ?? {};
    if (Object.keys(read).length === 0) return [];
    return (await this.list()).filter((t) => t.open && t.messages > (read[t.n] ?? 0));
  }

  /** The server names who has it. Nothing is written unless that is somebody of support. */
  async open(a: NewTicket): Promise<number> {
    const { member } = this.#rooms;
    await member.sync();
    const { ticket, agent } = await member.api.ticket.openTicket({ topic: a.topic }).catch(nobodyThere);
    try {
      const to = await this.#proven(agent);
      await this.write(ticket, a.words, a.health ? { v: 1, health: { on: true, to: to.id } } : null, to);
      if (a.health) await this.#report(ticket, to);
    } catch (err) {
      // A ticket with nobody who may read it helps nobody.
      if (isKind(err, 'verify')) await member.api.ticket.closeTicket({ ticket }).catch(() => undefined);
      throw agentTrouble(err);
    }
    return Number(ticket);
  }

  async read(n: number): Promise<Omit<TicketView, 'see'>> {
    const { member } = this.#rooms;
    await member.sync();
    const reply = await this.#get(n);
    const { agent, proven } = await this.#who(reply.agent);
    let known: Promise<Staff[]> | null = null;
    const others = (): Promise<Staff[]> => (known ??= this.#staff());
    const letters: HelpLetter[] = [];
    const seen = new Set<string>();
    let health = false;
    let passed = false;
    let left = 0;
    for (const sealed of reply.letters) {
      try {
        const { id, letter, about } = await this.#open(n, own(sealed), agent, others);
        if (seen.has(id)) throw refuse('ticket: a message that came before');
        seen.add(id);
        letters.push(letter);
        if (!letter.staff && about?.health !== undefined) health = about.health.on && about.health.to === agent?.id;
        if (!letter.staff && about?.passed !== undefined) passed ||= about.passed.to === agent?.id;
      } catch (err) {
        if (!isKind(err, 'verify')) throw err;
        left++;
      }
    }
    const ticket = ticketOf(reply.ticket);
    await member.keep((a) => (a.ticketsRead?.[n] === ticket.messages ? a : { ...a, ticketsRead: { ...a.ticketsRead, [n]: ticket.messages } }));
    const took = agent === null ? null : tookAt(member.chain, n, kidOf(agent.x));
    const behind = took !== null && !passed && letters.some((l) => l.at < took);
    return { ...ticket, agent: agent?.id ?? '', proven, letters, left, health, behind };
  }

  async reply(n: number, words: string): Promise<void> {
    await this.#rooms.member.sync();
    // Without anybody who has it, the others of the household read it all the same.
    const to = await this.agentOf(n).catch((err: unknown) => {
      if (err instanceof NobodyThere) return null;
      throw agentTrouble(err);
    });
    await this.write(BigInt(n), words, null, to);
  }

  /** Seals what was written, as it was signed, to whoever has the ticket now: nobody else can. */
  async passOn(n: number, agent: string): Promise<void> {
    const { member } = this.#rooms;
    await member.sync();
    const to = await this.wanted(n, agent);
    const reply = await this.#get(n);
    for (const sealed of reply.letters) {
      const note = await this.#note(own(sealed)).catch(() => null);
      // What does not verify here was not read here: it is not passed on either.
      if (note === null || !(await this.#open(n, own(sealed), to, () => this.#staff()).then(() => true, () => false))) continue;
      const letter = { kid: kidOf(to.x), body: await sealLetter(member.household, to.x, note.raw) };
      await member.api.ticket.putMessage({ ticket: BigInt(n), letters: [letter] });
    }
    await this.write(BigInt(n), 'You can read what was written before.', { v: 1, passed: { to: to.id } }, to);
  }

  /** Tells every hub, and says so in the conversation. */
  async health(n: number, agent: string, on: boolean): Promise<void> {
    await this.#rooms.member.sync();
    // Whoever has it by now: reports end.
    if (!on) await this.#tellHubs('health-end', { ticket: n });
    const to = on ? await this.wanted(n, agent) : await this.agentOf(n).catch((err: unknown) => {
      if (err instanceof NobodyThere) return null;
      throw agentTrouble(err);
    });
    if (to === null) return;
    if (on) await this.#report(BigInt(n), to);
    await this.write(BigInt(n), on ? 'My hubs report to you how they are, until this ticket is closed.' : 'My hubs do not report to you any more.', { v: 1, health: { on, to: to.id } }, to);
  }

  async close(n: number): Promise<void> {
    const { member } = this.#rooms;
    const told = await this.#tellHubs('health-end', { ticket: n }).then(() => null, (err: unknown) => err);
    await member.api.ticket.closeTicket({ ticket: BigInt(n) });
    if (told !== null) throw told;
  }

  /** Who has the ticket, proven to be of support. Throws what provenAgent does. */
  async agentOf(n: number): Promise<Staff> {
    const { agent } = await this.#get(n);
    return this.#proven(agent);
  }

  /** The same, of this id: who has a ticket may have changed since somebody read who it is. Throws in words. */
  async wanted(n: number, id: string): Promise<Staff> {
    const staff = await this.agentOf(n).catch((err: unknown) => { throw agentTrouble(err); });
    if (staff.id === id) return staff;
    throw worded('refused', { what: `This ticket is not with ${id} any more, but with ${staff.id}.`, safe: 'Nothing was sent, and nothing was shown.', next: 'Look again, and decide anew.' });
  }

  /** Names of staff by the kid (hex) of their sealing key, as far as the log proves them. */
  async names(): Promise<Map<string, string>> {
    return new Map((await this.#staff()).map((s) => [hex(kidOf(s.x)), s.id]));
  }

  /** All of support whom the log proves now. */
  async #staff(): Promise<Staff[]> {
    const { staff } = await this.#rooms.member.api.staff.listStaff({});
    return (await Promise.all(staff.map((one) => this.#proven(one).catch(() => null)))).filter((s) => s !== null);
  }

  /** A message to all members whose keys the log has proven and, if there is one, to the agent. */
  async write(ticket: bigint, words: string, about: About | null, agent: Staff | null): Promise<void> {
    const { member } = this.#rooms;
    const { household } = member;
    const m: Message = {
      household, ticket: Number(ticket), by: member.keys.kid, time: nowSeconds(), nonce: random(16), words,
      about: about === null ? null : JSON.stringify(about),
    };
    const note = await signNote(messageText(m), member.keys.signer);
    // What others would refuse is not sent.
    parseMessage(parseNote(note));
    const readers = [...settled(member.chain, member.cover, member.keys.kid).map((x) => x.x), ...(agent === null ? [] : [agent.x])];
    const letters = await Promise.all(readers.map(async (x) => ({ kid: kidOf(x), body: await sealLetter(household, x, note) })));
    await member.api.ticket.putMessage({ ticket, letters });
  }

  #get(n: number): Promise<GetTicketResponse> {
    return this.#rooms.member.api.ticket.getTicket({ ticket: BigInt(n) });
  }

  async #proven(entry: StaffEntry | undefined): Promise<Staff> {
    return provenAgent(entry, await this.#rooms.policy(), nowSeconds());
  }

  async #who(entry: StaffEntry | undefined): Promise<{ agent: Staff | null; proven: TicketView['proven'] }> {
    try {
      return { agent: await this.#proven(entry), proven: 'yes' };
    } catch (err) {
      if (err instanceof NobodyThere) return { agent: null, proven: 'nobody' };
      if (err instanceof AgentWaits) return { agent: null, proven: 'waits' };
      if (!isKind(err, 'verify')) throw err;
      this.#rooms.tell(err);
      return { agent: null, proven: 'no' };
    }
  }

  async #open(n: number, sealed: Bytes, agent: Staff | null, others: () => Promise<Staff[]>): Promise<{ id: string; letter: HelpLetter; about: About | null }> {
    const { member, person } = this.#rooms;
    const note = await this.#note(sealed);
    const m = parseMessage(note);
    if (!equal(m.household, member.household) || m.ticket !== n) throw refuse('ticket: a message of another one');
    const about = aboutOf(m.about);
    const by = member.chain.head.members.get(hex(m.by));
    const staff = by === undefined ? await this.#writer(m.by, agent, others) : null;
    await verifyNote(note, by?.ed ?? staff?.ed ?? new Uint8Array(32));
    const letter = {
      by: staff?.id ?? person(hex(m.by)), staff: staff !== null, mine: equal(m.by, member.keys.kid), at: m.time * 1000, words: m.words,
      asks: staff !== null && staff === agent && about?.ask === 'footage',
    };
    return { id: hex(note.hash), letter, about };
  }

  async #note(sealed: Bytes): Promise<Note> {
    const { household, keys } = this.#rooms.member;
    const id = hex(H(sealed));
    const note = this.#opened.get(id) ?? parseNote(await openLetter(household, keys.sealing, sealed));
    if (this.#opened.size > maxOpened) this.#opened.clear();
    this.#opened.set(id, note);
    return note;
  }

  /** Whoever has the ticket, or somebody of support who had it before. */
  async #writer(kid: Bytes, agent: Staff | null, others: () => Promise<Staff[]>): Promise<Staff> {
    const all = agent !== null && equal(kidOf(agent.ed), kid) ? [agent] : await others();
    const writer = all.find((s) => equal(kidOf(s.ed), kid));
    if (writer === undefined) throw refuse('ticket: written by nobody of support');
    return writer;
  }

  #report(ticket: bigint, to: Staff): Promise<void> {
    return this.#tellHubs('health', { ticket: Number(ticket), to: b64(to.x), until: nowSeconds() + healthSeconds });
  }

  /** One that is away does not hold up the others, and is no error: what is asked for is about now. */
  async #tellHubs(op: Op, args: unknown): Promise<void> {
    const { chain, cover } = this.#rooms.member;
    for (const hub of chain.head.hubs.values()) {
      if (hub.seq > cover.upTo) continue;
      await this.#rooms.command(hub.kid, op, args).catch((err: unknown) => { if (!isKind(err, 'hub-offline')) throw err; });
    }
  }
}

/** Of a list in which a server may have put anything. */
function ticketOf(t: Listed | undefined): Ticket {
  if (t === undefined) throw new Failure('not-found', 'ticket: none');
  return {
    n: Number(t.ticket), topic: TOPICS.find((x) => x === t.topic) ?? 'other', open: t.state === 'open', agent: t.agent,
    opened: Number(t.openedMs), updated: Number(t.updatedMs), messages: t.messages,
  };
}

function aboutOf(json: string | null): About | null {
  if (json === null) return null;
  try {
    const v: unknown = JSON.parse(json);
    return typeof v === 'object' && v !== null && 'v' in v && v.v === 1 ? (v as About) : null;
  } catch {
    // It says something to programs of another time.
    return null;
  }
}

function nobodyThere(err: unknown): never {
  if (!(err instanceof Failure) || err.message !== 'api: Unavailable') throw err;
  throw worded('network', { what: 'Nobody of support is there now.', safe: 'Nothing was sent. Your hub keeps recording.', next: 'Try again later. A server without a support desk never has anybody there.' }, err);
}

const noticeLine = 'latchkey/v1 notice\n';

/** When somebody of staff took a ticket over, as the chain says; null: it was given to him first. */
function tookAt(chain: Chain, n: number, staff: Bytes): number | null {
  const raws = chain.notes.filter((raw) => fromUtf8(raw.subarray(0, noticeLine.length)) === noticeLine);
  const taken = raws.map((raw) => parseStatement(parseNote(raw))).filter(({ body }) => body.type === 'notice' && body.action === 'ticket-taken' && body.object === String(n) && equal(body.staff, staff));
  const last = taken.at(-1);
  return last === undefined ? null : last.head.time * 1000;
}

/** The purpose of grants for a ticket. */
export const purposeOf = (n: number): string => `support:${n}`;

/** The ticket that a grant of this purpose is for; null: for none. */
export function ticketOfPurpose(purpose: string): number | null {
  const n = /^support:([1-9][0-9]{0,14})$/.exec(purpose)?.[1];
  return n === undefined ? null : Number(n);
}

/** What runs of these. */
export const running = (list: readonly LetSee[]): LetSee[] => list.filter((s) => s.state === 'runs');
