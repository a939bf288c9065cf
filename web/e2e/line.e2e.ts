/** A bad line between the browser and the server: it drops, it is too slow, it comes back. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Between } from './between';
import { eventually, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';

/** Bytes a second: less than the demo's porch sends when something happens there, more than when nothing does. */
const SLOW = 20_000;
/** The server leaves out what is more than a second old (design 0001, Live). */
const LAG_BOUND_S = 2;
const SAMPLES = 40;

let latchkey: Latchkey;
let between: Between;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  const [, cloud = '', code = ''] = await latchkey.start('demo', ['demo', '--listen', '127.0.0.1:0'], /(http:\/\/127\.0\.0\.1:\d+)\/#recover=(\S+)/);
  between = await Between.start(cloud);
  ({ page } = await openPage(browser, between.origin));
  await page.goto(`${between.origin}/#recover=${code}`);
  await page.locator('article').filter({ hasText: 'porch' }).getByRole('link').first().click();
});
afterAll(async () => {
  await browser?.close();
  await between?.stop();
  await latchkey?.stop();
});

const picture = () => page.getByRole('img', { name: /^porch, / });

describe('a live picture over a bad line', () => {
  it('comes back by itself when the line was cut', async () => {
    await expectMoving(picture());
    const joined = between.joined;
    between.cut();
    await eventually(async () => expect(between.joined).toBeGreaterThan(joined));
    await expectMoving(picture());
  });

  it('comes back after a while without any server', async () => {
    between.down = true;
    between.cut();
    await page.waitForTimeout(3000);
    between.down = false;
    await expectMoving(picture());
  });

  it('skips, says so, plays nothing old, and recovers when the line is too slow for a while', async () => {
    between.rate = SLOW;
    await page.getByText(/^Your line is slow: .* skipped\.$/).waitFor({ timeout: 40_000 });
    const lags: number[] = [];
    while (lags.length < SAMPLES) {
      lags.push(await behind().catch(() => Infinity));
      await page.waitForTimeout(250);
    }
    const told = lags.filter(Number.isFinite);
    console.log(`on a slow line: at most ${Math.max(...told)} s behind, no lag told in ${lags.length - told.length} of ${lags.length} looks`);
    // A picture that stands has no lag to tell; what is shown as playing is not old.
    expect(told.length).toBeGreaterThan(0);
    expect(Math.max(...told)).toBeLessThanOrEqual(LAG_BOUND_S);
    between.rate = null;
    await eventually(async () => expect(await behind()).toBeLessThan(LAG_BOUND_S));
    await expectMoving(picture());
  });
});

/** Seconds that the picture is behind, as the page tells it. */
async function behind(): Promise<number> {
  const label = (await picture().getAttribute('aria-label')) ?? '';
  const said = /([\d.]+)\s?(ms|s) behind/.exec(label);
  if (said === null) throw new Error(`no lag in ${label}`);
  return Number(said[1]) / (said[2] === 'ms' ? 1000 : 1);
}
