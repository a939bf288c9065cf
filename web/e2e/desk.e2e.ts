/**
 * The story of a ticket at the desk: somebody of support joins with an
 * invitation, keys made in his browser; a household lets him see its health, then
 * some seconds of its porch with two keys; the log says so first; the picture
 * names him; a revocation ends it within a second. An auditor counts it.
 */
import { mkdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findMark, markKey, surely } from '../src/desk/hidden';
import { difference, eventually, expectAccessible, expectMoving, glass, openPage, startBrowser } from './browser';
import { greyIn } from './grey';
import { Latchkey } from './latchkey';
import { LOOK, LOOKS, misfits } from './looks';
import { press } from './person';

const SECONDS = 8;
/** First load of the desk, compressed, with its worker. */
const FIRST_LOAD = 150_000;

let latchkey: Latchkey;
let browser: Browser;
let origin: string;
let ann: string;
let root: string;
let agent: Page;
let auditor: Page;
let complaints: string[];
let grant = '';
let first = 0;
let begin = 0;
let leaked: Buffer;
let scratch: Page;

const at = (ms: number): string => new Date(ms).toISOString();
const says = async <T>(who: string, ...args: string[]): Promise<T> => JSON.parse(await latchkey.run(who, [...args, '--json'])) as T;
const picture = () => agent.getByRole('img', { name: /^porch, / });

async function joins(page: Page, id: string, role: string): Promise<void> {
  const said = await latchkey.run(root, ['staff', 'invite', '--role', role, '--server', origin]);
  await page.goto(said.trim());
  await page.getByRole('heading', { level: 1, name: 'Join the desk' }).waitFor();
  expect(page.url()).toBe(`${origin}/desk`);
  await page.getByLabel('Your name at the desk').fill(id);
  expect(await page.getByRole('button', { name: 'Make my keys and apply' }).isEnabled()).toBe(false);
  await page.getByLabel('I have read this').check();
  await expectAccessible(page);
  await press(page, 'Make my keys and apply');
  await page.getByTestId('waiting').waitFor();
  await latchkey.run(root, ['staff', 'sign', id, '--server', origin]);
  await page.getByTestId('who').filter({ hasText: `${id}, ${role}` }).waitFor({ timeout: 30_000 });
}

async function opens(ticket: number): Promise<void> {
  await agent.goto(`${origin}/desk#/ticket/${ticket}`);
  await agent.getByRole('heading', { level: 1, name: `Ticket ${ticket}` }).waitFor();
}

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  const [, cloud = '', home = ''] = await latchkey.start('demo', ['demo', '--listen', '127.0.0.1:0'], /(http:\/\/127\.0\.0\.1:\d+)\/#recover=[\s\S]*LATCHKEY_HOME=(\S+)\n[\s\S]*Ctrl-C/);
  origin = cloud;
  ann = relative(latchkey.dir, home.replace(/\/agent$/, ''));
  root = join(ann, 'staff-root');
  begin = Math.ceil(Date.now() / 1000) * 1000;
  ({ page: agent, complaints } = await openPage(browser, origin));
  auditor = (await openPage(browser, origin)).page;
  scratch = await browser.newPage();
  for (const page of [agent, auditor]) page.setDefaultTimeout(20_000);
  first = (await says<{ ticket: number }>(ann, 'ticket', 'open', 'The driveway is dark', '--topic', 'other')).ticket;
  // A second one keeps the other agent busy: the next goes to whoever has the fewest.
  await latchkey.run(ann, ['ticket', 'open', 'And the clock is wrong', '--topic', 'clock']);
  if (LOOK !== undefined) await mkdir(LOOK, { recursive: true });
});
afterAll(async () => {
  await browser?.close();
  await latchkey?.stop();
});

describe('somebody of support', () => {
  it('has no way in without an invitation', async () => {
    await agent.goto(`${origin}/desk`);
    await agent.getByText('Nobody of staff lives in this browser.').waitFor();
    await expectAccessible(agent);
  });

  it('joins with one, and is in once the staff root has signed', async () => {
    await joins(agent, 'tim', 'support');
    const loaded = await agent.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
      .filter((e) => !e.name.includes('latchkey.v1') && !e.name.includes('/log/')).reduce((n, e) => n + (e as PerformanceResourceTiming).encodedBodySize, 0));
    expect(loaded).toBeGreaterThan(20_000);
    expect(loaded).toBeLessThan(FIRST_LOAD);
  });

  it('is still there after a reload, and kept nothing in clear', async () => {
    await agent.reload();
    await agent.getByTestId('who').waitFor();
    const kept = await agent.evaluate(async () => ({ local: localStorage.length, session: sessionStorage.length, cookie: document.cookie, caches: await caches.keys() }));
    expect(kept).toEqual({ local: 0, session: 0, cookie: '', caches: [] });
  });

  it('takes a ticket of another’s; what was written before stays sealed', async () => {
    await press(agent, `Take ticket ${first}`);
    await agent.getByRole('heading', { level: 1, name: `Ticket ${first}` }).waitFor();
    await agent.getByText('Nothing that you can read was written yet.').waitFor();
    await latchkey.run(ann, ['ticket', 'close', String(first)]);
  });
});

