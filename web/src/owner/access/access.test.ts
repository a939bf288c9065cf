// @vitest-environment happy-dom
/** The access page, the line on Home, and what every page says while the log is broken. */
import { flushSync } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeHome } from '../fake';
import { button, close, expectNamed, follow, has, open, press, said, show, words } from '../fake-page';
import { ma } from '../messages-access';
import type { BreachKind } from './types';

afterEach(close);

const rows = (): string[] => [...document.querySelectorAll('[data-testid=access-rows] > li')].map((li) => li.textContent?.replace(/\s+/g, ' ').trim() ?? '');
const state = (): HTMLElement => document.querySelector<HTMLElement>('[data-testid=log-state]')!;

function choose(label: string, text: string): void {
  const select = document.querySelector<HTMLSelectElement>(`select[aria-label="${label}"]`)!;
  select.value = [...select.options].find((o) => o.textContent === text)?.value ?? 'none';
  select.dispatchEvent(new Event('change', { bubbles: true }));
  flushSync();
}

/** What a story saves as files, by name. */
function saves(): string[] {
  const names: string[] = [];
  vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function click(this: HTMLAnchorElement) { names.push(this.download); });
  return names;
}

describe('the access page', () => {
  it('says how far it can be relied on, and everything newest first', async () => {
    open('home', '#/access');
    await said(/Complete and verified up to \d\d:\d\d/);
    await said('All 14 statements of this home stand in the public log');
    await said('2 witnesses and 1 auditor, who need not answer to the operator, watch this log.');
    await said('You founded the home.');
    expect(rows()).toHaveLength(13); // the seal is folded away
    expect(rows()[0]).toContain('Sam gave footage to whoever has a link.');
    expect(rows()[0]).toMatch(/Porch, .*Purpose: to look at\.\s*Served until/);
    expect(words()).toContain('You let in Mina as a viewer.');
    expect(words()).toContain('Sees Garden gate.');
    expect(words()).toContain('You changed what Sam may see and do.');
    expect(words()).toContain('Sees Porch with sound, Driveway.');
    expectNamed();
    press('Show 1 seal of your hubs');
    expect(rows().some((r) => r.includes('Cupboard vouched for what it recorded.'))).toBe(true);
  });

  it('shows who can see what now, and until when', async () => {
    open('home', '#/access');
    await said('Who can see what now');
    const now = document.querySelector('section[aria-labelledby=access-now]')?.textContent ?? '';
    expect(now).toMatch(/Ann \(you\) Admin\s*All cameras/);
    expect(now).toMatch(/Mina Viewer\s*Garden gate/);
    expect(now).toMatch(/Whoever has a link\s*Porch, .*until/);
    // What was ended is nowhere in it.
    expect(now.match(/Whoever has a link/g)).toHaveLength(1);
  });

  it('shows what the reader chooses', async () => {
    open('home', '#/access');
    await said('Everything that was decided');
    press('Shared');
    expect(rows().map((r) => /Sam (gave|ended)/.exec(r)?.[1])).toEqual(['gave', 'ended', 'gave']);
    press('Operator’s staff');
    await said('Nothing matches this choice.');
    press('All');
    choose('Person', 'Mina');
    expect(rows()).toHaveLength(1);
    choose('Person', 'Everybody');
    choose('Camera', 'Driveway');
    expect(rows().some((r) => r.includes('added the camera Driveway'))).toBe(true);
    expect(rows().some((r) => r.includes('added the camera Porch'))).toBe(false);
  });

  it('opens a row to its proof, and gives it as a file', async () => {
    const files = saves();
    const home = open('home', '#/access');
    await said('Everything that was decided');
    press('Proof of statement 8');
    await said('908, of log.example/log/2026');
    await said('anna.example');
    press('Download proof');
    expect(files.at(-1)).toBe('statement-8.tlog-proof');
    press('Download proof of completeness');
    await vi.waitFor(() => expect(files.at(-1)).toBe('completeness.txt'));
    expect(home.access.calls).toEqual(['proof 8', 'completeness']);
    vi.restoreAllMocks();
  });

  it('opens at the statement that a link names, also a folded one', async () => {
    open('home', '#/access/12');
    await said('Cupboard vouched for what it recorded.');
    await said('912, of log.example/log/2026');
  });

  it('has what is new waiting until it is proven', async () => {
    const home = open('home', '#/access');
    await said('Everything that was decided');
    home.access.add(home.access.party('Sam'), { type: 'member', person: home.access.party('Ben'), role: 'viewer', share: false, sees: [], before: null });
    await said('Sam let in Ben as a viewer.');
    expect(rows()[0]).toContain('Waiting for the public log: does not count yet');
    await said('1 newer statement waits for its proof');
    press('Proof of statement 14');
    await said('It is on its way into the public log');
    home.access.prove();
    await said('914, of log.example/log/2026');
    expect(rows()[0]).not.toContain('Waiting');
  });

  it('says how far it has come', async () => {
    open('log-checking', '#/access');
    await said('5 of 14 statements found in the log.');
    expect(document.querySelector('progress')?.getAttribute('max')).toBe('14');
  });

  it('says since when nothing is verified, and why', async () => {
    const home = open('log-stale', '#/access');
    await said(/Not verified since .+, \d\d:\d\d/);
    await said('The newest proof is older than a day.');
    home.access.change({ away: true, until: Date.now() - 60_000 });
    await said('The public log does not answer.');
    home.access.change({ until: null, watch: null });
    await said('This server answers no questions about a public log');
  });

  it.each(Object.keys(ma.breach) as BreachKind[])('is loud, with what to do: %s', async (kind) => {
    const home = new FakeHome('home');
    home.access.break(kind);
    show(home, '#/access');
    await said(ma.breach[kind].title);
    expect(state().dataset['state']).toBe('broken');
    expect(state().textContent).toContain(ma.breach[kind].next);
    expect(document.querySelector('[role=alert] h2')?.textContent).toBe(ma.breach[kind].title);
    expect(has('button', 'Take the new keys and watchers')).toBe(kind === 'policy');
    expectNamed();
  });

  it('takes another policy only after it said what that means', async () => {
    const home = open('log-policy', '#/access');
    await said('The server names other keys or watchers');
    press('Take the new keys and watchers');
    await said('Only go on when the operator has told you why');
    expect(home.access.calls).toEqual([]);
    button('Take the new keys and watchers').click();
    await said('Complete and verified up to');
    expect(home.access.calls).toEqual(['again, accepted']);
  });

  it.each([[0, 0, false, 'nobody but the operator'], [0, 1, false, 'no witness vouches'], [2, 0, true, 'no auditor recomputes']] as const)('says who does not watch: %i witnesses, %i auditors', async (witnesses, auditors, witnessed, text) => {
    const home = open('home', '#/access');
    await said('Complete and verified');
    home.access.change({ watch: { log: 'x/log/2026', size: 3, witnesses, witnessed, auditors } });
    await said(text);
  });
});

