/**
 * From the camera's lens to the glass: a camera that burns its clock into the
 * picture, the whole way through hub, cloud and player, and the clock read off
 * what is shown. Prints times and asserts none; what must hold is that the
 * clock can be read and runs forward.
 *
 *   LATCHKEY_BENCH=1 npx vitest run --config e2e/vitest.config.ts latency
 *
 * takes the figures of docs/performance.md; without it a few seconds each.
 */
import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, openPage, startBrowser } from './browser';
import { freePort, Latchkey } from './latchkey';
import { giveClockReader, summary, watchClock, type Watched } from './latency.clock';
import { watchJoins } from './latency.join';

const BENCH = process.env['LATCHKEY_BENCH'] !== undefined;
const WATCH_SECONDS = BENCH ? 40 : 4;
const JOINS = BENCH ? 15 : 2;
/** Pictures a second of the camera. */
const FPS = 25;

let latchkey: Latchkey;
let browser: Browser;
let page: Page;
let complaints: string[];
let origin: string;
let place: string;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, origin = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

const picture = (): Locator => page.getByRole('img', { name: /^clock, / });

/** Chooses how live is played, in the page's own dialog. */
async function play(mode: 'Smooth' | 'As low as possible'): Promise<void> {
  await page.goto(place);
  await picture().waitFor();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('radio', { name: mode }).check();
  await page.keyboard.press('Escape');
  const element = picture().locator(mode === 'Smooth' ? 'video' : 'canvas').first();
  await eventually(async () => expect(await element.isVisible()).toBe(true));
  await eventually(async () => expect((await watchClock(picture(), 0.5)).readings.length).toBeGreaterThan(4));
  // The joining burst is over and the player has found its distance.
  await page.waitForTimeout(3000);
}

function expectClock({ readings, unreadable }: Watched): void {
  expect(readings.length).toBeGreaterThan(WATCH_SECONDS);
  expect(unreadable).toBeLessThanOrEqual(readings.length / 50);
  const captures = readings.map(({ capture }) => capture);
  expect(captures).toEqual([...captures].sort((a, b) => a - b));
}

describe('the clock in the picture', () => {
  it('is a camera of a home', async () => {
    const { recovery_code: recovery } = JSON.parse(await latchkey.run('ann', ['household', 'create', '--server', origin, '--name', 'Clock house', '--as', 'Ann', '--json'])) as { recovery_code: string };
    const [, pairing = ''] = await latchkey.start('ann', ['hub', 'invite', '--json'], /"code":\s*"([^"]+)"/);
    await latchkey.start('hub', ['hub', 'run', '--data', join(latchkey.dir, 'hub'), '--server', origin, '--pair', pairing], /paired/);
    const [, address = ''] = await latchkey.startTool('clockcam', ['-listen', `127.0.0.1:${await freePort()}`, '-fps', String(FPS)], /(rtsp:\S+)/);
    await eventually(() => latchkey.run('ann', ['camera', 'add', 'clock', address]).then(() => undefined));
    ({ page, complaints } = await openPage(browser, origin));
    await giveClockReader(page);
    await page.goto(`${origin}/#recover=${recovery}`);
    const id = await page.locator('article').first().getAttribute('data-camera', { timeout: 30_000 });
    place = `${origin}/#/camera/${id}`;
  }, 120_000);

  it.each([['MSE', 'Smooth'], ['WebCodecs', 'As low as possible']] as const)('runs forward on the glass with %s', async (name, mode) => {
    await play(mode);
    const watched = await watchClock(picture(), WATCH_SECONDS);
    expectClock(watched);
    const lags = watched.readings.map(({ capture, at }) => at - capture);
    console.log(`${summary(`capture to glass, ${name}`, lags)}; ${watched.readings.length} of ${WATCH_SECONDS * FPS} pictures seen`);
  }, 180_000);

  it('is there soon after a page has opened its socket', async () => {
    const joins = await watchJoins(page, place, JOINS);
    expect(joins.every(({ first, began }) => first > began)).toBe(true);
    const noted = joins.filter(({ socket }) => !Number.isNaN(socket));
    expect(noted.length).toBeGreaterThan(0);
    console.log(summary('join, open socket to first picture', noted.map(({ first, socket }) => first - socket)));
    console.log(summary('join, reload to first picture', joins.map(({ first, began }) => first - began)));
  }, 180_000);

  it('made no error', () => {
    expect(complaints).toEqual([]);
  });
});
