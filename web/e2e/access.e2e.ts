/**
 * The story of the public log in the browser: a home is complete and verified,
 * somebody is let in and that is proven, and a server that shows another log, or
 * keeps a statement back, is loud on every page (claims C12, C24).
 */
import { readFile } from 'node:fs/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { GetChainResponseSchema } from '../src/api/latchkey/v1/latchkey_pb';
import { own, parseB64 } from '../src/crypto/bytes';
import { encodeEntry } from '../src/ledger/leaf';
import { Policy } from '../src/ledger/policy';
import { checkProof, parseProof } from '../src/ledger/proof';
import { Between } from './between';
import { eventually, expectAccessible, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { digits, go, invites, press } from './person';

/** The demo's witnesses and its auditor come when they come. */
const PROVEN_MS = 80_000;

let latchkey: Latchkey;
let between: Between;
let browser: Browser;
let cloud: string;
let code: string;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, cloud = '', code = ''] = await latchkey.start('demo', ['demo', '--listen', '127.0.0.1:0'], /(http:\/\/127\.0\.0\.1:\d+)\/#recover=(\S+)/);
  between = await Between.start(cloud);
  ({ page, complaints } = await openPage(browser, between.origin));
  await page.goto(`${between.origin}/#recover=${code}`);
  await page.getByTestId('state-line').waitFor({ timeout: 30_000 });
});
afterAll(async () => {
  await browser?.close();
  await between?.stop();
  await latchkey?.stop();
});

afterEach(() => between.honest());

const row = (text: string | RegExp) => page.getByTestId('access-rows').locator('li[data-seq]').filter({ hasText: text }).first();

async function expectLog(state: 'complete' | 'broken', timeout = PROVEN_MS): Promise<void> {
  await page.locator(`[data-testid=log-state][data-state=${state}]`).waitFor({ timeout });
}

