/** The app over the home in memory, in a DOM without a screen: what tests of the pages press and read. Never part of the built app. */
import { flushSync, mount, unmount } from 'svelte';
import { expect, vi } from 'vitest';
import App from './App.svelte';
import { FakeHome, type Scenario } from './fake';

let app: ReturnType<typeof mount> | undefined;

/** Opens it; things happen at once unless a pace is given. */
export function open(scenario: Scenario, hash = '/', pace = 0.02): FakeHome {
  const home = new FakeHome(scenario);
  home.pace = pace;
  show(home, hash);
  return home;
}

export function show(home: FakeHome, hash = '/'): void {
  history.replaceState(null, '', hash === '/' ? '/' : `/${hash}`);
  document.body.innerHTML = '<div id="app"></div>';
  const target = document.getElementById('app');
  if (target === null) throw new Error('no #app');
  app = mount(App, { target, props: { home } });
}

export function close(): void {
  if (app !== undefined) void unmount(app);
  app = undefined;
}

export const words = (): string => document.body.textContent ?? '';

/** Waits until it is said; lazy pages and answers come later. */
export const said = (text: string | RegExp): Promise<void> =>
  vi.waitFor(() => {
    flushSync();
    expect(words()).toMatch(text);
  }, 8000);

/** How wide the screen is: pages change their form by it. */
export function widen(width: number): void {
  (window as unknown as { happyDOM: { setViewport(size: { width: number }): void } }).happyDOM.setViewport({ width });
}

/** A control of a kind by the name a screen reader gives it; the newest one when a dialog repeats it. */
function named(selector: string, name: string): HTMLElement {
  const found = [...document.querySelectorAll<HTMLElement>(selector)].filter((e) => (e.getAttribute('aria-label') ?? e.textContent ?? '').trim().startsWith(name)).at(-1);
  if (found === undefined) throw new Error(`no ${selector} "${name}" in: ${words().slice(0, 600)}`);
  return found;
}

export const button = (name: string): HTMLButtonElement => named('button', name) as HTMLButtonElement;
export const has = (selector: string, name: string): boolean => [...document.querySelectorAll(selector)].some((e) => (e.getAttribute('aria-label') ?? e.textContent ?? '').trim() === name);

export function press(name: string): void {
  button(name).click();
  flushSync();
}

/** Follows a link: the DOM without a screen changes the hash, and nothing else. */
export function follow(name: string): void {
  location.hash = named('a[href]', name).getAttribute('href') ?? '';
}

export function field(label: string): HTMLInputElement | HTMLTextAreaElement {
  const id = [...document.querySelectorAll('label')].find((l) => l.textContent?.trim() === label)?.htmlFor ?? '';
  const found = document.getElementById(id) as HTMLInputElement | HTMLTextAreaElement | null;
  if (found === null) throw new Error(`no field "${label}"`);
  return found;
}

export function fill(label: string, value: string): void {
  const it = field(label);
  it.value = value;
  it.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}

/** Ticks a checkbox or a radio button by its label, or by its own name. */
export function tick(name: string): void {
  const inputs = [...document.querySelectorAll<HTMLInputElement>('input[type=checkbox], input[type=radio]')];
  const found = inputs.find((i) => (i.getAttribute('aria-label') ?? i.closest('label')?.textContent ?? '').trim().startsWith(name));
  if (found === undefined) throw new Error(`nothing to tick "${name}"`);
  found.click();
  flushSync();
}

export function submit(holding?: string): void {
  const form = holding === undefined ? document.querySelector('form') : button(holding).closest('form');
  form?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  flushSync();
}

/** What can be told without a screen of whether everybody can use it: names, unique ids, one heading on top. */
export function expectNamed(): void {
  const nameless = [...document.querySelectorAll('button, a[href], input, select, textarea, [role=group], [role=region], nav, table')]
    .filter((e) => !(e.getAttribute('aria-label') ?? '').trim() && !e.hasAttribute('aria-labelledby') && !(e.textContent ?? '').trim() && !document.querySelector(`label[for="${e.id || 'none'}"]`) && !e.closest('label')?.textContent?.trim())
    .map((e) => e.outerHTML.slice(0, 120));
  expect(nameless).toEqual([]);
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  const pointed = [...document.querySelectorAll(':not(dialog)[aria-describedby], :not(dialog)[aria-labelledby], dialog[open]')].flatMap((e) => `${e.getAttribute('aria-describedby') ?? ''} ${e.getAttribute('aria-labelledby') ?? ''}`.split(' ').filter(Boolean));
  expect(pointed.filter((id) => !ids.includes(id))).toEqual([]);
  expect(document.querySelectorAll('h1')).toHaveLength(1);
}
