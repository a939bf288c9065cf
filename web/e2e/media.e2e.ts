/** Cameras with sound, and one whose picture this browser cannot play. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, expectMoving, openPage, startBrowser } from './browser';
import { freePort, Latchkey } from './latchkey';

const TONE_HZ = 440;
/** What browsers with a window do, this one does without. */
const STRICT = '--autoplay-policy=document-user-activation-required';

const PRESSED = 'sound was pressed';

let latchkey: Latchkey;
let browser: Browser;
let page: Page;
let origin: string;
let code: string;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser(STRICT)]);
  [, origin = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
  const made = JSON.parse(await latchkey.run('ann', ['household', 'create', '--server', origin, '--name', 'Loud house', '--as', 'Ann', '--json'])) as { recovery_code: string };
  code = made.recovery_code;
  const [, pair = ''] = await latchkey.start('ann', ['hub', 'invite', '--json'], /"code":\s*"([^"]+)"/);
  await latchkey.start('hub', ['hub', 'run', '--server', origin, '--data', join(latchkey.dir, 'hub'), '--pair', pair], /paired/);
  ({ page } = await openPage(browser, origin));
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

/** Ten seconds of moving test picture, coded and sounding as told. */
async function film(name: string, ...coding: string[]): Promise<string> {
  const file = join(latchkey.dir, name);
  const picture = ['-f', 'lavfi', '-i', 'testsrc2=size=320x180:rate=15', '-f', 'lavfi', '-i', `sine=frequency=${TONE_HZ}:sample_rate=48000`];
  await promisify(execFile)('ffmpeg', ['-v', 'error', ...picture, '-t', '10', '-g', '15', '-bf', '0', '-pix_fmt', 'yuv420p', ...coding, file]);
  return file;
}

/** A camera that plays the file, under an address of its own. */
async function play(file: string, name: string): Promise<string> {
  const address = `rtsp://127.0.0.1:${await freePort()}/${name}`;
  await latchkey.start(`camera-${name}`, ['camera', 'simulate', file, '--listen', address], /Playing/);
  return address;
}

const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast'];
const SOUND = ['-c:a', 'aac'];

const picture = (camera: string): Locator => page.getByRole('img', { name: new RegExp(`^${camera}, `) });

async function open(camera: string): Promise<void> {
  await page.goto(`${origin}/`);
  await page.locator('article').filter({ hasText: camera }).getByRole('link').first().click({ timeout: 30_000 });
}

describe('a camera with sound', () => {
  it('is silent until asked, then sounds like its room', async () => {
    await latchkey.run('ann', ['camera', 'add', 'hall', await play(await film('hall.mp4', ...H264, ...SOUND), 'hall'), '--audio']);
    await page.goto(`${origin}/#recover=${code}`);
    await page.getByRole('heading', { level: 1, name: 'Loud house' }).waitFor({ timeout: 30_000 });
    await open('hall');
    await expectMoving(picture('hall'));
    expect(await muted()).toBe(true);
    await page.getByRole('button', { name: 'Turn sound on' }).click();
    await expectMoving(picture('hall'));
    expect(await muted()).toBe(false);
    await eventually(async () => expect(Math.abs((await pitch()) - TONE_HZ)).toBeLessThan(15));
    console.log(`live with sound: ${await picture('hall').getAttribute('aria-label')}`);
  });

  it('plays without sound where the browser refuses it, and sounds at the first touch', async () => {
    const fresh = await page.context().newPage();
    await fresh.addInitScript(pressSoundOnce, PRESSED);
    // Whatever asks the page something counts as a touch: only listen until the button was pressed.
    const pressed = fresh.waitForEvent('console', { predicate: (said) => said.text() === PRESSED, timeout: 60_000 });
    await fresh.goto(page.url());
    await pressed;
    await fresh.waitForTimeout(1000);
    await fresh.getByText('Sound starts when you touch the picture.').waitFor({ timeout: 30_000 });
    expect(await fresh.locator('video').evaluate((v: HTMLVideoElement) => v.muted)).toBe(true);
    await fresh.getByRole('img', { name: /^hall, / }).click();
    await eventually(async () => expect(await fresh.locator('video').evaluate((v: HTMLVideoElement) => v.muted)).toBe(false));
    await fresh.close();
  });
});

describe('a camera with H.265', () => {
  it('shows its small stream, and says why', async () => {
    const main = await play(await film('yard.mp4', '-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=error', '-tag:v', 'hvc1', '-an'), 'yard');
    const sub = await play(await film('yard-sub.mp4', ...H264, '-an'), 'yard-sub');
    await latchkey.run('ann', ['camera', 'add', 'yard', main, '--sub', sub]);
    await open('yard');
    expect(await page.evaluate(() => MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L60.90"'))).toBe(false);
    await page.getByText('This browser cannot play the camera’s H.265 picture: showing the small stream.').waitFor({ timeout: 30_000 });
    await expectMoving(picture('yard'));
  });
});

const muted = (): Promise<boolean> => picture('hall').locator('video').evaluate((video: HTMLVideoElement) => video.muted);

/** The loudest frequency that the element plays, in Hz. */
function pitch(): Promise<number> {
  return picture('hall').locator('video').evaluate(async (video: HTMLVideoElement & { ears?: AnalyserNode }) => {
    if (video.ears === undefined) {
      const audio = new AudioContext();
      const ears = new AnalyserNode(audio, { fftSize: 8192 });
      audio.createMediaElementSource(video).connect(ears).connect(audio.destination);
      await audio.resume();
      video.ears = ears;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const { ears } = video;
    const loud = new Float32Array(ears.frequencyBinCount);
    ears.getFloatFrequencyData(loud);
    return (loud.indexOf(Math.max(...loud)) * ears.context.sampleRate) / ears.fftSize;
  });
}

/** In a page that nobody has touched yet: presses the button as a script, which counts as no touch. */
function pressSoundOnce(word: string): void {
  const timer = setInterval(() => {
    const button = document.querySelector<HTMLButtonElement>('button[aria-label="Turn sound on"]:not(:disabled)');
    const video = document.querySelector('video');
    if (button === null || video === null || video.readyState < 3) return;
    clearInterval(timer);
    button.click();
    console.log(word);
  }, 200);
}
