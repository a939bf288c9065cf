/** The operator's help in a home in memory: it keeps the contract of {@link HomeHelp}. Never part of the built app. */
import type { AppError, Camera, HomeChange, Result } from '../types';
import type { HelpLetter, HomeHelp, LetSee, NewTicket, SeeAsk, SeeNews, SeeStep, Ticket, TicketView } from './types';

const MINUTE = 60_000;
const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const gone: AppError = { kind: 'not-found', what: 'There is no such ticket.', safe: 'Nothing was changed.', next: '' };

export class FakeHelp implements HomeHelp {
  readonly calls: string[] = [];
  list: TicketView[] = [];
  /** what was shown: messages and ticket in one number */
  readonly read = new Set<number>();
  /** who answers */
  agent = 'sam';
  /** the public log does not answer: what is let see waits for this */
  back: Promise<void> = Promise.resolve();
  readonly #tell: (what: HomeChange) => void;
  readonly #cameras: () => readonly Camera[];

  constructor(tell: (what: HomeChange) => void, cameras: () => readonly Camera[]) {
    [this.#tell, this.#cameras] = [tell, cameras];
  }

  /** A ticket in which support asks for footage; `seen`: it was let see some, and has opened a part. */
  begin(seen = false): TicketView {
    const t = this.#add({ topic: 'codec', words: 'The porch is grey every evening.', health: true });
    this.says(t.n, 'Please show me one minute of Porch from yesterday evening: I want to see whether the infrared light comes on.', true);
    if (seen) {
      const now = Math.floor(Date.now() / 1000) * 1000;
      const one = this.#seen(t.n, { camera: 'Porch', from: now - 30 * MINUTE, to: now - 20 * MINUTE, sound: false, until: now + 90 * MINUTE });
      this.opens(one.id, one.from, one.from + 3 * MINUTE);
    }
    return this.#get(t.n);
  }

  /** The server names somebody else, whom nothing proves. */
  lies(n: number): void {
    this.#put({ ...this.#get(n), proven: 'no' });
  }

  /** Somebody else of support takes it over. */
  taken(n: number, agent: string): void {
    this.agent = agent;
    this.#put({ ...this.#get(n), agent, behind: true, health: false });
  }

  says(n: number, words: string, asks = false): void {
    this.#write(n, { by: this.agent, staff: true, mine: false, at: Date.now(), words, asks });
  }

  /** Support opens some of what it was let see. */
  opens(id: string, from: number, to: number): void {
    this.#change(id, (s) => ({ ...s, opened: [...s.opened, { seq: 20 + s.opened.length, at: Date.now(), spans: [{ from, to }] }] }));
  }

  tickets(): Promise<Result<Ticket[]>> {
    return Promise.resolve(ok([...this.list]));
  }

  open(a: NewTicket): Promise<Result<TicketView>> {
    if (a.words.trim() === '') throw new Error('fake help: a ticket that says nothing');
    this.calls.push('open');
    return Promise.resolve(ok(this.#add(a)));
  }

  ticket(n: number): Promise<Result<TicketView>> {
    const t = this.list.find((x) => x.n === n);
    if (t !== undefined) this.read.add(t.letters.length * 100 + n);
    return Promise.resolve(t === undefined ? { ok: false, error: gone } : ok(t));
  }

  reply({ ticket, words }: { ticket: number; words: string }): Promise<Result<void>> {
    this.calls.push('reply');
    if (!this.#get(ticket).open) throw new Error('fake help: a word into a closed ticket');
    this.#write(ticket, { by: 'Ann', staff: false, mine: true, at: Date.now(), words, asks: false });
    return Promise.resolve(ok(undefined));
  }

  health({ ticket, agent, on }: { ticket: number; agent: string; on: boolean }): Promise<Result<void>> {
    if (agent !== this.#get(ticket).agent) throw new Error('fake help: health for somebody else');
    this.calls.push(`health ${on}`);
    this.#put({ ...this.#get(ticket), health: on });
    return Promise.resolve(ok(undefined));
  }

  passOn({ ticket }: { ticket: number; agent: string }): Promise<Result<void>> {
    this.calls.push('passOn');
    this.#put({ ...this.#get(ticket), behind: false });
    return Promise.resolve(ok(undefined));
  }

  close(n: number): Promise<Result<void>> {
    this.calls.push('close');
    const t = this.#get(n);
    this.#put({ ...t, open: false, health: false, see: t.see.map((s) => (s.state === 'runs' ? { ...s, state: 'ended' } : s)) });
    return Promise.resolve(ok(undefined));
  }

  async see(ask: SeeAsk, news: (n: SeeNews) => void): Promise<Result<LetSee>> {
    if (ask.from % 1000 !== 0 || ask.to % 1000 !== 0 || ask.from >= ask.to) throw new Error('fake help: not whole seconds, or none');
    if (ask.agent !== this.#get(ask.ticket).agent) throw new Error('fake help: footage for somebody else');
    if (ask.to > Date.now() + 15 * MINUTE + 1000) throw new Error('fake help: too far ahead');
    const steps: readonly SeeStep[] = ['written', 'logged', 'witnessed', 'done'];
    for (const step of steps) {
      if (step === 'logged') await this.back;
      news({ kind: 'step', step });
    }
    return ok(this.#seen(ask.ticket, { ...ask, camera: this.#cameras().find((c) => c.id === ask.camera)?.name ?? '' }));
  }

  stop(id: string): Promise<Result<void>> {
    this.calls.push(`stop ${id}`);
    this.#change(id, (s) => ({ ...s, state: 'ended' }));
    return Promise.resolve(ok(undefined));
  }

  news(): Promise<Result<Ticket[]>> {
    return Promise.resolve(ok(this.list.filter((t) => t.open && t.letters.at(-1)?.staff === true && !this.read.has(t.letters.length * 100 + t.n))));
  }

  now(): Promise<Result<LetSee[]>> {
    return Promise.resolve(ok(this.list.flatMap((t) => t.see).filter((s) => s.state === 'runs' && s.until > Date.now())));
  }

  #seen(n: number, { camera, from, to, sound, until }: Pick<LetSee, 'camera' | 'from' | 'to' | 'sound' | 'until'>): LetSee {
    const t = this.#get(n);
    const one: LetSee = {
      id: String(t.see.length + 1).padStart(32, '0'), ticket: n, agent: this.agent, camera, from, to, sound, until, given: Date.now(), live: to > Date.now(), state: 'runs', waiting: false, mayStop: true, opened: [],
    };
    this.#put({ ...t, see: [one, ...t.see] });
    this.#write(n, { by: 'Ann', staff: false, mine: true, at: Date.now(), words: `You may see ${camera}.`, asks: false });
    return one;
  }

  #add(a: NewTicket): TicketView {
    const now = Date.now();
    const first: HelpLetter = { by: 'Ann', staff: false, mine: true, at: now, words: a.words, asks: false };
    const t: TicketView = {
      n: 7 + this.list.length, topic: a.topic, open: true, agent: this.agent, opened: now, updated: now, messages: 1, proven: 'yes', letters: [first], left: 0, health: a.health, behind: false, see: [],
    };
    this.#put(t);
    return t;
  }

  #get(n: number): TicketView {
    const t = this.list.find((x) => x.n === n);
    if (t === undefined) throw new Error(`fake help: no ticket ${n}`);
    return t;
  }

  #put(t: TicketView): void {
    this.list = this.list.some((x) => x.n === t.n) ? this.list.map((x) => (x.n === t.n ? t : x)) : [t, ...this.list];
    this.#tell('help');
  }

  #write(n: number, letter: HelpLetter): void {
    const t = this.#get(n);
    this.#put({ ...t, letters: [...t.letters, letter], messages: t.messages + 1, updated: letter.at });
  }

  #change(id: string, fn: (s: LetSee) => LetSee): void {
    for (const t of this.list) {
      if (t.see.some((s) => s.id === id)) this.#put({ ...t, see: t.see.map((s) => (s.id === id ? fn(s) : s)) });
    }
  }
}
