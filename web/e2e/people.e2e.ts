/**
 * The story of several people: one founds a home and adds a passkey, lets in a
 * guest who sees one camera, and somebody who lives in a terminal; removes the
 * guest; comes back by a touch, signs a device out, makes a new code. All of it
 * is recorded, and no secret is in what was recorded (claim C17).
 */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { fromBinary } from '@bufbuild/protobuf';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GetChainResponseSchema, GetVaultResponseSchema } from '../src/api/latchkey/v1/latchkey_pb';
import { hex, own } from '../src/crypto/bytes';
import { parseCode } from '../src/crypto/code';
import { parseNote } from '../src/crypto/note';
import { parseStatement, type TrackDecl } from '../src/crypto/statement';
import { openVault, openWrap, wrapKind } from '../src/crypto/vault';
import { Between } from './between';
import { eventually, expectAccessible, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { addsCamera, authenticator, codeCeremony, connectsHub, digits, follows, founds, go, invites, press, recovers } from './person';
import { type Recorded, search, searchText, type Secret } from './secrets';

let latchkey: Latchkey;
let between: Between;
let browser: Browser;
let cloud: string;
let origin: string;
let ann: Page;
let sam: Page;
let annCode = '';
let samCode = '';
let newCode = '';
const links: string[] = [];
const recorded: Recorded[] = [];
/** the tracks of each camera, in the order they were added */
let cameras: (readonly TrackDecl[])[] = [];

/** Everything a page says or keeps where others could read it. */
function record(page: Page, who: string): void {
  const take = (where: string, text: string): void => void recorded.push({ where: `${who}: ${where}`, bytes: Buffer.from(text) });
  page.on('console', (m) => take('console', m.text()));
  page.on('pageerror', (e) => take('error', `${e.message}\n${e.stack ?? ''}`));
  page.on('request', (r) => take('url', `${r.url()}\n${JSON.stringify(r.headers())}`));
  page.on('websocket', (s) => {
    take('socket', s.url());
    s.on('framesent', ({ payload }) => take('frame', payload.toString()));
  });
}

async function openRecorded(who: string): Promise<Page> {
  const { page } = await openPage(browser, origin);
  record(page, who);
  return page;
}

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, cloud = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
  between = await Between.start(cloud);
  // Passkeys belong to names.
  origin = between.origin.replace('127.0.0.1', 'localhost');
  between.heard = (where, bytes) => {
    recorded.push({ where, bytes });
    if (where.endsWith('/GetChain') && where.startsWith('answer to')) readChain(bytes);
  };
  [ann, sam] = [await openRecorded('ann'), await openRecorded('sam')];
});
afterAll(async () => {
  await browser?.close();
  await between?.stop();
  await latchkey?.stop();
});

function readChain(bytes: Buffer): void {
  for (const raw of fromBinary(GetChainResponseSchema, bytes).notes) {
    const { body } = parseStatement(parseNote(own(raw)));
    if (body.type === 'camera' && !cameras.some((c) => hex(c[0]!.track) === hex(body.tracks[0]!.track))) cameras = [...cameras, body.tracks];
  }
}

const idOf = (name: string): Promise<string | null> => ann.locator('article').filter({ hasText: name }).getAttribute('data-camera');

describe('somebody who founds a home', () => {
  it('has a hub and two cameras', async () => {
    annCode = await founds(ann, origin, 'Elm Street 4', 'Ann Bishop');
    await connectsHub(ann, latchkey, origin, cloud);
    await addsCamera(ann, latchkey, 'Porch', 'porch.mp4');
    await addsCamera(ann, latchkey, 'Driveway', 'driveway.mp4');
    await eventually(async () => expect(cameras).toHaveLength(2));
  });

  it('adds a passkey by a touch', async () => {
    await authenticator(ann);
    await go(ann, '#/settings/passkeys');
    await ann.getByLabel('Name of the passkey').fill('My key on a ring');
    await press(ann, 'Add a passkey');
    await ann.getByText('Your passkey is added.').waitFor();
    await ann.getByText('My key on a ring').waitFor();
    await expectAccessible(ann);
  });
});

