/**
 * Tabs that die in the middle of an invitation or a pairing (their renderer
 * crashes, nothing is said good-bye to): what can go on goes on, nobody is half
 * let in, and nothing is lost.
 */
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { codeCeremony, digits, follows, founds, go, hubCommand, invites, press } from './person';

let latchkey: Latchkey;
let browser: Browser;
let origin: string;
let ann: Page;
let sam: Page;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
});
beforeEach(async () => {
  // One address may sign in so often, and here everybody has the same: a server each.
  const name = `cloud-${Math.random()}`;
  [, origin = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, name), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
  [{ page: ann }, { page: sam }] = await Promise.all([openPage(browser, origin), openPage(browser, origin)]);
  await founds(ann, origin, 'Elm Street 4', 'Ann Bishop');
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

/** Kills the process behind a tab; a new tab of the same browser. */
async function kill(page: Page): Promise<Page> {
  const context: BrowserContext = page.context();
  const crashed = page.waitForEvent('crash');
  const cdp = await context.newCDPSession(page);
  void cdp.send('Page.crash').catch(() => undefined); // its answer died with it
  await crashed;
  await page.close();
  return context.newPage();
}

const samIs = { name: 'Sam Weller', history: 'Nothing from before' };

async function expectAnnAlone(): Promise<void> {
  await ann.goto('about:blank');
  await ann.goto(`${origin}/#/people`);
  await ann.getByText('Only you are here.').waitFor();
}

async function expectJoined(): Promise<void> {
  await sam.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor({ timeout: 30_000 });
  await go(ann, '#/people');
  await ann.getByText('Sam Weller', { exact: true }).first().waitFor({ timeout: 30_000 });
}

describe('a guest whose tab dies', () => {
  it('before the code was put away is as if he had not come, and the link still works', async () => {
    const link = await invites(ann, samIs);
    await sam.goto(link);
    await sam.getByLabel('Your name').fill('Sam Weller');
    await press(sam, 'Next');
    await sam.getByTestId('code').waitFor();
    sam = await kill(sam);
    await follows(sam, link, 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    expect(await digits(sam)).toBe(await digits(ann));
    await press(ann, 'They are the same');
    await expectJoined();
  });

  it('while he waits comes back to the same digits', async () => {
    const link = await invites(ann, samIs);
    const code = await follows(sam, link, 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    const before = await digits(sam);
    sam = await kill(sam);
    // The code that he has put away is still his.
    expect(await follows(sam, link, 'Sam Weller')).toBe(code);
    expect([await digits(sam), await digits(ann)]).toEqual([before, before]);
    await press(ann, 'They are the same');
    await expectJoined();
  });

  it('after he was let in finds himself in the home', async () => {
    const link = await invites(ann, samIs);
    await follows(sam, link, 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    const next = kill(sam);
    await press(ann, 'They are the same');
    await ann.getByText('Sam Weller has joined').waitFor({ timeout: 30_000 });
    sam = await next;
    await sam.goto(link);
    await expectJoined();
  });
});

describe('an admin whose tab dies', () => {
  it('before the digits were compared has let in nobody', async () => {
    const link = await invites(ann, samIs);
    await follows(sam, link, 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    ann = await kill(ann);
    await expectAnnAlone();
    await sam.getByText('Waiting for them to say the digits are the same').waitFor();
  });

  it('after that has let in whom he said', async () => {
    const link = await invites(ann, samIs);
    await follows(sam, link, 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    const signed = ann.waitForResponse((r) => r.url().endsWith('/AppendStatement'));
    await press(ann, 'They are the same');
    await signed;
    ann = await kill(ann);
    await ann.goto(`${origin}/#/people`);
    await expectJoined();
  });

  it('while a new home’s code is shown has founded nothing, and begins again', async () => {
    const { page } = await openPage(browser, origin);
    await page.goto(origin);
    await press(page, /Set up a new home/);
    await page.getByLabel('Name of the home').fill('Oak Lane 1');
    await page.getByLabel('Your name').fill('Otto');
    await press(page, 'Next');
    await page.getByTestId('code').waitFor();
    const again = await kill(page);
    await again.goto(origin);
    await press(again, /Set up a new home/);
    await again.getByLabel('Name of the home').fill('Oak Lane 1');
    await again.getByLabel('Your name').fill('Otto');
    await press(again, 'Next');
    await codeCeremony(again, 'Finish');
    await again.getByRole('heading', { level: 1, name: 'Oak Lane 1' }).waitFor();
    await again.context().close();
  });

  it('while a hub waits pairs it with the next code, once', async () => {
    const waiting = latchkey.start('hub', await hubCommand(ann, 'first-hub'), /paired/).then(() => 'paired', () => 'ended');
    // Its offer may be there or not: either way the code died with the page.
    ann = await kill(ann);
    await ann.goto(origin);
    await ann.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor();
    await latchkey.start('hub', await hubCommand(ann, 'second-hub'), /paired/);
    await ann.getByText('Your hub is connected.').waitFor({ timeout: 30_000 });
    await go(ann, '#/people');
    await ann.getByText('Online', { exact: true }).waitFor();
    expect(await ann.getByText(/^(Online|Not reachable)$/).count()).toBe(1);
    expect(await Promise.race([waiting, Promise.resolve('waits')])).toBe('waits');
  });
});