describe('a ticket', () => {
  let ticket = 0;

  it('comes with words that only he and the household read', async () => {
    ticket = (await says<{ ticket: number; agent: string }>(ann, 'ticket', 'open', 'The porch is dark at night', '--topic', 'codec')).ticket;
    await agent.goto(`${origin}/desk#/`);
    await press(agent, 'Look again');
    await agent.getByRole('link', { name: `Open Ticket ${ticket}` }).click();
    await agent.getByTestId('letters').getByText('The porch is dark at night').waitFor();
    await agent.getByLabel('Write to the household').fill('Which minute is it?');
    await press(agent, 'Send');
    await agent.getByTestId('letters').getByText('Which minute is it?').waitFor();
    const { letters } = await says<{ letters: { by: string; text: string; staff: boolean }[] }>(ann, 'ticket', 'show', String(ticket));
    expect(letters[1]).toMatchObject({ by: 'tim', text: 'Which minute is it?', staff: true });
  });

  it('shows the health of devices, with what it points to', async () => {
    await eventually(async () => {
      await press(agent, 'Look again');
      await agent.getByTestId('hub').first().waitFor({ timeout: 2000 });
    }, 60_000);
    const hub = agent.getByTestId('hub').first();
    await hub.getByRole('rowheader', { name: /^Camera 1/ }).waitFor();
    expect(await hub.innerText()).toMatch(/recording[\s\S]*avc1/);
    await expectAccessible(agent);
  });

  it('asks for footage with a reason', async () => {
    await agent.getByText('Ask for footage', { exact: true }).click();
    await agent.getByLabel('Why do you have to see it?').fill('to see whether the lamp is on');
    await press(agent, 'Write it down');
    expect(await agent.getByLabel('Write to the household').inputValue()).toMatch(/Why: to see whether the lamp is on\. From .* grant it to “tim”/);
    await press(agent, 'Send');
    await agent.getByTestId('letters').getByText(/whether the lamp is on/).waitFor();
    await expect(agent.getByText('The household has granted you no footage').waitFor()).resolves.toBeUndefined();
  });

  it('opens what was granted: log first, then the second key, then the picture with his name', async () => {
    await eventually(async () => expect(Date.now()).toBeGreaterThan(begin + (SECONDS + 6) * 1000));
    ({ id: grant } = await says<{ id: string }>(ann, 'grant', 'porch', '--to', 'staff:tim', '--from', at(begin), '--to', at(begin + SECONDS * 1000)));
    await press(agent, 'Look again');
    const row = agent.getByTestId('grant');
    await row.filter({ hasText: 'porch' }).waitFor();
    await expectAccessible(agent);
    await row.getByRole('button', { name: 'Open these seconds' }).click();
    await expectMoving(picture());
    expect(await agent.getByTestId('mark').textContent()).toMatch(new RegExp(`^tim · ticket ${ticket} · \\d{4}-.*Z$`));
    await expectAccessible(agent);
    const { openings } = await says<{ openings: { camera: string; footage: { from: string; to: string }[] }[] }>(ann, 'ticket', 'show', String(ticket));
    expect(openings.map((o) => [o.camera, Date.parse(o.footage[0]?.from ?? ''), Date.parse(o.footage[0]?.to ?? '')])).toEqual([['porch', begin, begin + SECONDS * 1000]]);
    expect(await agent.getByRole('button', { name: /download|save/i }).count()).toBe(0);
  });

  it('has a mark that moves, also over the whole screen', async () => {
    const before = await agent.getByTestId('mark').getAttribute('x');
    await eventually(async () => expect(await agent.getByTestId('mark').getAttribute('x')).not.toBe(before));
    const without = await glass(picture());
    expect(difference(without, without)).toBe(0);
    expect(await agent.getByTestId('watermark').evaluate((mark) => mark.closest('[role=img]')?.contains(mark.ownerDocument.querySelector('video')))).toBe(true);
  });

  it('has a second mark that nobody sees, and that a screenshot keeps', async () => {
    await agent.waitForTimeout(500);
    leaked = await picture().screenshot({ type: 'jpeg', quality: 75 });
    const mine = markKey('tim', ticket);
    const [best, next] = findMark(await greyIn(scratch, leaked, { part: 0.5 }), [mine, ...Array.from({ length: 100 }, (_, i) => markKey(`a${i}`, i))]);
    expect([best?.key, (best?.score ?? 0) > surely, (next?.score ?? 0) < surely]).toEqual([mine, true, true]);
  });

  if (LOOK !== undefined) it('looks', async () => {
    for (const { title, size, scheme } of LOOKS) {
      await agent.emulateMedia({ colorScheme: scheme });
      await agent.setViewportSize(size);
      await agent.screenshot({ path: join(LOOK ?? '', `desk-view-${title.replace(' ', '-')}.png`), fullPage: true });
    }
    await agent.setViewportSize({ width: 1280, height: 900 });
  });

  it('ends with the household’s revocation, picture and all', async () => {
    const gone = agent.getByTestId('over').waitFor({ timeout: 20_000 }).then(() => Date.now());
    await latchkey.run(ann, ['revoke', grant]);
    const revoked = Date.now();
    const ended = await gone;
    console.log(`revoked to gone: ${ended - revoked} ms after the command returned`);
    expect(await agent.locator('video').count()).toBe(0);
    await expectAccessible(agent);
    await press(agent, 'Look again');
    await agent.getByText('The household has granted you no footage').waitFor();
  });

  it('fits on a phone and on a desk, light and dark', async () => {
    for (const { title, size, scheme } of LOOKS) {
      await agent.emulateMedia({ colorScheme: scheme });
      await agent.setViewportSize(size);
      for (const [name, hash] of [['ticket', `#/ticket/${ticket}`], ['tickets', '#/'], ['explain', '#/explain'], ['mine', '#/mine']] as const) {
        await agent.evaluate((to) => void (location.hash = to), hash);
        await agent.getByRole('heading', { level: 1 }).waitFor();
        await agent.waitForTimeout(300);
        if (LOOK !== undefined) await agent.screenshot({ path: join(LOOK, `desk-${name}-${title.replace(' ', '-')}.png`), fullPage: true });
        expect(await agent.evaluate(misfits)).toEqual([]);
        await expectAccessible(agent);
      }
    }
    await agent.setViewportSize({ width: 1280, height: 900 });
  });

  it('is shut with the household’s word', async () => {
    await latchkey.run(ann, ['ticket', 'close', String(ticket)]);
    await opens(ticket);
    await press(agent, 'Look again');
    expect(await agent.getByTestId('problem').innerText()).toMatch(/A rule says no:.*without a ticket/);
    await expectAccessible(agent);
  });
});