/** The page as somebody opens it: what it remembers is in the browser's store. */
async function reopen(hash: string): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${between.origin}/${hash}`);
}

describe('the Access page of a home', () => {
  it('says that everything is complete and verified, and who watches', async () => {
    await go(page, '#/access');
    await expectLog('complete');
    await page.getByText('2 witnesses and 1 auditor, who need not answer to the operator, watch this log.').waitFor();
    await row(/founded the home/).waitFor();
    await expectAccessible(page);
    await go(page, '#/');
    await eventually(async () => expect(await page.getByTestId('state-line').innerText()).toMatch(/All recording\. Complete and verified up to \d\d:\d\d\./));
  });

  it('shows somebody who is let in, first waiting and then proven', async () => {
    const link = await invites(page, { name: 'Cleo Porter', history: 'Nothing from before' });
    const [, read = ''] = await latchkey.start('cleo', ['member', 'join', link, '--as', 'Cleo Porter'], /^\s*((?:\d{4}\s+){5}\d{4})\s*$/m);
    await page.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    expect(await digits(page)).toBe(read.replaceAll(/\D/g, ''));
    await press(page, 'They are the same');
    await page.getByText('Cleo Porter has joined').waitFor({ timeout: 30_000 });
    await go(page, '#/access');
    const hers = row('You let in Cleo Porter as a viewer.');
    await hers.waitFor();
    await hers.getByText('Waiting for the public log').waitFor({ state: 'detached', timeout: PROVEN_MS });
    await page.locator('section[aria-labelledby=access-now]').getByText('Cleo Porter').waitFor();
  });

  it('gives a proof that holds by the log’s own policy', async () => {
    const hers = row('You let in Cleo Porter as a viewer.');
    await hers.getByRole('button', { name: /^Proof of statement/ }).click();
    const saved = page.waitForEvent('download');
    await hers.getByRole('button', { name: 'Download proof' }).click();
    const proof = parseProof(own(await readFile(await (await saved).path())));
    const policy = new Policy(await (await fetch(`${cloud}/log/policy`)).text());
    const hash = parseB64((await hers.locator('dd').last().innerText()).trim(), 32)!;
    expect((await checkProof(proof, policy, encodeEntry({ kind: 'household', tag: proof.extra, value: hash }))).witnessed).not.toBeNull();
    const whole = page.waitForEvent('download');
    await press(page, 'Download proof of completeness');
    expect(await readFile(await (await whole).path(), 'utf8')).toMatch(/^latchkey\/v1 completeness\nseq \d+\n/);
    expect(complaints).toEqual([]);
  });
});

/** Loud on Home, and on Access in words; and, once the server is honest again, solved by somebody who says so. */
async function expectLoud(title: string): Promise<void> {
  await reopen('#/');
  await page.getByRole('alert').filter({ hasText: 'The public log does not fit what this server shows.' }).waitFor({ timeout: PROVEN_MS });
  await eventually(async () => expect(await page.getByTestId('state-line').innerText()).toContain('The public log does not fit'));
  await page.getByRole('link', { name: 'See what is wrong, and what to do' }).click();
  await page.getByRole('heading', { name: title }).waitFor();
  await expectAccessible(page);
}

async function solves(): Promise<void> {
  between.honest();
  await press(page, 'Check again');
  await expectLog('complete');
}

describe('a server that lies about the log', () => {
  it('shows another one under the same keys, which does not go on from what it was', async () => {
    const policy = new Policy(await (await fetch(`${cloud}/log/policy`)).text());
    const year = policy.origin.slice(policy.origin.lastIndexOf('/') + 1);
    const old = Buffer.from(await (await fetch(`${cloud}/log/${year}/checkpoint`)).arrayBuffer());
    // Somebody does something, and this browser sees it proven.
    await changesCleo('Member');
    await reopen('#/access');
    await row(/changed what Cleo Porter may see and do/).waitFor();
    await row(/changed what Cleo Porter may see and do/).getByText('Waiting for the public log').waitFor({ state: 'detached', timeout: PROVEN_MS });
    between.files = (path, body) => (path.endsWith('/checkpoint') ? old : body);
    await expectLoud('The server shows two different logs');
    // It does not heal by the server's going back.
    between.honest();
    await reopen('#/access');
    await expectLog('broken');
    await solves();
  }, 2 * PROVEN_MS);

  it('keeps a statement back that somebody made elsewhere', async () => {
    let shown = 0;
    between.calls = (call, body) => {
      if (call === 'GetChain') shown = Math.max(shown, fromBinary(GetChainResponseSchema, body).notes.length);
      return body;
    };
    await reopen('#/access');
    await expectLog('complete');
    await eventually(async () => expect(shown).toBeGreaterThan(0));
    between.calls = (call, body) => {
      if (call !== 'GetChain') return body;
      const { notes } = fromBinary(GetChainResponseSchema, body);
      // The last one that is known is asked for again.
      return Buffer.from(toBinary(GetChainResponseSchema, create(GetChainResponseSchema, { notes: notes.slice(0, 1) })));
    };
    await changesCleo('Viewer');
    await eventually(async () => {
      await reopen('#/');
      await page.getByRole('alert').filter({ hasText: 'The public log does not fit' }).waitFor({ timeout: 8000 });
    }, PROVEN_MS);
    await page.getByRole('link', { name: 'See what is wrong, and what to do' }).click();
    await page.getByRole('heading', { name: 'The server keeps something back' }).waitFor();
    await solves();
    await row(/changed what Cleo Porter may see and do/).waitFor();
  }, 2 * PROVEN_MS);

  it('names other watchers: they are taken only when somebody says so', async () => {
    between.files = (path, body) => (path === 'policy' ? Buffer.concat([body, Buffer.from('# new friends\n')]) : body);
    await expectLoud('The server names other keys or watchers of the log');
    await press(page, 'Take the new keys and watchers');
    await page.getByText('Only go on when the operator has told you why').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Take the new keys and watchers' }).click();
    await expectLog('complete');
    between.honest();
  });
});

/** The same person, in another browser that nobody lies to, gives Cleo another role. */
async function changesCleo(role: 'Viewer' | 'Member'): Promise<void> {
  const { page: other } = await openPage(browser, cloud);
  await other.goto(`${cloud}/#recover=${code}`);
  await other.getByTestId('state-line').waitFor({ timeout: 30_000 });
  await go(other, '#/people');
  await other.getByRole('link', { name: 'Change Cleo Porter' }).click();
  await other.getByRole('radio', { name: new RegExp(`^${role}`) }).check();
  await press(other, 'Save');
  await other.getByRole('status').filter({ hasText: `${role}.` }).waitFor();
  await other.context().close();
}
