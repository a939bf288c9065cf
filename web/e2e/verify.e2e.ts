/**
 * The page that checks evidence, as somebody without an account uses it: a file
 * that a household exported, files that were changed, and not one request after
 * the page is there (claims C23, C29).
 */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { own } from '../src/crypto/bytes';
import { changed } from '../src/evidence/testchange';
import { eventually, expectAccessible, openPage, startBrowser } from './browser';
import { freePort, Latchkey } from './latchkey';
import { LOOK, LOOKS, misfits } from './looks';

let latchkey: Latchkey;
let browser: Browser;
let page: Page;
let complaints: string[];
let origin: string;
let whole: string;
let requests: string[] = [];

const recordedLongEnough = (timeline: string): boolean => {
  const { ranges } = JSON.parse(timeline) as { ranges: readonly { readonly from: string; readonly to: string }[] };
  const last = ranges[ranges.length - 1];
  return last !== undefined && Date.parse(last.to) - Date.parse(last.from) > 9000;
};

async function exported(): Promise<string> {
  const file = join(latchkey.dir, 'porch.mp4');
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=15', '-f', 'lavfi', '-i', 'sine=frequency=300:sample_rate=48000'];
  await promisify(execFile)('ffmpeg', ['-v', 'error', ...picture, '-t', '10', '-g', '15', '-bf', '0', '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', file]);
  const address = `rtsp://127.0.0.1:${await freePort()}/porch`;
  await latchkey.start('camera', ['camera', 'simulate', file, '--listen', address], /Playing/);
  await latchkey.run('ann', ['camera', 'add', 'porch', address, '--audio']);
  await eventually(async () => expect(recordedLongEnough(await latchkey.run('ann', ['timeline', 'porch', '--json']))).toBe(true), 90_000);
  const out = join(latchkey.dir, 'porch.lkx');
  const [from, to] = [8, 5].map((s) => new Date(Math.floor(Date.now() / 1000 - s) * 1000).toISOString());
  await latchkey.run('ann', ['export', 'porch', '--from', from ?? '', '--to', to ?? '', '-o', out]);
  return out;
}

/** The file with changes, in the story's folder. */
async function forged(name: string, ...changes: Parameters<typeof changed>[1]): Promise<string> {
  const path = join(latchkey.dir, name);
  await writeFile(path, await changed(own(await readFile(whole)), changes));
  return path;
}

const verdict = () => page.getByTestId('verdict');

async function checks(path: string): Promise<void> {
  await page.getByTestId('file').setInputFiles(path);
  await verdict().waitFor();
}

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, origin = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
  ({ page, complaints } = await openPage(browser, origin));
  if (LOOK !== undefined) await mkdir(LOOK, { recursive: true });
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

describe('a household', () => {
  it('exports three seconds', async () => {
    await latchkey.run('ann', ['household', 'create', '--server', origin, '--name', 'Elm Street 4', '--as', 'Ann', '--json']);
    const [, pair = ''] = await latchkey.start('ann', ['hub', 'invite', '--json'], /"code":\s*"([^"]+)"/);
    await latchkey.start('hub', ['hub', 'run', '--server', origin, '--data', join(latchkey.dir, 'hub'), '--pair', pair], /paired/);
    whole = await exported();
  });
});