describe('whoever asks', () => {
  it('is told what the rules would say, by name and version', async () => {
    await agent.goto(`${origin}/desk#/explain`);
    await agent.getByLabel('wants to').selectOption('watch');
    await press(agent, 'Ask');
    const answer = agent.getByTestId('answer');
    await answer.getByText('No', { exact: true }).waitFor();
    expect(await answer.innerText()).toMatch(/Rule granted[\s\S]*By the rules [0-9a-f]{64}/);
    await agent.getByLabel('the household has granted it to them').check();
    await press(agent, 'Ask');
    await answer.getByText('Yes', { exact: true }).waitFor();
    await expectAccessible(agent);
  });

  it('sees what he asked himself, with the rules that answered', async () => {
    await agent.goto(`${origin}/desk#/mine`);
    await agent.getByTestId('mine').getByRole('row').filter({ hasText: 'refused' }).filter({ hasText: 'no-ticket-no-look' }).first().waitFor();
    await agent.getByText('Nothing of a household is shown without a ticket that it has opened.').waitFor();
    await expectAccessible(agent);
  });
});

describe('an auditor', () => {
  it('sees what staff asked, as figures that the command line counts, too', async () => {
    await joins(auditor, 'olga', 'auditor');
    const rows = auditor.getByTestId('decisions').getByRole('row');
    await rows.filter({ hasText: 'watch footage' }).first().waitFor();
    expect(await rows.filter({ hasText: 'refused' }).filter({ hasText: 'tim' }).count()).toBeGreaterThan(0);
    await auditor.getByText('latchkey staff audit --since -24h --json').waitFor();
    await auditor.getByTestId('mark-file').setInputFiles({ name: 'leaked.jpg', mimeType: 'image/jpeg', buffer: leaked });
    await auditor.getByTestId('mark-found').filter({ hasText: 'It has the mark of tim, ticket 3.' }).waitFor();
    await expectAccessible(auditor);
    for (const { title, size, scheme } of LOOKS) {
      await auditor.emulateMedia({ colorScheme: scheme });
      await auditor.setViewportSize(size);
      if (LOOK !== undefined) await auditor.screenshot({ path: join(LOOK, `desk-audit-${title.replace(' ', '-')}.png`), fullPage: true });
      expect(await auditor.evaluate(misfits)).toEqual([]);
    }
  });

  it('sees nothing of a household', async () => {
    await auditor.goto(`${origin}/desk#/ticket/1`);
    expect(await auditor.getByTestId('problem').innerText()).toContain('A rule says no');
    await auditor.goto(`${origin}/desk#/audit`);
  });

  it('ends his shift, and lets go of his keys', async () => {
    const page = auditor;
    await page.setViewportSize({ width: 1280, height: 900 });
    await press(page, 'End my shift');
    await press(page, 'Begin a shift');
    await page.getByTestId('decisions').waitFor();
    await press(page, 'End my shift');
    await press(page, 'Forget my keys');
    await expectAccessible(page);
    await press(page, 'Forget them');
    await page.getByText('Nobody of staff lives in this browser.').waitFor();
    await page.reload();
    await page.getByText('Nobody of staff lives in this browser.').waitFor();
  });

});

describe('the page', () => {
  it('asked nobody else, and made no error', () => {
    expect(complaints.filter((c) => !/status of 40[134]/.test(c))).toEqual([]);
  });
});
