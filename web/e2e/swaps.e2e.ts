/**
 * A server that puts other keys in the place of people's own, or shows again
 * what is no more (claims C7, C10, C24): one lie at a time, between real
 * browsers. Nobody is let in by it, nothing is opened, and people are told.
 */
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  GetChainResponseSchema, GetDirectoryResponseSchema, GetMailRequestSchema, GetMailResponseSchema, GetVaultResponseSchema, MailSlot, PutMailRequestSchema,
} from '../src/api/latchkey/v1/latchkey_pb';
import { type Bytes, own } from '../src/crypto/bytes';
import { random, signer } from '../src/crypto/cipher';
import { Code, parseCode } from '../src/crypto/code';
import { newSealingKey } from '../src/crypto/hpke';
import { type Offer, memberOffer, openOffer, sealAnswer, sealOffer } from '../src/crypto/pairing';
import { Between, type CallLie } from './between';
import { eventually, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { addsCamera, connectsHub, digits, follows, founds, go, hubCommand, invites, press, recovers } from './person';

/** Where keys stand in an offer (spec/keys, "Pairing"). */
const inOffer = { 'signing key': 5, 'sealing key': 37, 'recovery key': 37 + 1216 };

let latchkey: Latchkey;
let browser: Browser;
let cloud: string;
/** each person's own line to the same server */
const lines: Between[] = [];
let annLine: Between;
let samLine: Between;
let ann: Page;
let annCode = '';
let sam: Page;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
});
afterEach(() => {
  annLine.honest();
  samLine.honest();
});
afterAll(async () => {
  await browser?.close();
  await Promise.all(lines.map((line) => line.stop()));
  await latchkey?.stop();
});

/** A home on a server of its own: one address may sign in so often, and here everybody has the same. */
async function found(name: string): Promise<void> {
  [, cloud = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, name), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
  [annLine, samLine] = await Promise.all([Between.start(cloud), Between.start(cloud)]);
  lines.push(annLine, samLine);
  ({ page: ann } = await openPage(browser, annLine.origin));
  annCode = await founds(ann, annLine.origin, 'Elm Street 4', 'Ann Bishop');
}

/** A lie about one call, and how often it was told. */
function lying(call: string, change: (body: Buffer) => Uint8Array): { lie: CallLie; told: () => number } {
  let told = 0;
  return {
    lie: (of, body) => {
      if (of !== call) return body;
      const lie = Buffer.from(change(body));
      if (!lie.equals(body)) told++;
      return lie;
    },
    told: () => told,
  };
}

const mailed = (change: (mail: Bytes) => Bytes) => lying('GetMail', (body) => {
  const reply = fromBinary(GetMailResponseSchema, body);
  return toBinary(GetMailResponseSchema, create(GetMailResponseSchema, { body: change(own(reply.body).slice()) }));
});

const chained = (change: (notes: Uint8Array[]) => Uint8Array[]) => lying('GetChain', (body) => {
  const reply = fromBinary(GetChainResponseSchema, body);
  return toBinary(GetChainResponseSchema, create(GetChainResponseSchema, { ...reply, notes: change(reply.notes) }));
});

/** Collects the bodies of one call that pass a line. */
function hears(line: Between, what: string): Buffer[] {
  const out: Buffer[] = [];
  const before = line.heard;
  line.heard = (where, bytes) => {
    before(where, bytes);
    if (where === what) out.push(bytes);
  };
  return out;
}

/** Other bytes in the place of 32 of them. */
function putIn(mail: Bytes, at: number): Bytes {
  mail.set(random(32), at);
  return mail;
}

const codeOf = (link: string): Code => parseCode(link.slice(link.indexOf('=') + 1));
/** The same link by Sam's own line. */
const forSam = (link: string): string => link.replace(annLine.origin, samLine.origin);

async function ofSomebodyElse(): Promise<Offer> {
  const [ed, x, recovery] = [await signer(random(32)), await newSealingKey(), await signer(random(32))];
  return memberOffer({ ed: ed.publicKey, x: x.publicKey, recovery: recovery.publicKey, nonce: random(16) });
}

async function newSam(): Promise<void> {
  await sam?.context().close();
  ({ page: sam } = await openPage(browser, samLine.origin));
}

const samIs = { name: 'Sam Weller', history: 'Nothing from before' };

async function expectAnnAlone(): Promise<void> {
  await go(ann, '#/people');
  await ann.getByText('Only you are here.').waitFor();
}