describe('every page', () => {
  it.each(['/', '#/people', '#/settings/hubs'])('is loud while the log is broken: %s', async (hash) => {
    open('log-broken', hash);
    await said('The public log does not fit what this server shows.');
    follow('See what is wrong, and what to do');
    await said('The server keeps something back');
  });

  it('says it on the line of Home as well', async () => {
    open('log-broken');
    await vi.waitFor(() => expect(document.querySelector('[data-testid=state-line]')?.textContent).toContain('The public log does not fit'));
  });

  it('tells an admin what others gave away, until it was read', async () => {
    const home = open('given');
    await said('Others of your home changed what is shared: 3 statements');
    await said('Sam gave footage to whoever has a link.');
    expectNamed();
    press('I have read this');
    await vi.waitFor(() => expect(words()).not.toContain('changed what is shared'));
    expect(home.access.calls).toEqual(['seen 13']);
  });

  it('and people say who waits for the log', async () => {
    const home = open('home', '#/people');
    await said('Garden gate');
    home.access.add(home.access.party('Ann', true), { type: 'member', person: home.access.party('Ben'), role: 'viewer', share: false, sees: [], before: null });
    await said('Ben waits for the public log');
    await said('until then nothing is handed over');
    home.access.prove();
    await vi.waitFor(() => expect(words()).not.toContain('waits for the public log'));
  });
});
