/**
 * The story of a link: an owner shares a stretch with a touch; somebody who was
 * never here opens it and sees exactly those seconds; the owner sees that it was
 * opened, and ends it. All of it is recorded: no secret is in it, and nobody
 * else was asked (claims C4, C17, C18).
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBinary } from '@bufbuild/protobuf';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OpenLinkResponse, OpenLinkResponseSchema } from '../src/api/latchkey/v1/link_pb';
import { hex, own } from '../src/crypto/bytes';
import { parseEpochNote } from '../src/crypto/epoch';
import { kdf } from '../src/crypto/hash';
import { Link } from '../src/crypto/link';
import { parseNote } from '../src/crypto/note';
import { next } from '../src/crypto/part';
import { parseStatement } from '../src/crypto/statement';
import { Between } from './between';
import { eventually, expectAccessible, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { addsCamera, authenticator, connectsHub, founds, go, press } from './person';
import { type Recorded, search } from './secrets';

/** First load of the stranger's page, compressed, with the worker that opens. */
const FIRST_LOAD = 150_000;
const SECONDS = 6;

let latchkey: Latchkey;
let between: Between;
let browser: Browser;
let cloud: string;
let origin: string;
let ann: Page;
let stranger: Page;
let complaints: string[];
let link = '';
let begin = 0;
const recorded: Recorded[] = [];
const opened: OpenLinkResponse[] = [];

function record(page: Page, who: string): void {
  const take = (where: string, text: string): void => void recorded.push({ where: `${who}: ${where}`, bytes: Buffer.from(text) });
  page.on('console', (m) => take('console', m.text()));
  page.on('pageerror', (e) => take('error', `${e.message}\n${e.stack ?? ''}`));
  page.on('request', (r) => take('url', `${r.url().replace(/#.*$/, '')}\n${JSON.stringify(r.headers())}`));
}

async function arrives(): Promise<void> {
  ({ page: stranger, complaints } = await openPage(browser, origin));
  record(stranger, 'stranger');
}

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, cloud = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0'], /listens on (http:\/\/\S+)/);
  between = await Between.start(cloud);
  // Passkeys belong to names.
  origin = between.origin.replace('127.0.0.1', 'localhost');
  between.heard = (where, bytes) => {
    recorded.push({ where, bytes });
    if (where.endsWith('/OpenLink') && where.startsWith('answer to')) {
      try {
        opened.push(fromBinary(OpenLinkResponseSchema, bytes));
      } catch {
        // A refusal is JSON.
      }
    }
  };
  ({ page: ann } = await openPage(browser, origin));
  record(ann, 'ann');
});
afterAll(async () => {
  await browser?.close();
  await between?.stop();
  await latchkey?.stop();
});

const dialogOf = (page: Page) => page.locator('dialog[open]');

/** Local time to the second, as a field takes it. */
const fieldOf = (ms: number): string => {
  const two = (n: number): string => String(n).padStart(2, '0');
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
};

