// @vitest-environment happy-dom
/** The desk's pages in their states, over a room in memory. */
import { flushSync, mount, tick, unmount } from 'svelte';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Player, PlayerState } from '../owner/types';
import DeskPage from './DeskPage.svelte';
import type { DeskEvent, Mine, OpenedView, Problem, Report, TicketView, Who } from './messages';
import { type DeskRoom, Told } from './room';
import { said } from './words';

const start = 1_790_000_000_000;
const grant = '9'.repeat(32);
const opened: OpenedView = { grant, from: start, until: start + 8000, shows: start + 1000, sound: false, log: { name: 'log.example/log', size: 40 }, hubs: 1, stray: 0 };
const still: PlayerState = { phase: 'playing', live: false, at: start, lagMs: null, mode: 'mse', codec: null, width: 0, height: 0, seal: 'verified', sealWords: '', skipped: 0, gap: null, error: null, notice: null };

class Room implements DeskRoom {
  able = true;
  me: Who | null = { id: 'tim', role: 'support', kid: 'ab', staff: true };
  view: TicketView = {
    row: { ticket: 7, topic: 'codec', state: 'open', agent: 'tim', opened: start, updated: start, messages: 1 }, letters: [{ by: '', mine: false, at: start, words: '<b>dark</b>' }], leftOut: 1,
    hubs: [], grants: [{ grant, camera: 'porch', from: start, until: start + 8000, served: start + 9000 }],
  };
  report: Report = { decisions: [], findings: [], suspended: [] };
  refuses: Problem | null = null;
  readonly asked: string[] = [];
  readonly heard = new Set<(e: DeskEvent) => void>();
  finish: (v: OpenedView) => void = () => undefined;

  on = (fn: (e: DeskEvent) => void): (() => void) => {
    this.heard.add(fn);
    return () => this.heard.delete(fn);
  };
  say(e: DeskEvent): void {
    for (const fn of this.heard) fn(e);
    flushSync();
  }
  #answer<T>(name: string, value: T): Promise<T> {
    this.asked.push(name);
    return this.refuses === null ? Promise.resolve(value) : Promise.reject(new Told(this.refuses));
  }
  who = (): Promise<Who | null> => Promise.resolve(this.me);
  join = (_fragment: string, id: string): Promise<Who> => this.#answer(`join ${id}`, { id, role: 'support', kid: 'ab', staff: false });
  forget = (): Promise<void> => this.#answer('forget', undefined);
  endShift = (): Promise<void> => this.#answer('end', undefined);
  tickets = (): Promise<TicketView['row'][]> => this.#answer('tickets', [this.view.row, { ...this.view.row, ticket: 8, agent: 'sam' }]);
  take = (n: number): Promise<void> => this.#answer(`take ${n}`, undefined);
  ticket = (n: number): Promise<TicketView> => this.#answer(`ticket ${n}`, this.view);
  reply = (n: number, words: string, ask: boolean): Promise<void> => this.#answer(`reply ${n} ${words}${ask ? ' (asks)' : ''}`, undefined);
  open = (n: number, _grant: string, from: number, until: number): Promise<OpenedView> => {
    this.asked.push(`open ${n} ${from - start} ${until - start}`);
    return new Promise((done, failed) => {
      this.finish = done;
      if (this.refuses !== null) failed(new Told(this.refuses));
    });
  };
  close = (): Promise<void> => this.#answer('close', undefined);
  explain = () => this.#answer('explain', { allowed: false, rules: [{ name: 'granted', words: 'Footage is only what was granted.' }], version: 'f'.repeat(64) });
  mine = (): Promise<Mine> => this.#answer('mine', { decisions: [{ at: start, staff: 'tim', role: 'support', action: 'watch', ticket: 7, allowed: false, rules: 'granted old-rule' }], rules: [{ name: 'granted', words: 'Only what was granted.' }], version: 'e'.repeat(64) });
  audit = (): Promise<Report> => this.#answer('audit', this.report);
  player(): Player {
    const note = (what: string) => (): void => void this.asked.push(what);
    return {
      state: still, metrics: { joinMs: null, frames: 0, dropped: 0, shown: null }, on: () => () => undefined, seek: note('seek'), setSound: note('sound'),
      pause: note('pause'), play: note('play'), destroy: note('destroy'), live: note('live'), setRate: note('rate'), step: note('step'), stop: note('stop'),
    } as unknown as Player;
  }
}

