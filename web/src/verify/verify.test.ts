// @vitest-environment happy-dom
/** The page that checks evidence in each of its states, over a room in memory. */
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, describe, expect, it } from 'vitest';
import type { Report, Step } from '../evidence/report';
import { steps } from '../evidence/report';
import type { FromVerifyWorker } from './messages';
import type { VerifyRoom } from './room';
import VerifyPage from './VerifyPage.svelte';
import { failed, w } from './words';

const report: Report = {
  household: 'ab'.repeat(16), statements: 12, hubs: ['cd'.repeat(16)], from: 1_790_000_000, until: 1_790_000_063, sound: true, parts: 300, bytes: 1_000_000, pictures: 1575,
  gaps: [], log: 'log.example/log/1', ownPolicy: false, logged: [{ hub: 'cd'.repeat(16), entry: 41, witnessed: 1_789_000_000 }],
  after: { at: 1_789_999_000, entry: 70 }, before: { at: 1_790_050_000, entry: 90 }, problems: [], movie: null,
};

class Room implements VerifyRoom {
  constructor(readonly able = true) {}
  readonly asked: { readonly file: Blob; readonly policy: string }[] = [];
  say: (m: FromVerifyWorker) => void = () => undefined;
  on(fn: (m: FromVerifyWorker) => void): void { this.say = fn; }
  check(file: Blob, policy: string): void { this.asked.push({ file, policy }); }
}

let page: ReturnType<typeof mount> | null = null;
function show(room = new Room()): Room {
  page = mount(VerifyPage, { target: document.body, props: { room } });
  flushSync();
  return room;
}
function hear(room: Room, m: FromVerifyWorker): void {
  room.say(m);
  flushSync();
}
const words = (): string => (document.body.textContent ?? '').replaceAll(/\s+/g, ' ');

/** Chosen by its field, as a person does. */
function choose(testid: string, file: File): void {
  const input = document.querySelector<HTMLInputElement>(`[data-testid=${testid}]`);
  if (input === null) throw new Error(`no field ${testid}`);
  Object.defineProperty(input, 'files', { value: [file], configurable: true });
  input.dispatchEvent(new Event('change', { bubbles: true }));
  flushSync();
}

afterEach(async () => {
  if (page !== null) await unmount(page);
  page = null;
});

describe('the page that checks evidence', () => {
  it('says that nothing is sent, and how far it is', () => {
    const room = show();
    hear(room, { kind: 'ready' });
    expect(words()).toContain(w.here);
    choose('file', new File(['x'], 'porch.lkx'));
    expect(room.asked).toHaveLength(1);
    hear(room, { kind: 'progress', done: 0.4 });
    expect(words()).toContain('Checking porch.lkx');
    expect(document.querySelector('progress')?.value).toBe(0.4);
  });

  it('takes no second file while it checks one', () => {
    const room = show();
    choose('file', new File(['x'], 'porch.lkx'));
    window.dispatchEvent(new Event('drop', { cancelable: true }));
    expect(room.asked).toHaveLength(1);
  });

  it('hands on whose signatures count', async () => {
    const room = show();
    choose('policy', new File(['log …'], 'policy'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    flushSync();
    expect(words()).toContain('policy counts.');
    choose('file', new File(['x'], 'porch.lkx'));
    expect(room.asked[0]?.policy).toBe('log …');
  });

  it('says what is proven, between which times, and what is not', () => {
    hear(show(), { kind: 'report', report });
    expect(words()).toContain(w.holds);
    expect(words()).toMatch(/between .* and /);
    expect(words()).toContain('1575 pictures, with sound');
    expect(words()).toContain(w.scene);
    expect(words()).not.toContain(w.noAfter);
    expect(words()).not.toContain(w.ownPolicy);
  });

  it('says what no bound, no log and a policy of its own are worth', () => {
    hear(show(), { kind: 'report', report: { ...report, after: null, before: null, ownPolicy: true } });
    for (const said of [w.noAfter, w.noBefore, w.ownPolicy]) expect(words()).toContain(said);
  });

  it('names gaps with their reason', () => {
    hear(show(), { kind: 'report', report: { ...report, gaps: [{ from: report.from + 5, to: report.from + 9, why: 'deleted' }] } });
    expect(words()).toContain('deleted by an admin of the household');
  });

  it.each(steps.map((step): [Step] => [step]))('says in words when the step %s fails, and claims nothing then', (step) => {
    hear(show(), { kind: 'report', report: { ...report, problems: [{ step, detail: 'a detail' }] } });
    expect(words()).toContain(w.fails);
    expect(words()).toContain(failed[step]);
    expect(words()).not.toContain(w.holds);
    expect(document.querySelector('[data-testid=proven]')).toBeNull();
  });

  it('says what to do with what is no evidence, with a page that broke, and in an old browser', () => {
    const room = show();
    hear(room, { kind: 'none', detail: 'it breaks off' });
    expect(words()).toContain(w.invalidNext);
    hear(room, { kind: 'broken' });
    expect(words()).toContain(w.brokenNext);
    choose('file', new File(['x'], 'again.lkx'));
    expect(room.asked).toHaveLength(1);
  });

  it('has no field in a browser that cannot', () => {
    show(new Room(false));
    expect(words()).toContain(w.oldNext);
    expect(document.querySelector('[data-testid=file]')).toBeNull();
  });
});
