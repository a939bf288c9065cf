/**
 * Every page over the home in memory, in real Chromium: on a phone and on a
 * desk, light and dark. Axe finds nothing, nothing sticks out sideways, nothing
 * to press is too small. `LOOK=dir` keeps a picture of each, to be looked at.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { build, preview, type PreviewServer } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectAccessible, startBrowser } from './browser';
import { LOOK, LOOKS, misfits } from './looks';

const WEB = join(import.meta.dirname, '..');
const CODE = '5J2K-9QWX-0TFD-M7VC-3HRB-ZN4Y-81GA-E6PS';
const NEW_CODE = 'T3WA-6HZQ-94KD-0VNM-8PXJ-C5RB-E1GY-S7F2';
const INVITATION = '7C4T-01ZD-QM8X-KV5N-9RHW-2EJG-P6SA-B3FY';

interface View {
  readonly name: string;
  /** The query of dev.html, and its hash. */
  readonly at: string;
  /** What to do there before looking; ends when the view is there. */
  readonly go: (page: Page) => Promise<void>;
}

const heading = (name: string | RegExp) => async (page: Page): Promise<void> => page.getByRole('heading', { name }).first().waitFor();
const text = (name: string | RegExp) => async (page: Page): Promise<void> => page.getByText(name).first().waitFor();
const press = async (page: Page, name: string | RegExp): Promise<void> => page.getByRole('button', { name }).first().click();

async function invited(page: Page): Promise<void> {
  await page.getByLabel('Their name').fill('Robin');
  await page.getByLabel('Porch', { exact: true }).check();
  await page.getByLabel('Porch with sound').check();
  await press(page, 'Make the invitation');
}

async function joining(page: Page): Promise<void> {
  await page.getByLabel('Your name').fill('Sam');
  await press(page, 'Next');
  await page.getByTestId('code').waitFor();
}

