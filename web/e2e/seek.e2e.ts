/**
 * Going to a moment of the past: a hub whose camera has recorded for hours, and
 * a page that jumps about in them. Each jump must show the picture of that
 * moment, read off the clock in it; how long it took is printed.
 *
 *   LATCHKEY_BENCH=1 npx vitest run --config e2e/vitest.config.ts seek
 *
 * takes the figures of docs/performance.md over 24 hours: every tenth minute
 * is 720p25 at 4 Mbit/s, what lies between has few pictures, so that a day is
 * 5 GB. Without it the past is half an hour.
 */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { giveClockReader, summary } from './latency.clock';
import { type Jump, jumpTo } from './seek.jump';

const BENCH = process.env['LATCHKEY_BENCH'] !== undefined;
const MINUTES = BENCH ? 24 * 60 : 30;
const JUMPS = BENCH ? 60 : 3;
const FULL = BENCH ? { fps: 25, kbps: 4000 } : { fps: 10, kbps: 1000 };
const SPARSE = { fps: 4, kbps: 100 };
const MINUTE = 60_000;

let latchkey: Latchkey;
let browser: Browser;
let page: Page;
let complaints: string[];
let origin: string;
let camera: string;
/** Unix milliseconds of the first picture, and how many minutes there are. */
let past: { readonly from: number; readonly minutes: number };

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, origin = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

/** A minute of clock pictures; its clock tells the time within the minute. */
async function draw(name: string, { fps, kbps }: { fps: number; kbps: number }): Promise<string> {
  const file = join(latchkey.dir, name);
  await latchkey.startTool('clockcam', ['-clip', file, '-fps', String(fps), '-kbps', String(kbps), '-gop', String(2 * fps), '-seconds', '60', '-clock', String(MINUTE)], /wrote/);
  return file;
}

describe('a past of many hours', () => {
  it('is recorded by a hub whose clock runs fast', async () => {
    const recovered = JSON.parse(await latchkey.run('ann', ['household', 'create', '--server', origin, '--name', 'Old house', '--as', 'Ann', '--json'])) as { recovery_code: string };
    const [, pair = ''] = await latchkey.start('ann', ['hub', 'invite', '--json'], /"code":\s*"([^"]+)"/);
    const spec = {
      Data: join(latchkey.dir, 'hub'), Home: join(latchkey.dir, 'hub-home'), Server: origin, Pair: pair, Minutes: MINUTES,
      Full: await draw('full.h264', FULL), FullFPS: FULL.fps, Sparse: await draw('sparse.h264', SPARSE), SparseFPS: SPARSE.fps,
    };
    const recorded = latchkey.startTest('./internal/home/hub', 'TestDay', { LATCHKEY_TEST_DAY: JSON.stringify(spec) }, /recorded (\d+) minutes from (\d+)/, 600_000);
    await eventually(() => latchkey.run('ann', ['camera', 'add', 'past', 'rtsp://127.0.0.1:1/past']).then(() => undefined), 60_000);
    const [, minutes, from] = await recorded;
    past = { from: Number(from), minutes: Number(minutes) };
    console.log(`recorded ${past.minutes} minutes`);

    ({ page, complaints } = await openPage(browser, origin));
    await giveClockReader(page);
    await page.goto(`${origin}/#recover=${recovered.recovery_code}`);
    camera = (await page.locator('article').first().getAttribute('data-camera', { timeout: 30_000 })) ?? '';
    await page.goto(`${origin}/#/camera/${camera}?at=${moment(true)}`);
    await page.getByRole('img', { name: /^past, playing/ }).waitFor();
  }, 660_000);

  it.each([['with every picture', true], ['with few pictures', false]] as const)('shows the right picture after each jump, in minutes %s', async (_minutes, full) => {
    const jumps: Jump[] = [];
    for (let i = 0; i < JUMPS; i++) jumps.push(await jumpTo(page, camera, moment(full)));
    expect(jumps.filter(({ off, wrong }) => Math.abs(off) > 500 || wrong > 0)).toEqual([]);
    const fps = full ? FULL.fps : SPARSE.fps;
    const exact = jumps.filter(({ off }) => Math.abs(off) <= 1000 / fps).length;
    console.log(`${summary(`seek to first picture, ${fps} a second`, jumps.map(({ ms }) => ms))}; ${exact} within one picture of the asked time`);
  }, 300_000);

  it('made no error', () => {
    expect(complaints).toEqual([]);
  });
});

let within = 0;

/** Anywhere in the past, well within a minute of the wanted kind, at another time of it than the last one. */
function moment(full: boolean): number {
  for (;;) {
    const minute = past.from + Math.floor(Math.random() * (past.minutes - 1)) * MINUTE;
    const ms = Math.floor(2000 + Math.random() * 55_000);
    if ((minute / MINUTE) % 10 === 0 !== full || Math.abs(ms - within) < 5000) continue;
    within = ms;
    return minute + ms;
  }
}