let page: ReturnType<typeof mount> | null = null;

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await tick();
  flushSync();
}
async function show(room: Room, hash = '', fragment = ''): Promise<Room> {
  history.replaceState(null, '', `/desk${hash}`);
  page = mount(DeskPage, { target: document.body, props: { room, fragment } });
  await settle();
  return room;
}
const words = (): string => document.body.textContent ?? '';
const at = (testid: string): Element | null => document.querySelector(`[data-testid=${testid}]`);
async function press(name: string): Promise<void> {
  const found = [...document.querySelectorAll('button')].find((b) => (b.getAttribute('aria-label') ?? b.textContent ?? '').trim() === name);
  if (found === undefined) throw new Error(`no button ${name}`);
  found.click();
  await settle();
}
function type(label: string, value: string): void {
  const id = [...document.querySelectorAll('label')].find((l) => l.textContent?.trim() === label)?.htmlFor ?? '';
  const field = document.getElementById(id) as HTMLInputElement;
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

beforeEach(() => { window.HTMLMediaElement.prototype.load = () => undefined; });
afterEach(() => {
  if (page !== null) void unmount(page);
  page = null;
  document.body.innerHTML = '';
});

describe('who comes', () => {
  it('is told that nobody lives here, without an invitation', async () => {
    const room = new Room();
    room.me = null;
    await show(room);
    expect(words()).toContain('Nobody of staff lives in this browser.');
  });

  it('reads the training, then makes keys, then waits', async () => {
    const room = new Room();
    room.me = null;
    await show(room, '', '#LKI1.x.support');
    type('Your name at the desk', 'tim');
    await press('Make my keys and apply');
    expect(room.asked).toEqual([]);
    document.querySelector<HTMLInputElement>('input[type=checkbox]')?.click();
    flushSync();
    await press('Make my keys and apply');
    expect(room.asked).toEqual(['join tim']);
    expect(at('waiting')).not.toBeNull();
  });

  it('can let go of keys that nobody signed for, after a warning', async () => {
    const room = new Room();
    room.me = { id: 'tom', role: 'support', kid: 'ab', staff: false };
    await show(room);
    await press('Forget my keys');
    expect(room.asked).toEqual([]);
    await press('Forget them');
    expect(room.asked).toEqual(['forget']);
    expect(words()).toContain('Nobody of staff lives in this browser.');
  });

  it('is told that the browser is too old', async () => {
    const room = new Room();
    room.able = false;
    await show(room);
    expect(words()).toContain('This browser cannot be a desk.');
  });

  it('has the places of his role', async () => {
    const room = new Room();
    room.me = { id: 'olga', role: 'auditor', kid: 'cd', staff: true };
    await show(room);
    expect([...document.querySelectorAll('nav a')].map((a) => a.textContent)).toEqual(['Could X do Y?', 'What I asked', 'What staff asked']);
    expect(room.asked).toEqual(['audit']);
  });
});

describe('a ticket', () => {
  it('shows words as text, and says what it left out', async () => {
    await show(new Room(), '#/ticket/7');
    expect(words()).toContain('<b>dark</b>');
    expect(words()).toContain('1 letter was left out');
    expect(words()).toContain('No hub has reported');
  });

  it('is taken, and opened', async () => {
    const room = await show(new Room(), '#/');
    await press('Take ticket 8');
    expect(room.asked).toEqual(['tickets', 'take 8']);
    expect(location.hash).toBe('#/ticket/8');
  });

  it('says the rule that refuses', async () => {
    const room = new Room();
    room.refuses = { kind: 'refused', words: 'Nothing of a household is shown without a ticket.' };
    await show(room, '#/ticket/7');
    expect(at('problem')?.textContent).toBe('A rule says no: Nothing of a household is shown without a ticket.');
  });

  it('shows a picture only after all steps, with the mark', async () => {
    const room = await show(new Room(), '#/ticket/7');
    await press('Open these seconds');
    expect(room.asked).toContain('open 7 0 8000');
    room.say({ kind: 'step', step: 'written' });
    expect(document.querySelector('[aria-current=step]')?.textContent).toContain('The public log proves it');
    expect(document.querySelector('video')).toBeNull();
    room.finish(opened);
    await settle();
    expect(document.querySelector('video')).not.toBeNull();
    expect(at('mark')?.textContent).toMatch(/^tim · ticket 7 · /);
    expect(document.querySelectorAll('a[download]')).toHaveLength(0);
  });

  it('puts the picture away when it ends, also while it is being opened', async () => {
    const room = await show(new Room(), '#/ticket/7');
    await press('Open these seconds');
    room.finish(opened);
    await settle();
    room.say({ kind: 'ended', why: 'over' });
    expect([document.querySelector('video'), room.asked.includes('destroy')]).toEqual([null, true]);
    expect(words()).toContain('It is over.');
  });

  it('never shows what ended before it was there', async () => {
    const room = await show(new Room(), '#/ticket/7');
    await press('Open these seconds');
    room.say({ kind: 'ended', why: 'line' });
    room.finish(opened);
    await settle();
    expect(document.querySelector('video')).toBeNull();
    expect(words()).toContain('The line to the server broke');
  });

  it('lets go of the keys when the reader goes elsewhere', async () => {
    const room = await show(new Room(), '#/ticket/7');
    await press('Open these seconds');
    room.finish(opened);
    await settle();
    location.hash = '#/explain';
    window.dispatchEvent(new HashChangeEvent('hashchange'));
    await settle();
    expect(room.asked.slice(-2).sort()).toEqual(['close', 'destroy']);
  });
});

it('answers “could X do Y?” with the rule and its version', async () => {
  await show(new Room(), '#/explain');
  await press('Ask');
  expect(at('answer')?.textContent).toMatch(/No.*granted.*Footage is only what was granted.*f{64}/);
});

it('explains what one asked oneself, also by a rule that is gone', async () => {
  await show(new Room(), '#/mine');
  expect(at('mine')?.textContent).toMatch(/watch footage.*7.*refused.*granted old-rule/);
  expect(words()).toMatch(/Only what was granted\..*A rule of an earlier version\..*e{64}/);
});

it('shows an auditor what stands out, and the same figures as a table', async () => {
  const room = new Room();
  room.me = { id: 'olga', role: 'auditor', kid: 'cd', staff: true };
  const d = { at: Date.now(), staff: 'eve', role: 'support', action: 'watch', ticket: 3, allowed: false, rules: 'granted' };
  room.report = { decisions: [d, { ...d, allowed: true }], findings: [{ staff: 'eve', kind: 'no-ticket', count: 11, limit: 10 }], suspended: ['eve'] };
  await show(room);
  expect(words()).toContain('asked without a ticket of their own: 11, at most 10');
  expect(words()).toContain('Suspended: eve');
  expect([...document.querySelectorAll('tr')].map((r) => r.textContent?.replaceAll(/\s+/g, ' ').trim())).toContain('eve, support11');
});

it.each(['link', 'name', 'taken', 'staff', 'refused', 'gone', 'away', 'check', 'clock', 'server', 'empty', 'internal'] as const)('has words and a next step for %s', (kind) => {
  const { what, next } = said({ kind, words: '' });
  expect([what.length > 10, next.length > 10]).toEqual([true, true]);
});
