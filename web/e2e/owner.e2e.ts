/**
 * The first story: open the demo's link, see a live picture move, open the
 * camera, look back, take a stretch home. Each step asserts what a person would
 * see, through the served app with its real policy headers.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contrast, eventually, expectAccessible, expectMoving, glass, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';

/** First load before the player, compressed, with the worker that holds the keys. */
const FIRST_LOAD = 150_000;

let latchkey: Latchkey;
let demo: { readonly page: string; readonly link: string };
let browser: Browser;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  const [link, origin = ''] = await latchkey.start('demo', ['demo', '--listen', '127.0.0.1:0'], /(http:\/\/127\.0\.0\.1:\d+\/)#recover=\S+/);
  demo = { link, page: origin };
  ({ page, complaints } = await openPage(browser, demo.page));
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

describe('an owner, in a browser that was never here', () => {
  it('opens the printed link and is in, with nothing left in the address, on a light load', async () => {
    await page.goto(demo.link);
    await page.getByRole('heading', { level: 1, name: 'Demo house' }).waitFor({ timeout: 30_000 });
    expect(page.url()).not.toContain('recover');
    await page.locator('article').nth(1).waitFor({ timeout: 30_000 });
    const loaded = await page.evaluate(() =>
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .filter((entry): entry is PerformanceResourceTiming => entry instanceof PerformanceResourceTiming && !/\/(v1|latchkey\.v1|assets\/player-)/.test(entry.name)) // before what plays
        .reduce((sum, entry) => sum + entry.encodedBodySize, 0),
    );
    console.log(`first load: ${loaded} bytes`);
    expect(loaded).toBeGreaterThan(50_000);
    expect(loaded).toBeLessThan(FIRST_LOAD);
  });

  it('sees both cameras, and that their pictures move', async () => {
    for (const tile of await page.locator('article').all()) {
      await expectMoving(tile.getByRole('img').first());
    }
    await expectAccessible(page);
  });

  it('is told in one line that all is recorded', async () => {
    await eventually(async () => expect(await page.getByTestId('state-line').textContent()).toMatch(/All recording\./));
  });

  it('opens a camera live, with a clock that runs', async () => {
    await page.locator('article').filter({ hasText: 'porch' }).getByRole('link').first().click();
    await page.getByTestId('time-shown').filter({ hasText: /^\s*Live/ }).waitFor();
    await expectMoving(page.getByRole('img', { name: /^porch, Live/ }));
    await expectAccessible(page);
  });

  it('scrubs back: a preview under the finger, then the exact picture, playing on', async () => {
    const timeline = page.getByTestId('timeline');
    // A minute from edge to edge, so that a short drag is seconds, and there is footage to drag to.
    for (let i = 0; i < 6; i++) await page.keyboard.press('+');
    await page.waitForTimeout(8000);
    await timeline.scrollIntoViewIfNeeded(); // a notice above may have pushed it down
    const box = await timeline.boundingBox();
    if (box === null) throw new Error('the timeline is not drawn');
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + box.width / 8, y, { steps: 12 });
    const preview = page.locator('main [role=img] canvas').last();
    await eventually(async () => expect(await preview.evaluate((canvas: HTMLCanvasElement) => !canvas.hidden && canvas.width > 0)).toBe(true));
    await page.mouse.up();
    await page.getByTestId('time-shown').filter({ hasText: /^\s*Today \d\d:\d\d:\d\d/ }).waitFor();
    const shown = async (): Promise<string> => (await page.getByTestId('time-shown').textContent())?.trim() ?? '';
    const before = await shown();
    await eventually(async () => expect(await shown()).not.toBe(before));
    await eventually(async () => expect(contrast(await glass(page.getByRole('img', { name: /^porch, playing/ })))).toBeGreaterThan(30));
  });

  it('pauses, steps a picture, and jumps to now', async () => {
    await page.keyboard.press('k');
    await page.getByRole('button', { name: 'Play' }).waitFor();
    // The timeline, if it has the focus, takes arrows for itself.
    await page.evaluate(() => { (document.activeElement as HTMLElement | null)?.blur(); });
    const at = (): Promise<number> => page.locator('video').first().evaluate((v) => (v as HTMLVideoElement).currentTime);
    const before = await at();
    for (const [key, pictures] of [['ArrowRight', 1], ['ArrowRight', 2], ['ArrowLeft', 1]] as const) {
      await page.keyboard.press(key);
      // Of 25 a second, in parts of several.
      await eventually(async () => expect((await at()) - before).toBeGreaterThan(0.025 * pictures));
      expect((await at()) - before).toBeLessThan(0.06 * pictures);
    }
    await page.keyboard.press('n');
    await page.getByTestId('time-shown').filter({ hasText: /^\s*Live/ }).waitFor();
  });

  it('takes a stretch home as an mp4', async () => {
    await page.getByTestId('timeline').focus();
    for (let i = 0; i < 4; i++) await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('s');
    await expectAccessible(page);
    const [download] = await Promise.all([page.waitForEvent('download', { timeout: 60_000 }), page.getByRole('button', { name: 'Download' }).click()]);
    expect(download.suggestedFilename()).toMatch(/\.mp4$/);
    const bytes = await readFile(await download.path());
    expect(bytes.length).toBeGreaterThan(20_000);
    expect(bytes.subarray(4, 8).toString('latin1')).toBe('ftyp');
    await page.getByText(/^Saved .*\.mp4/).waitFor();
  });

  it('takes it home as evidence, which holds without an account', async () => {
    const [download] = await Promise.all([page.waitForEvent('download', { timeout: 60_000 }), page.getByRole('button', { name: 'As evidence' }).click()]);
    expect(download.suggestedFilename()).toMatch(/\.lkx$/);
    await page.getByText('It proves where it is from.').waitFor();
    await expectAccessible(page);
    const said = JSON.parse(await latchkey.run('stranger', ['verify', await download.path(), '--json'])) as { ok: boolean; problems: readonly string[]; logged: readonly unknown[]; recorded_after: string | null };
    expect(said).toMatchObject({ ok: true, problems: [] });
    expect(said.logged).toHaveLength(1);
    const file = join(latchkey.dir, 'taken.lkx');
    await download.saveAs(file);
    const { page: other } = await openPage(browser, demo.page);
    await other.goto(`${demo.page}verify`);
    await other.getByTestId('file').setInputFiles(file);
    await other.getByTestId('verdict').filter({ hasText: 'This is what the hub recorded' }).waitFor();
    await other.context().close();
  });

  it('finds its way in every other place', async () => {
    for (const [hash, heading] of [['#/review', /Today/], ['#/settings/cameras', /Settings/], ['#/settings/hubs', /Settings/], ['#/settings/trust', /Settings/], ['#/settings/browser', /Settings/], ['#/add-camera', /Add a camera/], ['#/add-hub', /Connect a hub/]] as const) {
      await page.evaluate((to) => (location.hash = to), hash);
      await page.getByRole('heading', { level: 1, name: heading }).waitFor();
      await expectAccessible(page);
    }
    await page.getByTestId('hub-command').waitFor();
    expect(await page.getByTestId('hub-command').textContent()).toMatch(/^latchkey hub run .*--pair [0-9A-Z-]{39}$/);
  });

  it('is still signed in after a reload', async () => {
    await page.goto(demo.page);
    await page.locator('article').nth(1).waitFor({ timeout: 30_000 });
  });

  it('starts without a line, and says so', async () => {
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    const before = [...complaints];
    await page.context().setOffline(true);
    await page.reload();
    await page.getByText(/No connection to the server|cannot be reached/).first().waitFor();
    await page.context().setOffline(false);
    // Without a line the browser itself reports each request that failed.
    complaints.splice(0, complaints.length, ...before);
    await page.reload();
    await page.locator('article').nth(1).waitFor({ timeout: 30_000 });
  });

  it('made no error, and asked nobody but its own server', () => {
    expect(complaints).toEqual([]);
  });
});