describe('an owner with a passkey', () => {
  it('has a camera that has recorded a while', async () => {
    await founds(ann, origin, 'Elm Street 4', 'Ann Bishop');
    await connectsHub(ann, latchkey, origin, cloud);
    await addsCamera(ann, latchkey, 'Porch', 'porch.mp4');
    await authenticator(ann);
    await go(ann, '#/settings/passkeys');
    await ann.getByLabel('Name of the passkey').fill('My key on a ring');
    await press(ann, 'Add a passkey');
    await ann.getByText('Your passkey is added.').waitFor();
    begin = Math.ceil(Date.now() / 1000) * 1000;
    await eventually(async () => expect(Date.now()).toBeGreaterThan(begin + (SECONDS + 8) * 1000));
  });

  it('selects a stretch, sees what will be seen, and shares it by one touch', async () => {
    await go(ann, '#/');
    await ann.locator('article').getByRole('link').first().click();
    await ann.getByRole('button', { name: 'Select a stretch' }).click();
    await ann.getByLabel('From', { exact: true }).fill(fieldOf(begin));
    await ann.getByLabel('To', { exact: true }).fill(fieldOf(begin + SECONDS * 1000));
    await ann.getByRole('button', { name: 'Share', exact: true }).click();
    const dialog = dialogOf(ann);
    await dialog.getByText(`(${SECONDS} s long, without sound)`).waitFor();
    await dialog.getByText(/^First picture, \d\d:\d\d:\d\d/).waitFor();
    await dialog.getByLabel('A note (optional)').fill('The parcel of this morning');
    await expectAccessible(ann);
    await dialog.getByRole('button', { name: 'Share', exact: true }).click();
    await dialog.getByText(/^The link is ready/).waitFor({ timeout: 60_000 });
    await expectAccessible(ann);
    link = (await ann.getByTestId('share-link').innerText()).trim();
    expect(link).toMatch(/^http:\/\/localhost:\d+\/s#LK1\.[A-Za-z0-9_-]{43}$/);
    await dialog.getByRole('button', { name: 'Done' }).click();
  });
});

describe('somebody with the link, in a browser that was never here', () => {
  it('sees who shared it, what, and a picture that moves, on a light load', async () => {
    await arrives();
    await stranger.goto(link);
    await stranger.getByRole('heading', { level: 1, name: 'Ann Bishop shared this with you' }).waitFor({ timeout: 30_000 });
    expect(stranger.url()).toBe(`${origin}/s`);
    await stranger.getByTestId('what').filter({ hasText: 'Porch' }).waitFor();
    expect(await stranger.getByTestId('note').textContent()).toBe('The parcel of this morning');
    await expectMoving(stranger.getByRole('img', { name: /^Porch, / }));
    const loaded = await stranger.evaluate(() =>
      [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .filter((entry): entry is PerformanceResourceTiming => entry instanceof PerformanceResourceTiming && !/\/(v1|latchkey\.v1|log)/.test(entry.name))
        .reduce((sum, entry) => sum + entry.encodedBodySize, 0),
    );
    console.log(`first load of a link: ${loaded} bytes`);
    expect(loaded).toBeGreaterThan(50_000);
    expect(loaded).toBeLessThan(FIRST_LOAD);
    await expectAccessible(stranger);
  });

  it('is told what was checked and what was not', async () => {
    await stranger.getByTestId('verified').click();
    await stranger.getByText(/stands in the public log/).waitFor();
    await stranger.getByText(/This page itself came from localhost/).waitFor();
    await expectAccessible(stranger);
  });

  it('is given exactly those seconds, whatever is asked for', async () => {
    const starts = new Map(opened[0]!.epochs.map((e) => {
      const note = parseEpochNote(parseNote(own(e.note)));
      return [hex(note.epoch), note.start];
    }));
    const { body } = parseStatement(parseNote(own(opened[0]!.note)));
    if (body.type !== 'grant') throw new Error('no grant');
    expect(body.tracks).toHaveLength(1);
    const [line] = body.tracks;
    expect([line!.from, line!.until]).toEqual([begin / 1000, begin / 1000 + SECONDS]);
    const path = `/v1/links/${hex(body.to)}/${hex(line!.track)}?from=${line!.from - 20}&to=${line!.until + 20}&max=4194304`;
    const reply = await fetch(`${cloud}${path}`);
    expect(reply.status).toBe(200);
    const seconds = new Set<number>();
    for (let rest = new Uint8Array(await reply.arrayBuffer()); rest.length > 0; ) {
      const part = next(rest);
      if (part === null) throw new Error('a part that is cut off');
      seconds.add((starts.get(hex(part.header.epoch)) ?? 0) + part.header.slot - line!.from);
      rest = rest.subarray(part.raw.length);
    }
    expect([...seconds].sort((a, b) => a - b)).toEqual(Array.from({ length: SECONDS }, (_, i) => i));
    const other = hex(line!.track).replace(/^./, (c) => (c === '0' ? '1' : '0'));
    expect((await fetch(`${cloud}/v1/links/${hex(body.to)}/${other}?from=0`)).status).toBe(404);
  });

  it('plays to the end of it, and again', async () => {
    await stranger.getByRole('button', { name: 'Play again' }).waitFor({ timeout: 60_000 });
    const slider = stranger.getByRole('slider', { name: 'Place in the recording' });
    const [shown, first, last] = await slider.evaluate((e: HTMLInputElement) => [e.value, e.min, e.max].map(Number));
    expect(first).toBeGreaterThanOrEqual(begin);
    expect(last).toBe(begin + SECONDS * 1000);
    expect(shown).toBeLessThanOrEqual(last!);
    expect(shown).toBeGreaterThan(last! - 2000);
    await stranger.getByRole('button', { name: 'Play again' }).click();
    await stranger.getByRole('button', { name: 'Pause' }).waitFor();
  });

  it('takes it home as an mp4', async () => {
    const [download] = await Promise.all([stranger.waitForEvent('download', { timeout: 60_000 }), press(stranger, 'Download as MP4')]);
    expect(download.suggestedFilename()).toMatch(/^porch-.*\.mp4$/);
    const bytes = await readFile(await download.path());
    expect(bytes.length).toBeGreaterThan(20_000);
    expect(bytes.subarray(4, 8).toString('latin1')).toBe('ftyp');
  });

  it('opens it with the command line too', async () => {
    const file = join(latchkey.dir, 'parcel.mp4');
    await latchkey.run('stranger', ['open', link, '-o', file]);
    expect((await readFile(file)).length).toBeGreaterThan(20_000);
  });

  it('left nothing in the browser, and no secret in its history', async () => {
    const kept = await stranger.evaluate(async () => ({
      local: localStorage.length, session: sessionStorage.length, cookie: document.cookie, caches: await caches.keys(),
      databases: (await indexedDB.databases()).length, workers: (await navigator.serviceWorker.getRegistrations()).length,
      state: JSON.stringify(history.state), href: location.href,
    }));
    expect(kept).toEqual({ local: 0, session: 0, cookie: '', caches: [], databases: 0, workers: 0, state: 'null', href: `${origin}/s` });
  });

  it('has to bring the whole link again after a reload', async () => {
    await stranger.reload();
    await stranger.getByText('This is not a whole link.').waitFor();
    await expectAccessible(stranger);
  });
});

describe('the owner, afterwards', () => {
  it('sees that it was opened, and ends it by a touch', async () => {
    await go(ann, '#/access');
    await ann.getByTestId('share').getByText(/^By link/).waitFor();
    await go(ann, '#/shared');
    await eventually(async () => expect(await ann.getByTestId('views').textContent()).toMatch(/^Opened 2 times, last .*by the server’s count$/));
    await expectAccessible(ann);
    await ann.getByRole('button', { name: /^End: Porch/ }).click();
    await dialogOf(ann).getByText(/which you cannot verify/).waitFor();
    await dialogOf(ann).getByRole('button', { name: 'End it' }).click();
    await ann.getByText(/^Nothing is shared right now/).waitFor();
  });

  it('has ended it for whoever comes now', async () => {
    await stranger.goto(link);
    await stranger.getByText('This link does not work (any more).').waitFor();
    await expectAccessible(stranger);
    const { body } = parseStatement(parseNote(own(opened[0]!.note)));
    if (body.type !== 'grant') throw new Error('no grant');
    expect((await fetch(`${cloud}/v1/links/${hex(body.to)}/${hex(body.tracks[0]!.track)}?from=${begin / 1000}`)).status).toBe(404);
  });
});

describe('what was recorded', () => {
  it('has nothing of the secret, and no name', async () => {
    const fragment = new URL(link).hash;
    const secret = Buffer.from(fragment.slice('#LK1.'.length), 'base64url');
    const { kid } = await Link.parse(fragment);
    expect(recorded.length).toBeGreaterThan(100);
    // It would be found: the kid is.
    expect(search(recorded, [{ name: 'kid', bytes: kid }])).not.toEqual([]);
    expect(search(recorded, [{ name: 'secret', bytes: secret }, { name: 'seed', bytes: kdf(own(secret), 'link seed', new Uint8Array()) }])).toEqual([]);
    for (const word of ['Elm Street', 'Ann Bishop', 'Porch', 'The parcel of this morning']) {
      expect(recorded.filter((r) => /^(request|answer to|socket)/.test(r.where) && r.bytes.includes(word)).map((r) => `${word} in ${r.where}`)).toEqual([]);
    }
  });

  it('went to nobody but the server, and the page made no error', () => {
    expect(complaints.filter((c) => !c.includes('status of 404'))).toEqual([]);
  });
});