describe('what a guest offers', () => {
  beforeAll(() => found('offers'));

  it.each(Object.entries(inOffer))('with another %s is not taken for his', async (_key, at) => {
    await newSam();
    const swap = mailed((mail) => putIn(mail, at));
    annLine.calls = swap.lie;
    const asked = hears(annLine, 'request to /latchkey.v1.PairingService/GetMail');
    const link = await invites(ann, samIs);
    await follows(sam, forSam(link), 'Sam Weller');
    // The false one was looked at, and the next is waited for.
    await eventually(async () => expect(swap.told()).toBe(1));
    await eventually(async () => expect(asked.map((body) => fromBinary(GetMailRequestSchema, body).index)).toContain(1));
    expect(await ann.getByTestId('digits').count()).toBe(0);
    await ann.getByText('Waiting for them to open it').waitFor();
    await expectAnnAlone();
  });

  it('ten times by somebody without the code makes the code worth nothing', async () => {
    const link = await invites(ann, samIs);
    for (let i = 0; i < 10; i++) {
      const body = sealOffer(Code.fresh(), await ofSomebodyElse());
      const message = toBinary(PutMailRequestSchema, create(PutMailRequestSchema, { rendezvous: codeOf(link).rendezvous(), slot: MailSlot.OFFER, body }));
      const { status } = await fetch(`${cloud}/latchkey.v1.PairingService/PutMail`, { method: 'POST', headers: { 'Content-Type': 'application/proto' }, body: Buffer.from(message) });
      expect(status).toBe(200);
    }
    await ann.getByText('Ten others answered without knowing the code.').waitFor({ timeout: 30_000 });
    await expectAnnAlone();
  });

  it('by somebody who has read the link shows other digits on both sides', async () => {
    await newSam();
    const link = await invites(ann, samIs);
    const mallory = await ofSomebodyElse();
    const swap = mailed(() => sealOffer(codeOf(link), mallory));
    annLine.calls = swap.lie;
    await follows(sam, forSam(link), 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    const [annSees, samSees] = [await digits(ann), await digits(sam)];
    expect([annSees.length, samSees.length]).toEqual([24, 24]);
    expect(annSees).not.toBe(samSees);
    await press(ann, 'They differ');
    await ann.getByText('Good that you compared').waitFor();
    await press(sam, 'They differ');
    await sam.getByText('You have not joined.').waitFor();
    await expectAnnAlone();
  });
});

describe('what a hub offers', () => {
  beforeAll(() => found('hub offers'));

  it('with another key is not taken for its own', async () => {
    const swap = mailed((mail) => putIn(mail, inOffer['signing key']));
    annLine.calls = swap.lie;
    const asked = hears(annLine, 'request to /latchkey.v1.PairingService/GetMail');
    // It waits for an answer until the story ends.
    latchkey.start('waiting hub', (await hubCommand(ann, 'waiting-hub')).map((arg) => (arg === annLine.origin ? cloud : arg)), /paired/).catch(() => undefined);
    await eventually(async () => expect(swap.told()).toBe(1));
    await eventually(async () => expect(asked.map((body) => fromBinary(GetMailRequestSchema, body).index)).toContain(1));
    expect(await ann.getByText('Your hub is connected.').count()).toBe(0);
    await go(ann, '#/people');
    await ann.getByText('Only you are here.').waitFor();
    await eventually(async () => expect(await ann.getByText('Hub settings').count()).toBe(1));
    expect(await ann.getByText(/Online|Not reachable/).count()).toBe(0);
  });
});

describe('what a guest is answered', () => {
  beforeAll(() => found('answers'));

  /** Up to the moment at which Ann has signed him in; what his own page says then. */
  async function joins(lie: (code: Code, offer: () => Offer) => { lie: CallLie; told: () => number }): Promise<string> {
    await newSam();
    const offers = hears(samLine, 'request to /latchkey.v1.PairingService/PutMail');
    const link = await invites(ann, samIs);
    const code = codeOf(link);
    const told = lie(code, () => openOffer(code, own(fromBinary(PutMailRequestSchema, offers[0]!).body)));
    samLine.calls = told.lie;
    await follows(sam, forSam(link), 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    expect(await digits(ann)).toBe(await digits(sam));
    await press(ann, 'They are the same');
    await sam.getByRole('alert').waitFor();
    expect(told.told()).toBeGreaterThan(0);
    expect(await sam.getByRole('heading', { level: 1, name: 'Elm Street 4' }).count()).toBe(0);
    const said = await sam.getByRole('alert').innerText();
    // What was a lie to him was true for her: he is in the chain, and she takes him out.
    samLine.honest();
    await ann.getByText('Sam Weller has joined').waitFor({ timeout: 30_000 });
    await go(ann, '#/people');
    await press(ann, 'Remove Sam Weller');
    await ann.getByRole('dialog').getByRole('button', { name: 'Remove Sam Weller' }).click();
    await ann.getByText('Sam Weller is removed').waitFor({ timeout: 30_000 });
    await go(ann, '#/');
    return said;
  }

  it('without the code is not believed', async () => {
    const said = await joins(() => mailed((mail) => putIn(mail, 4)));
    expect(said).toMatch(/does not verify/);
  });

  it('with the code, of a home that the server made up, is not believed', async () => {
    const said = await joins((code, offer) => mailed(() => sealAnswer(code, offer(), random(16), 1, random(32))));
    expect(said).toMatch(/does not know you.*ask for a new invitation/s);
  });

  it.each(['ed', 'x', 'recovery'])('with another %s key in the statement that lets him in is not believed', async (key) => {
    const said = await joins(() => chained((notes) => {
      const last = Buffer.from(notes.at(-1)!).toString('latin1');
      const line = new RegExp(`^${key} (.*)$`, 'm').exec(last);
      if (line === null || !last.startsWith('latchkey/v1 member')) return notes;
      const other = random(Buffer.from(line[1]!, 'base64').length);
      return [...notes.slice(0, -1), Buffer.from(last.replace(line[0], `${key} ${Buffer.from(other).toString('base64')}`), 'latin1')];
    }));
    expect(said).toMatch(/does not verify/);
  });
});

describe('a home of two, with a camera', () => {
  beforeAll(() => found('home'));

  it('is there', async () => {
    await newSam();
    await connectsHub(ann, latchkey, annLine.origin, cloud);
    await addsCamera(ann, latchkey, 'Porch', 'porch.mp4');
    const link = await invites(ann, samIs);
    await follows(sam, forSam(link), 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    await press(ann, 'They are the same');
    await expectMoving(sam.locator('article').filter({ hasText: 'Porch' }).getByRole('img').first());
  });

  /** Loads a page anew under a lie; what its trust page says then. */
  async function problemOf(page: Page, lie: { lie: CallLie; told: () => number }, line: Between): Promise<string> {
    line.calls = lie.lie;
    await page.goto('about:blank');
    await page.goto(`${line.origin}/#/settings/trust`);
    await page.getByText(/does not verify/).first().waitFor({ timeout: 40_000 });
    expect(lie.told()).toBeGreaterThan(0);
    const said = await page.locator('main').innerText();
    line.honest();
    return said;
  }

  it('does not go back to a vault of before', async () => {
    const vaults = hears(annLine, 'answer to /latchkey.v1.AccountService/GetVault');
    await ann.goto('about:blank');
    await ann.goto(`${annLine.origin}/#/people`);
    await eventually(async () => expect(vaults.length).toBeGreaterThan(0));
    const old = vaults[0]!;
    await go(ann, '#/people');
    await ann.getByRole('link', { name: 'Change Ann Bishop' }).click();
    await ann.getByLabel('Name', { exact: true }).fill('Ann B.');
    await press(ann, 'Save name');
    await ann.getByRole('heading', { level: 1, name: 'Ann B.' }).waitFor();
    const { vault } = fromBinary(GetVaultResponseSchema, old);
    const said = await problemOf(ann, lying('GetVault', (body) => toBinary(GetVaultResponseSchema, create(GetVaultResponseSchema, { ...fromBinary(GetVaultResponseSchema, body), vault }))), annLine);
    expect(said).toMatch(/does not verify/);
    await go(ann, '#/people');
    await ann.getByText('Ann B.', { exact: true }).first().waitFor();
  });

  it('does not go back to a shorter chain, nor to that of another home', async () => {
    const other = await foreignChain();
    for (const lie of [chained(() => []), chained((notes) => [...notes, ...other]), chained(() => other)]) {
      expect(await problemOf(sam, lie, samLine)).toMatch(/does not verify/);
    }
    await go(sam, '#/people');
    await sam.getByText('Sam Weller', { exact: true }).first().waitFor();
  });

  /** What a server can make up by itself. */
  async function foreignChain(): Promise<Uint8Array[]> {
    const line = await Between.start(cloud);
    const { page } = await openPage(browser, line.origin);
    const chains = hears(line, 'answer to /latchkey.v1.ChainService/GetChain');
    await founds(page, line.origin, 'Made up', 'Mallory');
    await eventually(async () => expect(chains.some((c) => fromBinary(GetChainResponseSchema, c).notes.length > 0)).toBe(true));
    await page.context().close();
    await line.stop();
    return chains.map((c) => fromBinary(GetChainResponseSchema, c).notes).find((notes) => notes.length > 0) ?? [];
  }

  it('does not take other names, nor go back to those of before', async () => {
    const letters = hears(samLine, 'answer to /latchkey.v1.ChainService/GetDirectory');
    const flipped = lying('GetDirectory', (body) => {
      const reply = fromBinary(GetDirectoryResponseSchema, body);
      return toBinary(GetDirectoryResponseSchema, create(GetDirectoryResponseSchema, { n: reply.n + 1n, letter: putIn(own(reply.letter).slice(), 900) }));
    });
    expect(await problemOf(sam, flipped, samLine)).toMatch(/does not verify/);
    await sam.reload();
    await eventually(async () => expect(letters.length).toBeGreaterThan(0));
    const old = letters.at(-1)!;
    await go(ann, '#/people');
    await ann.getByRole('link', { name: 'Change Sam Weller' }).click();
    await ann.getByLabel('Name', { exact: true }).fill('Samuel Weller');
    await press(ann, 'Save name');
    await ann.getByRole('heading', { level: 1, name: 'Samuel Weller' }).waitFor();
    await sam.goto('about:blank');
    await sam.goto(`${samLine.origin}/#/people`);
    await sam.getByText('Samuel Weller', { exact: true }).first().waitFor();
    expect(await problemOf(sam, lying('GetDirectory', () => old), samLine)).toMatch(/does not verify/);
    await go(sam, '#/people');
    await sam.getByText('Samuel Weller', { exact: true }).first().waitFor();
  });

  it('does not take a list of devices on which one stands that was signed out from here', async () => {
    const { page: other } = await openPage(browser, annLine.origin);
    await recovers(other, annLine.origin, annCode);
    await other.getByRole('heading', { level: 1, name: 'Elm Street 4' }).waitFor();
    const lists = hears(annLine, 'answer to /latchkey.v1.AccountService/ListDevices');
    await go(ann, '#/settings/devices');
    await ann.getByText(/Signed in with the recovery code/).waitFor();
    const old = lists.at(-1)!;
    await press(ann, 'Sign out all others');
    await ann.getByRole('dialog').getByRole('button', { name: 'Sign out all others' }).click();
    await ann.getByText(/devices? signed out\./).waitFor();
    await other.getByText('This device was signed out.').waitFor({ timeout: 30_000 });
    await other.context().close();
    const replay = lying('ListDevices', () => old);
    annLine.calls = replay.lie;
    await ann.goto('about:blank');
    await ann.goto(`${annLine.origin}/#/settings/devices`);
    await ann.getByText(/does not verify/).first().waitFor();
    expect(await ann.getByText(/Signed in with the recovery code/).count()).toBe(0);
    expect(replay.told()).toBeGreaterThan(0);
  });

  it('learns from its hub of a removal that the server keeps back', async () => {
    const link = await invites(ann, { name: 'Cleo Porter', history: 'Nothing from before' });
    const joined = latchkey.start('cleo', ['member', 'join', link.replace(annLine.origin, cloud), '--as', 'Cleo Porter'], /belong|member of|joined|household/i);
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    await press(ann, 'They are the same');
    await joined;
    await ann.getByText('Cleo Porter has joined').waitFor({ timeout: 30_000 });
    await sam.goto('about:blank');
    await sam.goto(`${samLine.origin}/#/people`);
    await sam.getByText('Cleo Porter', { exact: true }).first().waitFor();
    // His browser asks from the last statement that it knows, and is shown no more than that.
    const hides = chained((notes) => notes.slice(0, 1));
    samLine.calls = hides.lie;
    await go(ann, '#/people');
    await press(ann, 'Remove Cleo Porter');
    await ann.getByRole('dialog').getByRole('button', { name: 'Remove Cleo Porter' }).click();
    await ann.getByText('Cleo Porter is removed').waitFor({ timeout: 30_000 });
    await go(sam, '#/settings/trust');
    await sam.getByText(/does not verify/).first().waitFor({ timeout: 60_000 });
    expect(hides.told()).toBeGreaterThan(0);
  });
});