describe('somebody who was sent the file', () => {
  it('sees what it proves, and plays it', async () => {
    await page.goto(`${origin}/verify`, { waitUntil: 'networkidle' });
    page.on('request', (r) => { if (!r.url().startsWith('blob:')) requests.push(r.url()); });
    await checks(whole);
    expect(await verdict().innerText()).toContain('This is what the hub recorded');
    const proven = page.getByTestId('proven');
    expect(await proven.innerText()).toMatch(/Recorded by the hub[\s\S]*with sound[\s\S]*Gaps\s*none/);
    await expect.poll(() => page.getByTestId('movie').evaluate((v: HTMLVideoElement) => v.readyState)).toBeGreaterThan(1);
    expect(await page.getByTestId('movie').evaluate((v: HTMLVideoElement) => v.duration)).toBeGreaterThan(2);
    await expectAccessible(page);
  });

  it('is told what it does not prove', async () => {
    const not = await page.getByTestId('not-proven').innerText();
    expect(not).toContain('That it was not recorded later');
    expect(not).toContain('what stood before the camera was real');
    expect(not).toContain('their keys came from the file itself');
  });

  it('finds the same with the command line', async () => {
    const said = JSON.parse(await latchkey.run('stranger', ['verify', whole, '--json'])) as { parts: number; video_frames: number; hubs: readonly string[] };
    const proven = (await page.getByTestId('proven').innerText()).replaceAll(' ', '');
    expect(proven).toContain(`${said.parts}sealedparts,eachsigned;${said.video_frames}pictures`);
    expect(proven).toContain(said.hubs[0] ?? 'no hub');
  });

  it('drops it anywhere on the page', async () => {
    await page.reload({ waitUntil: 'networkidle' });
    requests = [];
    const b64 = (await readFile(whole)).toString('base64');
    await page.evaluate(async (data) => {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const items = new DataTransfer();
      items.items.add(new File([bytes], 'porch.lkx'));
      document.querySelector('h1')?.dispatchEvent(new DragEvent('drop', { dataTransfer: items, bubbles: true, cancelable: true }));
    }, b64);
    await verdict().waitFor();
    expect(await verdict().innerText()).toContain('This is what the hub recorded');
  });

  it.each([
    ['a picture', 'footage', { op: 'flip', file: 'parts/video', at: 500 }],
    ['the movie', 'footage', { op: 'flip', file: 'video.mp4', at: -200 }],
    ['a part left out', 'footage', { op: 'part', file: 'parts/video', at: 4 }],
    ['a statement', 'chain', { op: 'flip', file: 'chain/000001', at: 300 }],
    ['a key', 'footage', { op: 'flip', file: 'keys', at: -1 }],
  ])('is told by name when %s was changed', async (_what, step, change) => {
    await checks(await forged(`${step}.lkx`, change));
    expect(await verdict().innerText()).toContain('does not hold what it says');
    await page.getByTestId(`failed-${step}`).waitFor();
    await expectAccessible(page);
  });

  it('is told that it is no whole file when something broke off or was changed on the way', async () => {
    for (const change of [{ op: 'cut', at: 30_000 }, { op: 'bit', at: 90_000 }, { op: 'more', new: 'x' }]) {
      await checks(await forged('broken.lkx', change));
      await eventually(async () => expect(await verdict().innerText()).toContain('no whole file of evidence'));
    }
  });

  it('can bring the operator’s keys himself', async () => {
    const policy = join(latchkey.dir, 'policy');
    await writeFile(policy, await (await fetch(`${origin}/log/policy`)).text());
    await page.getByText('Whose signatures of the public log count?').click();
    await page.getByTestId('policy').setInputFiles(policy);
    await page.getByText('policy counts.').waitFor();
    await checks(whole);
    await eventually(async () => expect(await page.getByTestId('not-proven').innerText()).not.toContain('came from the file'));
  });

  it('sent nothing to anybody, and the page made no error', () => {
    expect(requests).toEqual([]);
    expect(complaints).toEqual([]);
  });
});

describe.each(LOOKS)('$title', ({ title, size, scheme }) => {
  it.each(['empty', 'holds', 'fails'] as const)('%s', async (state) => {
    const context = await browser.newContext({ viewport: size, colorScheme: scheme, reducedMotion: 'reduce' });
    const shown = await context.newPage();
    try {
      await shown.goto(`${origin}/verify`);
      await shown.getByRole('button', { name: 'Choose a file' }).waitFor();
      if (state !== 'empty') {
        await shown.getByTestId('file').setInputFiles(state === 'holds' ? whole : await forged('look.lkx', { op: 'flip', file: 'parts/video', at: 500 }));
        await shown.getByTestId('verdict').waitFor();
      }
      if (LOOK !== undefined) await shown.screenshot({ path: join(LOOK, `verify-${state}-${title.replace(' ', '-')}.png`), fullPage: true });
      expect(await shown.evaluate(misfits)).toEqual([]);
      await expectAccessible(shown);
    } finally {
      await context.close();
    }
  });
});