describe('a guest who may see one camera', () => {
  it('is let in after both have read the same digits', async () => {
    const link = await invites(ann, { name: 'Sam Weller', cameras: ['Porch'], history: 'The last 7 days' });
    expect(link).toMatch(/#join=[0-9A-Z]{32}$/);
    links.push(link);
    samCode = await follows(sam, link, 'Sam Weller');
    expect(sam.url()).not.toContain('join');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    const shown = await digits(ann);
    expect(shown).toHaveLength(24);
    expect(await digits(sam)).toBe(shown);
    await press(ann, 'They are the same');
    await sam.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor({ timeout: 30_000 });
    await ann.getByText('Sam Weller has joined').waitFor({ timeout: 30_000 });
    await expectMoving(sam.locator('article').getByRole('img').first());
  });

  it('sees this camera and no other, not even in the timeline', async () => {
    expect(await sam.locator('article').count()).toBe(1);
    await go(ann, '#/');
    const driveway = await idOf('Driveway');
    await go(sam, `#/camera/${driveway}`);
    await sam.getByText('This camera is not in your home (any more).').waitFor();
    await go(sam, '#/review');
    await sam.getByRole('heading', { level: 1 }).waitFor();
    expect(await sam.getByText('Driveway').count()).toBe(0);
  });

  it('is given nothing of the other one by the server either', async () => {
    const statuses = await sam.evaluate(async (tracks) => {
      const out: number[] = [];
      const now = Math.floor(Date.now() / 1000);
      for (const { id, b64 } of tracks) {
        out.push((await fetch(`/v1/footage/${id}?from=${now - 60}`)).status);
        const body = JSON.stringify({ track: b64, from: String(now - 600), to: String(now) });
        out.push((await fetch('/latchkey.v1.FootageService/Timeline', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })).status);
      }
      return out;
    }, cameras[1]!.map((t) => ({ id: hex(t.track), b64: Buffer.from(t.track).toString('base64') })));
    expect(statuses.length).toBeGreaterThan(3);
    expect(new Set(statuses)).toEqual(new Set([404]));
    const told = await sam.evaluate((track) => new Promise<string>((resolve) => {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/live`);
      socket.onopen = () => socket.send(JSON.stringify({ op: 'watch', track }));
      socket.onmessage = (e) => {
        if (typeof e.data !== 'string') resolve('parts');
        else if (e.data.includes(track)) resolve(e.data);
      };
    }), hex(cameras[1]![0]!.track));
    expect(JSON.parse(told)).toMatchObject({ op: 'error' });
  });

  it('looks back to before he came, as far as he was given', async () => {
    await go(ann, '#/');
    const porch = await idOf('Porch');
    await go(sam, `#/camera/${porch}?at=${Date.now() - 45_000}`);
    await expectMoving(sam.getByRole('img', { name: /^Porch, / }));
    await expectAccessible(sam);
  });
});

describe('somebody in a terminal', () => {
  it('is let in the same way, and watches', async () => {
    const link = await invites(ann, { name: 'Cleo Porter', history: 'Nothing from before' });
    links.push(link);
    const [, read = ''] = await latchkey.start('cleo', ['member', 'join', link, '--as', 'Cleo Porter'], /^\s*((?:\d{4}\s+){5}\d{4})\s*$/m);
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    expect(await digits(ann)).toBe(read.replaceAll(/\D/g, ''));
    await press(ann, 'They are the same');
    await ann.getByText('Cleo Porter has joined').waitFor({ timeout: 30_000 });
    await eventually(async () => expect(await latchkey.run('cleo', ['household', 'show'])).toContain('Elm Street 4'));
    const file = join(latchkey.dir, 'cleo.mp4');
    // From the hub's next epoch on, which it begins within seconds.
    await eventually(async () => {
      await latchkey.run('cleo', ['live', 'porch', '--for', '3s', '-o', file]);
      expect((await readFile(file)).length).toBeGreaterThan(10_000);
    });
  });

  it('stands in the list of people, with what each may see', async () => {
    await go(ann, '#/people');
    for (const name of ['Ann Bishop', 'Sam Weller', 'Cleo Porter']) await ann.getByText(name, { exact: true }).first().waitFor();
    await expectAccessible(ann);
  });
});

describe('the guest, removed', () => {
  it('is out at once, told in plain words, and the hub has heard', async () => {
    const open = new Set<string>();
    sam.on('websocket', (s) => {
      open.add(s.url());
      s.on('close', () => open.delete(s.url()));
    });
    await go(sam, '#/');
    await expectMoving(sam.locator('article').getByRole('img').first());
    await press(ann, 'Remove Sam Weller');
    const began = Date.now();
    await ann.getByRole('dialog').getByRole('button', { name: 'Remove Sam Weller' }).click();
    await sam.getByText('You are no longer in this home.').waitFor({ timeout: 30_000 });
    console.log(`out after ${Date.now() - began} ms`);
    await eventually(async () => expect(open.size).toBe(0));
    await ann.getByText('Sam Weller is removed').waitFor({ timeout: 30_000 });
    await ann.getByText(/has heard it and locks new footage without them/).waitFor();
    await expectAccessible(sam);
  });

  it('stays out after a reload, and his code opens nothing', async () => {
    await sam.reload();
    await sam.getByText('You are no longer in this home.').waitFor();
    await recovers(sam, origin, samCode);
    await sam.getByRole('alert').waitFor();
  });
});

describe('a browser that was never here', () => {
  it('opens the home by a touch alone', async () => {
    await forget(ann.context(), ann);
    await ann.goto(origin);
    await press(ann, /Sign in with a passkey/);
    await ann.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor();
    await expectMoving(ann.locator('article').getByRole('img').first());
  });

  /** As if it had another profile with the same passkeys. */
  async function forget(context: BrowserContext, page: Page): Promise<void> {
    await page.goto('about:blank');
    await context.clearCookies();
    const cdp = await context.newCDPSession(page);
    await cdp.send('Storage.clearDataForOrigin', { origin, storageTypes: 'all' });
  }
});

describe('one’s own devices', () => {
  let other: Page;

  it('are all in the list, and every page says that a code was used', async () => {
    other = await openRecorded('other');
    await recovers(other, origin, annCode);
    await other.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor();
    await other.getByText('Your recovery code has been used.').waitFor();
    await go(ann, '#/settings/devices');
    await ann.getByText('This one').waitFor();
    for (const how of [/Set up the home/, /Signed in with the recovery code/, /Signed in with a passkey/]) await ann.getByText(how).waitFor();
    await expectAccessible(ann);
  });

  it('are signed out from another one, and forget their keys', async () => {
    await press(ann, 'Sign out all others');
    await ann.getByRole('dialog').getByRole('button', { name: 'Sign out all others' }).click();
    await ann.getByText(/devices? signed out\./).waitFor();
    await other.getByText('This device was signed out.').waitFor({ timeout: 30_000 });
    expect(await accounts(other)).toBe(0);
    await other.reload();
    await other.getByText('This device was signed out.').waitFor();
  });
});

/** How many accounts this browser's store has. */
function accounts(page: Page): Promise<number> {
  return page.evaluate(() => new Promise<number>((resolve, reject) => {
    const opening = indexedDB.open('latchkey');
    opening.onerror = () => reject(new Error('no store'));
    opening.onsuccess = () => {
      const count = opening.result.transaction('account').objectStore('account').count();
      count.onsuccess = () => resolve(count.result);
    };
  }));
}

describe('a code that was used', () => {
  it('is replaced, and opens nothing any more', async () => {
    await ann.reload();
    await ann.getByText('Your recovery code has been used.').waitFor();
    await go(ann, '#/new-code');
    await press(ann, 'Show me a new code');
    newCode = await codeCeremony(ann, 'Finish');
    await ann.getByText('The new code counts from now on.').waitFor();
    expect(await ann.getByText('Your recovery code has been used.').count()).toBe(0);
    const old = await openRecorded('old code');
    await recovers(old, origin, annCode);
    await old.getByRole('alert').waitFor();
    await old.context().close();
    const fresh = await openRecorded('new code');
    await recovers(fresh, origin, newCode);
    await fresh.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor();
    await fresh.context().close();
  });
});

describe('C17: what left the browsers', () => {
  /** What the passkey derives, asked for again by the page itself. */
  const derived = (): Promise<number[]> => ann.evaluate(async () => {
    const got = await navigator.credentials.get({
      publicKey: {
        challenge: new Uint8Array(32), userVerification: 'required',
        extensions: { prf: { eval: { first: new TextEncoder().encode('latchkey/v1 vault') } } },
      },
    });
    const first = got instanceof PublicKeyCredential ? got.getClientExtensionResults().prf?.results?.first : undefined;
    return first instanceof ArrayBuffer ? [...new Uint8Array(first)] : [];
  });

  async function vaultSecrets(): Promise<Secret[]> {
    const out: Secret[] = [];
    const codes = [annCode, samCode, newCode].map(parseCode);
    const vaults = recorded.filter((r) => r.where === 'answer to /latchkey.v1.AccountService/GetVault' && r.bytes.length > 500);
    for (const v of vaults) {
      const { vault, wraps } = fromBinary(GetVaultResponseSchema, v.bytes);
      for (const wrap of wraps.map(own).filter((w) => wrapKind(w) === 2)) {
        for (const code of codes) {
          const vk = await openWrap(code.recoverySecret(), wrap).catch(() => null);
          if (vk === null) continue;
          const opened = await openVault(vk, own(vault));
          out.push({ name: 'vault key', bytes: vk }, { name: 'signing seed', bytes: opened.vault.edSeed }, ...opened.vault.xSeeds.map((bytes) => ({ name: 'sealing seed', bytes })));
        }
      }
    }
    return out;
  }

  it('holds no secret in any spelling', async () => {
    const prf = Uint8Array.from(await derived());
    expect(prf).toHaveLength(32);
    const invitations = links.map((link) => link.slice(link.indexOf('=') + 1));
    const codes: Secret[] = [annCode, samCode, newCode].flatMap((c) => [{ name: 'recovery secret', bytes: parseCode(c).recoverySecret() }]);
    const pairings: Secret[] = invitations.map((c) => ({ name: 'pairing secret', bytes: parseCode(c).pairingSecret() }));
    const seeds = await vaultSecrets();
    expect(new Set(seeds.map((s) => hex(own(s.bytes)))).size).toBeGreaterThan(2);
    for (const page of [ann, sam]) recorded.push(...(await stored(page)));
    const secrets = [{ name: 'what the passkey derives', bytes: prf }, ...codes, ...pairings, ...seeds];
    expect(recorded.length).toBeGreaterThan(500);
    // It would be found: what is meant for the server is.
    expect(search(recorded, [{ name: 'recovery id', bytes: parseCode(newCode).recoveryId() }])).not.toEqual([]);
    expect(search(recorded, secrets)).toEqual([]);
    for (const code of [annCode, samCode, newCode, ...invitations]) expect(searchText(recorded, 'code', code)).toEqual([]);
    for (const word of ['Elm Street', 'Ann Bishop', 'Sam Weller', 'Cleo Porter', 'Driveway', 'My key on a ring']) {
      expect(recorded.filter((r) => /^(request|answer to|socket)/.test(r.where) && r.bytes.includes(word)).map((r) => `${word} in ${r.where}`)).toEqual([]);
    }
  });

  /** Everything of this origin that another script of it could read without asking. */
  async function stored(page: Page): Promise<Recorded[]> {
    const text = await page.evaluate(async () => {
      const kept = await Promise.all((await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).map((r) => r.url)));
      return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, kept, history.state, location.href, performance.getEntries().map((e) => e.name)]);
    });
    return [{ where: 'storage', bytes: Buffer.from(text) }];
  }
});
