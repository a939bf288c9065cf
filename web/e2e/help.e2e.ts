/**
 * The story of a ticket: a household in Chromium asks for help, somebody of
 * support on the command line answers and asks for footage, the household shows
 * some seconds with two keys, sees that they were opened and which, and ends it;
 * from then on support is refused (claims C1, C14, C31).
 */
import { stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, expectAccessible, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { go, press } from './person';

/** The demo's witnesses and its auditor come when they come. */
const PROVEN_MS = 80_000;
const SECONDS = 6;

let latchkey: Latchkey;
let browser: Browser;
let cloud: string;
let page: Page;
let complaints: string[];
/** Where the demo keeps the keys of its person of support. */
let agent: string;
let n: string;
let begin = 0;

const staff = (...args: string[]): Promise<string> => latchkey.run(agent, ['staff', ...args]);
const iso = (ms: number): string => new Date(ms).toISOString();
const view = (from: number, to: number): Promise<string> =>
  staff('view', n, 'porch', '--from', iso(from), '--to', iso(to), '-o', join(latchkey.dir, 'seen.mp4'));
const light = () => page.getByTestId('light');

/** Local time to the second, as a field takes it. */
const fieldOf = (ms: number): string => {
  const two = (x: number): string => String(x).padStart(2, '0');
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
};

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  const [, origin = '', code = '', keys = ''] = await latchkey.start('demo', ['demo', '--listen', '127.0.0.1:0'], /(http:\/\/127\.0\.0\.1:\d+)\/#recover=(\S+)[^]*LATCHKEY_HOME=(\S+agent)/);
  [cloud, agent] = [origin, relative(latchkey.dir, keys)];
  ({ page, complaints } = await openPage(browser, cloud));
  await page.goto(`${cloud}/#recover=${code}`);
  await page.getByTestId('state-line').waitFor({ timeout: 30_000 });
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

describe('a household that needs help', () => {
  it('asks, and is told what is said to whom', async () => {
    await go(page, '#/help');
    await page.getByText(/^You have not asked for help yet/).waitFor();
    await expectAccessible(page);
    await press(page, 'Ask for help');
    await page.getByLabel('What it is about').selectOption({ label: 'The picture is broken' });
    await page.getByLabel('What is wrong').fill('CANARY the porch is grey');
    await expectAccessible(page);
    await press(page, 'Send');
    await page.getByTestId('who').filter({ hasText: 'The public log proves that' }).waitFor({ timeout: PROVEN_MS });
    n = /#\/help\/(\d+)/.exec(page.url())![1]!;
    await page.getByTestId('health').filter({ hasText: /^Your hubs report to / }).waitFor();
    await expectAccessible(page);
  });

  it('is read by the one who has the ticket, who sees how hubs are and asks for footage', async () => {
    expect(await staff('show', n)).toContain('CANARY the porch is grey');
    await eventually(async () => expect(await staff('health', n)).toMatch(/avc1|recording/));
    await staff('reply', '--footage', n, 'Please show me some seconds of the porch, I want to see the infrared light.');
    await page.getByTestId('letters').getByText('Please show me some seconds').waitFor();
    await page.getByText(/^\S+ asks to see footage:$/).waitFor();
    await page.getByRole('button', { name: 'Refuse' }).waitFor();
    await expectAccessible(page);
  });

  it('chooses a stretch, sees exactly what support will see, and lets them', async () => {
    await expect(view(Date.now() - 20_000, Date.now() - 10_000)).rejects.toThrow(/granted nothing/);
    begin = Math.ceil(Date.now() / 1000) * 1000;
    await eventually(async () => expect(Date.now()).toBeGreaterThan(begin + (SECONDS + 8) * 1000));
    await press(page, 'Show minutes');
    await page.getByLabel('Camera', { exact: true }).selectOption({ label: 'porch' });
    await page.getByLabel('From', { exact: true }).fill(fieldOf(begin));
    await page.getByLabel('To', { exact: true }).fill(fieldOf(begin + SECONDS * 1000));
    await expectMoving(page.getByRole('img', { name: 'porch, what support will see' }));
    await page.getByText('That is the end. There is no more of it for them.').waitFor({ timeout: 60_000 });
    await page.getByTestId('sees').getByText('nothing before and nothing after').waitFor();
    await expectAccessible(page);
    await press(page, /^Let \S+ see$/);
    await page.getByText(/can see porch now, until/).waitFor({ timeout: PROVEN_MS });
    await press(page, 'Done');
    await light().filter({ hasText: /from support can see porch/ }).waitFor();
    await light().filter({ hasText: 'Nothing of it was opened yet.' }).waitFor();
    await expectAccessible(page);
  });

  it('sees that it was opened, and which seconds, and nothing beside them can be', async () => {
    await view(begin, begin + SECONDS * 1000);
    expect((await stat(join(latchkey.dir, 'seen.mp4'))).size).toBeGreaterThan(10_000);
    await light().filter({ hasText: 'Opened last: ' }).waitFor();
    await page.getByTestId('opened').first().waitFor();
    expect(await page.getByTestId('opened').innerText()).toMatch(/^\d\d:\d\d:\d\d – \d\d:\d\d:\d\d, at Today \d\d:\d\d:\d\d/);
    await expect(view(begin - 4000, begin)).rejects.toThrow();
    await expectAccessible(page);
  });

  it('ends it with one press, on whatever page, and support is refused', async () => {
    await go(page, '#/');
    await staff('reply', n, 'Thank you, I have seen it.');
    await page.getByText(`Something new was written in your ticket ${n}.`).waitFor({ timeout: 60_000 });
    await expectAccessible(page);
    await light().getByRole('button', { name: /^Stop now/ }).click();
    await light().waitFor({ state: 'detached' });
    await expect(view(begin, begin + SECONDS * 1000)).rejects.toThrow(/granted nothing/);
    await page.getByRole('link', { name: 'Read it' }).click();
    await page.getByTestId('letters').getByText('Thank you, I have seen it.').waitFor();
    await page.getByTestId('see').and(page.locator('[data-state=ended]')).waitFor();
  });

  it('lets support look live for a few minutes, and closing the ticket ends it', async () => {
    await press(page, 'Show minutes');
    await page.getByLabel('Camera', { exact: true }).selectOption({ label: 'porch' });
    await page.getByLabel('Live, from now on').check();
    await page.getByText(/^\S+ sees the picture as it is now/).waitFor();
    await expectMoving(page.getByRole('img', { name: 'porch, what support will see' }));
    await press(page, /^Let \S+ see$/);
    await page.getByText(/can see porch now, until/).waitFor({ timeout: PROVEN_MS });
    const since = Date.now();
    await light().filter({ hasText: /can see porch live until/ }).waitFor();
    await eventually(async () => expect(Date.now()).toBeGreaterThan(since + 6000));
    await view(since, since + 3000);
    await light().filter({ hasText: 'Opened last: ' }).waitFor();
    await press(page, 'Close this ticket');
    await page.locator('dialog[open]').getByRole('button', { name: 'Close it' }).click();
    await page.getByText(/^This ticket is closed/).waitFor();
    await light().waitFor({ state: 'detached' });
    await expect(staff('show', n)).rejects.toThrow(/without a ticket/);
    await go(page, '#/help');
    await page.getByText(/^Closed, \d+ messages/).waitFor();
    await expectAccessible(page);
  });

  it('finds it in its own record, and no page made an error', async () => {
    await go(page, '#/access');
    await page.getByTestId('access-rows').getByText('The operator’s staff opens footage that it was given.').first().waitFor({ timeout: PROVEN_MS });
    expect(complaints).toEqual([]);
  });
});
