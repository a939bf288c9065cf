/**
 * Somebody who has lost every device and the code comes back through two of
 * three people, and everybody can see it and stop it (docs/design/0004). The
 * server's seven days are seconds here; those of a contact's own browser are
 * not, and its clock is moved.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, expectAccessible, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { addsCamera, codeCeremony, connectsHub, digits, follows, founds, go, invites, press } from './person';

const SERVER_WAIT_MS = 6000;
const EIGHT_DAYS_MS = 8 * 24 * 3600_000;

let latchkey: Latchkey;
let browser: Browser;
let origin: string;
let ann: Page;
const pages: Record<string, Page> = {};
/** Ann, with nothing but a new browser */
let lost: Page;
let began = 0;

const open = async (): Promise<Page> => (await openPage(browser, origin)).page;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, origin = ''] = await latchkey.startTest('./internal/cloud', 'TestServeStory', { LATCHKEY_TEST_CONTACT_WAIT: `${SERVER_WAIT_MS}ms` }, /listens on (http:\/\/\S+)/);
  ann = await open();
  await founds(ann, origin, 'Elm Street 4', 'Ann Bishop');
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

const person = (name: string): Page => {
  const page = pages[name];
  if (page === undefined) throw new Error(`nobody is called ${name}`);
  return page;
};
const claimOn = (page: Page) => page.getByTestId('claim');

/** The page anew, with the clock of its keys so far ahead. */
async function reopen(page: Page, aheadMs = 0): Promise<void> {
  await page.goto('about:blank');
  const worker = page.waitForEvent('worker').then((w) => w.evaluate((ms) => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + ms;
  }, aheadMs));
  await page.goto(origin);
  await worker;
}

describe('a home of four with a camera', () => {
  it('is there', async () => {
    await connectsHub(ann, latchkey, origin);
    await addsCamera(ann, latchkey, 'Porch', 'porch.mp4');
    began = Date.now();
    for (const name of ['Sam Weller', 'Mina Harker', 'Cleo Porter']) {
      const page = await open();
      pages[name] = page;
      await follows(page, await invites(ann, { name, history: 'Nothing from before' }), name);
      await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
      expect(await digits(page)).toBe(await digits(ann));
      await press(ann, 'They are the same');
      await page.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor({ timeout: 30_000 });
      await ann.getByText(`${name} has joined`).waitFor({ timeout: 30_000 });
      await go(ann, '#/');
    }
  }, 120_000);

  it('has somebody who trusts three of them', async () => {
    await go(ann, '#/people');
    await press(ann, 'Choose three people');
    for (const name of Object.keys(pages)) await ann.getByRole('checkbox', { name }).check();
    await expectAccessible(ann);
    await press(ann, 'Trust these three');
    await ann.getByText(/Any two of .* can help you back\./).waitFor();
  });
});

/** From the first contact's link to his word. */
async function helps(page: Page): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${origin}/#/people`);
  await press(page, 'Help Ann Bishop back in');
  await press(page, 'Make a link');
  const link = (await page.getByTestId('help-link').innerText()).trim();
  await lost.goto('about:blank');
  await lost.goto(link);
  expect(lost.url()).not.toContain('help=');
  await press(lost, 'Go on');
  await codeCeremony(lost, 'Go on');
  await page.getByRole('heading', { name: 'Do you both see the same digits?' }).waitFor({ timeout: 30_000 });
  await lost.getByTestId('digits').waitFor();
  expect(await digits(page)).toBe(await digits(lost));
  await press(page, 'Yes, they are the same');
  await page.getByText('You have confirmed that it is Ann Bishop.').waitFor();
}

describe('a way back that nobody asked for', () => {
  it('is seen by everybody, and stopped by whom it is about', async () => {
    lost = await open();
    await helps(person('Sam Weller'));
    await reopen(person('Cleo Porter'));
    await claimOn(person('Cleo Porter')).getByText('Ann Bishop is being helped back in').waitFor();
    await reopen(ann);
    await claimOn(ann).getByText('Somebody says they are you, without your keys').waitFor();
    await expectAccessible(ann);
    await press(ann, 'Stop');
    await press(ann, 'Stop it');
    await eventually(async () => expect(await claimOn(ann).count()).toBe(0));
    await press(lost, 'Look again');
    await lost.getByRole('heading', { name: 'This was stopped' }).waitFor();
    await expectAccessible(lost);
    await press(lost, 'Begin anew');
  });
});

describe('the way back', () => {
  it('takes two of them, and the same digits', async () => {
    await ann.context().close();
    await helps(person('Sam Weller'));
    await press(lost, 'Look again');
    await lost.getByRole('heading', { name: 'One has confirmed. Now the second.' }).waitFor();
    const mina = person('Mina Harker');
    await reopen(mina);
    await press(mina, 'Compare and confirm');
    await mina.getByTestId('digits').waitFor();
    expect(await digits(mina)).toBe(await digits(lost));
    await expectAccessible(mina);
    await press(mina, 'Same digits, confirm');
    await claimOn(mina).getByText('Two trusted contacts have confirmed.').waitFor();
    await press(lost, 'Look again');
    await lost.getByRole('heading', { name: 'Both have confirmed. Now it takes time.' }).waitFor();
    await expectAccessible(lost);
  });

  it('takes seven days by the contacts’ own clocks, whatever the server says', async () => {
    // The server would take their parts by now.
    await lost.waitForTimeout(SERVER_WAIT_MS);
    for (const name of ['Sam Weller', 'Mina Harker']) {
      await reopen(person(name));
      await claimOn(person(name)).getByText(/Your part goes out from/).waitFor();
    }
    await press(lost, 'Look again');
    await lost.getByRole('heading', { name: 'Both have confirmed. Now it takes time.' }).waitFor();
    expect(await lost.getByText(/parts are here/).count()).toBe(0);
  });

  it('is open then, with everything she had', async () => {
    for (const name of ['Sam Weller', 'Mina Harker']) {
      await reopen(person(name), EIGHT_DAYS_MS);
      await claimOn(person(name)).getByText('Your part is given.').waitFor({ timeout: 20_000 });
    }
    await press(lost, 'Look again');
    await lost.getByRole('heading', { name: 'You can come in' }).waitFor();
    await press(lost, 'Come in');
    await lost.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor({ timeout: 30_000 });
    const porch = lost.locator('article').filter({ hasText: 'Porch' });
    await expectMoving(porch.getByRole('img').first());
    // What was recorded while the lost keys were hers.
    await go(lost, `#/camera/${await porch.getAttribute('data-camera')}?at=${began}`);
    await expectMoving(lost.getByRole('img', { name: /^Porch, / }));
    await expectAccessible(lost);
  });

  it('is told to everybody aloud, until it was read', async () => {
    const cleo = person('Cleo Porter');
    await reopen(cleo);
    await cleo.getByText('Ann Bishop has new keys').waitFor({ timeout: 30_000 });
    await expectAccessible(cleo);
    await press(cleo, 'Ann Bishop says it is right');
    await eventually(async () => expect(await cleo.getByText('Ann Bishop has new keys').count()).toBe(0));
    await reopen(cleo);
    await go(cleo, '#/people');
    await cleo.getByText(/New keys since/).first().waitFor();
    expect(await cleo.getByText('Ann Bishop has new keys').count()).toBe(0);
  });
});