const VIEWS: readonly View[] = [
  { name: 'welcome', at: '?scenario=new', go: async (page) => page.getByRole('button', { name: 'Sign in with a passkey' }).waitFor() },
  { name: 'welcome-no-prf', at: '?scenario=new&support=no-prf', go: text(/cannot unlock a home/) },
  { name: 'welcome-ended', at: '?scenario=ended', go: text('This device was signed out.') },
  { name: 'welcome-removed', at: '?scenario=removed', go: text('You are no longer in this home.') },
  { name: 'welcome-code', at: '?scenario=new&pace=0', go: async (page) => {
    await press(page, 'Set up a new home');
    await page.getByLabel('Name of the home').fill('Elm Street 4');
    await page.getByLabel('Your name').fill('Ann');
    await press(page, 'Next');
    await page.getByTestId('code').waitFor();
  } },
  { name: 'founded', at: '?scenario=new&pace=0', go: async (page) => {
    await press(page, 'I have a recovery code');
    await page.getByLabel('Recovery code').fill(CODE);
    await press(page, 'Open');
    await page.getByRole('heading', { name: 'Next time, just a touch' }).waitFor();
  } },
  { name: 'join', at: `?scenario=new#join=${INVITATION}`, go: heading('You were invited') },
  { name: 'join-paste', at: '?scenario=new', go: async (page) => {
    await press(page, 'I was invited');
    await page.getByLabel('Invitation link or code').waitFor();
    await press(page, 'Next');
  } },
  { name: 'join-code', at: `?scenario=new&pace=0#join=${INVITATION}`, go: joining },
  { name: 'join-digits', at: `?scenario=new#join=${INVITATION}`, go: async (page) => {
    await joining(page);
    await press(page, 'I have put it away');
    await page.getByLabel('Recovery code').fill(NEW_CODE);
    await press(page, 'Join');
    await page.getByTestId('digits').waitFor();
  } },
  { name: 'join-asks', at: `?scenario=home#join=${INVITATION}`, go: heading('Join another home here?') },
  { name: 'home', at: '?scenario=home', go: text(/All recording/) },
  { name: 'home-doubled', at: '?scenario=doubled', go: text(/Two machines use the key/) },
  { name: 'home-nothing-shared', at: '?scenario=nothing-shared', go: heading('No camera is shared with you yet') },
  { name: 'home-code-used', at: '?scenario=code-used', go: text('Your recovery code has been used.') },
  { name: 'people', at: '?scenario=home#/people', go: async (page) => page.getByText('Garden gate').first().waitFor() },
  { name: 'people-alone', at: '?scenario=no-camera#/people', go: text('Only you are here.') },
  { name: 'people-viewer', at: '?scenario=viewer#/people', go: text('Mina') },
  { name: 'people-down', at: '?scenario=home&down#/people', go: text('The server does not answer.') },
  { name: 'people-remove', at: '?scenario=home#/people', go: async (page) => {
    await press(page, 'Remove Sam');
    await page.getByText('Sam may have kept').first().waitFor();
  } },
  { name: 'people-removed', at: '?scenario=trouble&pace=0#/people', go: async (page) => {
    await press(page, 'Remove Sam');
    await page.getByRole('dialog').getByRole('button', { name: 'Remove Sam' }).click();
    await page.getByRole('heading', { name: 'Sam is removed' }).waitFor();
  } },
  { name: 'access', at: '?scenario=home#/access', go: text('You founded the home.') },
  { name: 'access-proof', at: '?scenario=home#/access/8', go: text('908, of log.example/log/2026') },
  { name: 'access-broken', at: '?scenario=log-broken#/access', go: heading('The server keeps something back') },
  { name: 'access-policy', at: '?scenario=log-policy#/access', go: async (page) => {
    await press(page, 'Take the new keys and watchers');
    await page.getByText('Only go on when the operator has told you why').waitFor();
  } },
  { name: 'access-stale', at: '?scenario=log-stale#/access', go: heading(/^Not verified since/) },
  { name: 'access-checking', at: '?scenario=log-checking#/access', go: text('5 of 14 statements found in the log.') },
  { name: 'home-log-broken', at: '?scenario=log-broken', go: text('See what is wrong, and what to do') },
  { name: 'home-given', at: '?scenario=given', go: text('I have read this') },
  { name: 'help-empty', at: '?scenario=home#/help', go: text(/^You have not asked for help yet/) },
  { name: 'help-ask', at: '?scenario=home#/help', go: async (page) => {
    await press(page, 'Ask for help');
    await page.getByText('Never sent:').waitFor();
  } },
  { name: 'help-list', at: '?scenario=help#/help', go: heading('Your tickets') },
  { name: 'help-ticket', at: '?scenario=help#/help/7', go: text('sam asks to see footage:') },
  { name: 'help-show', at: '?scenario=help#/help/7', go: async (page) => {
    await press(page, 'Show minutes');
    await page.getByText('This is what they will see').waitFor();
  } },
  { name: 'help-live', at: '?scenario=help#/help/7', go: async (page) => {
    await press(page, 'Show minutes');
    await page.getByLabel('Live, from now on').check();
    await page.getByText(/A light in this app stays on/).waitFor();
  } },
  { name: 'help-given', at: '?scenario=help#/help/7', go: async (page) => {
    await press(page, 'Show minutes');
    await press(page, 'Let sam see');
    await press(page, 'Done');
    await page.getByTestId('light').waitFor();
  } },
  { name: 'help-light', at: '?scenario=help-light', go: async (page) => page.getByText(/^Opened last: /).first().waitFor() },
  { name: 'person', at: '?scenario=home#/people', go: async (page) => {
    await page.getByRole('link', { name: 'Change Sam' }).click();
    await page.getByLabel('Driveway with sound').waitFor();
  } },
  { name: 'person-me', at: '?scenario=home#/people', go: async (page) => {
    await page.getByRole('link', { name: 'Change Ann' }).click();
    await page.getByText('What you may do yourself').waitFor();
  } },
  { name: 'invite', at: '?scenario=home#/people/invite', go: async (page) => {
    await page.getByLabel('Their name').waitFor();
    await press(page, 'Make the invitation');
  } },
  { name: 'invite-denied', at: '?scenario=viewer#/people/invite', go: heading('Only an admin') },
  { name: 'invite-link', at: '?scenario=home#/people/invite', go: async (page) => {
    await invited(page);
    await page.getByTestId('invite-link').waitFor();
  } },
  { name: 'invite-digits', at: '?scenario=home&pace=0#/people/invite', go: async (page) => {
    await invited(page);
    await page.getByTestId('digits').waitFor();
  } },
  { name: 'invite-differ', at: '?scenario=home&pace=0#/people/invite', go: async (page) => {
    await invited(page);
    await press(page, 'They differ');
    await page.getByText('Good that you compared').waitFor();
  } },
  { name: 'invite-done', at: '?scenario=home&pace=0#/people/invite', go: async (page) => {
    await invited(page);
    await press(page, 'They are the same');
    await page.getByText('Robin has joined').waitFor();
  } },
  { name: 'settings-cameras', at: '?scenario=home#/settings/cameras', go: text('Garden gate') },
  { name: 'settings-cameras-viewer', at: '?scenario=viewer#/settings/cameras', go: text('Garden gate') },
  { name: 'settings-hubs', at: '?scenario=home#/settings/hubs', go: heading('Replacing a hub') },
  { name: 'settings-hubs-doubled', at: '?scenario=doubled#/settings/hubs', go: text('Two machines use this hub’s key') },
  { name: 'settings-devices', at: '?scenario=home#/settings/devices', go: text('Safari on iPhone') },
  { name: 'settings-devices-end', at: '?scenario=home#/settings/devices', go: async (page) => {
    await press(page, 'Sign out Safari on iPhone');
    await page.getByRole('heading', { name: 'Sign out Safari on iPhone?' }).waitFor();
  } },
  { name: 'settings-passkeys', at: '?scenario=home#/settings/passkeys', go: async (page) => page.getByLabel('Name of the passkey').waitFor() },
  { name: 'settings-passkeys-no-prf', at: '?scenario=no-hub&support=no-prf#/settings/passkeys', go: text(/In another browser you can add one/) },
  { name: 'settings-recovery', at: '?scenario=home#/settings/recovery', go: heading('Lost your recovery code?') },
  { name: 'settings-recovery-used', at: '?scenario=code-used#/settings/recovery', go: heading('Lost your recovery code?') },
  { name: 'settings-trust', at: '?scenario=home#/settings/trust', go: text('Not protected') },
  { name: 'settings-browser', at: '?scenario=home#/settings/browser', go: text(/Signed in to/) },
  { name: 'new-code', at: '?scenario=code-used&pace=0#/new-code', go: async (page) => {
    await press(page, 'Show me a new code');
    await page.getByTestId('code').waitFor();
  } },
  { name: 'new-keys', at: '?scenario=home#/new-keys', go: heading('Replace your keys') },
  { name: 'new-keys-done', at: '?scenario=home&pace=0#/new-keys', go: async (page) => {
    await press(page, 'Make new keys');
    await press(page, 'I have put it away');
    await page.getByLabel('Recovery code').fill(NEW_CODE);
    await press(page, 'Finish');
    await page.getByText('Your keys are replaced.').waitFor();
  } },
  { name: 'camera-select', at: '?scenario=home#/', go: async (page) => {
    await page.locator('article a').first().click();
    await press(page, 'Select a stretch');
    await page.getByRole('button', { name: 'As evidence' }).waitFor();
  } },
  { name: 'camera-evidence', at: '?scenario=home&pace=0#/', go: async (page) => {
    await page.locator('article a').first().click();
    await press(page, 'Select a stretch');
    await press(page, 'As evidence');
    await page.getByRole('link', { name: 'Check it' }).waitFor();
  } },
  { name: 'camera-share', at: '?scenario=home#/', go: async (page) => {
    await page.locator('article a').first().click();
    await press(page, 'Select a stretch');
    await press(page, 'Share');
    await page.getByTestId('share-what').waitFor();
  } },
  { name: 'camera-not-shared', at: '?scenario=viewer#/', go: async (page) => {
    await page.locator('article a').first().click();
    await page.getByTestId('timeline').waitFor();
    for (let i = 0; i < 8; i++) await page.getByRole('button', { name: 'Zoom out' }).click();
    await page.getByRole('button', { name: 'As a list' }).click();
    await page.getByText('From before you joined, or not shared with you').first().waitFor();
  } },
];

let server: PreviewServer;
let dist: string;
let origin: string;
let browser: Browser;

beforeAll(async () => {
  dist = await mkdtemp(join(tmpdir(), 'latchkey-pages-'));
  // dev.html is no entry of the app's own build: this one is for looking at.
  const quiet = { root: WEB, configFile: false, logLevel: 'error' } as const;
  await build({ ...quiet, plugins: [svelte(), tailwindcss()], build: { outDir: dist, emptyOutDir: true, target: 'es2023', rolldownOptions: { input: join(WEB, 'dev.html') } } });
  server = await preview({ ...quiet, build: { outDir: dist }, preview: { host: '127.0.0.1', port: 0 } });
  const address = server.httpServer.address();
  if (address === null || typeof address !== 'object') throw new Error('the pages are not served');
  origin = `http://127.0.0.1:${address.port}`;
  browser = await startBrowser();
  if (LOOK !== undefined) await mkdir(LOOK, { recursive: true });
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
  await rm(dist, { recursive: true, force: true });
});

describe.each(LOOKS)('$title', ({ title, size, scheme }) => {
  let context: BrowserContext;
  beforeAll(async () => {
    context = await browser.newContext({ viewport: size, colorScheme: scheme, reducedMotion: 'reduce' });
  });
  afterAll(() => context?.close());

  it.each(VIEWS)('$name', async ({ name, at, go }) => {
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    try {
      await page.goto(`${origin}/dev.html${at}`);
      await go(page);
      if (LOOK !== undefined) await page.screenshot({ path: join(LOOK, `${name}-${title.replace(' ', '-')}.png`) });
      expect(await page.evaluate(misfits)).toEqual([]);
      await expectAccessible(page);
      expect(complaints).toEqual([]);
    } finally {
      await page.close();
    }
  });
});
