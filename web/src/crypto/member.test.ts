// @vitest-environment node
/** Founding, recovery, the chain and the vault against a server that may lie. */
import { beforeEach, describe, expect, it } from 'vitest';
import { hex } from './bytes';
import { random } from './cipher';
import { recover } from './enter';
import { Code } from './code';
import { beginFounding, found } from './founding';
import type { Place } from './account';
import { Member } from './member';
import { TestServer, type TestStore } from './testserver';

let server: TestServer;
let here: Place & { readonly store: TestStore };
let code: Code;
let ann: Member;

/** The same browser after a reload. */
const reloaded = (): Promise<Member | null> => Member.resume(server.browser('Chromium on Linux', here.store));

beforeEach(async () => {
  server = new TestServer();
  here = server.browser();
  const founding = await beginFounding(here.api, 'The house', 'Ann');
  code = founding.code;
  expect(server.notes).toHaveLength(0);
  ann = await found(here, founding);
});

function camera(): Parameters<Member['append']>[0] {
  return { type: 'camera', camera: random(16), tracks: [{ track: random(16), kind: 'video' }, { track: random(16), kind: 'meta' }] };
}

describe('a member', () => {
  it('founds, is remembered, and is recovered elsewhere by the code', async () => {
    const again = await reloaded();
    expect([again?.name('household'), again?.name('me'), hex(again?.household ?? new Uint8Array())]).toEqual(['The house', 'Ann', hex(ann.household)]);
    const elsewhere = await recover(server.browser(), code);
    expect(hex(elsewhere.keys.kid)).toBe(hex(ann.keys.kid));
  });

  it('keeps nothing readable in the store', async () => {
    await ann.append(camera());
    const account = here.store.account;
    expect(account?.guard.extractable).toBe(false);
    const plain = JSON.stringify([...(account?.vault ?? [])]) + JSON.stringify([...(account?.vk ?? [])]);
    expect(plain).not.toContain('Ann');
  });

  it('calls another code wrong', async () => {
    await expect(recover(server.browser(), Code.fresh())).rejects.toMatchObject({ kind: 'wrong-code' });
  });

  it('signs in again with its own key, naming the server it came from', async () => {
    const again = await reloaded();
    expect(await again?.sync()).toBe(false);
    expect(server.logins).toBe(1);
  });

  it('tells that the chain has grown, whoever made it grow', async () => {
    let told = 0;
    ann.onGrown = () => void told++;
    await ann.append(camera());
    expect(told).toBe(1);
    const other = await recover(server.browser(), code);
    await other.append(camera());
    expect(told).toBe(1);
    await ann.sync();
    await ann.sync();
    expect(told).toBe(2);
  });

  it('signs a lost race again', async () => {
    const other = await recover(server.browser(), code);
    await other.append(camera());
    const { seq } = await ann.append(camera());
    expect(seq).toBe(2);
    expect(ann.chain.head.cameras.size).toBe(2);
  });

  it('keeps names for every device', async () => {
    const other = await recover(server.browser(), code);
    await other.rename('ab', 'Porch');
    await ann.rename('cd', 'Garden');
    expect([ann.name('ab'), ann.name('cd'), ann.name('me')]).toEqual(['Porch', 'Garden', 'Ann']);
    await ann.rename('ab', null);
    expect(ann.name('ab')).toBe('');
  });

  it('leaves nothing behind', async () => {
    await ann.leave();
    expect(here.store.account).toBeNull();
    expect(server.member(ann.keys.kid).devices.map((d) => d.ended)).toEqual([true]);
  });
});

describe('a lying server', () => {
  it('cannot show another chain than the one remembered', async () => {
    await ann.append(camera());
    const evil = new TestServer();
    await found(evil.browser(), await beginFounding(evil.browser().api, 'Evil', 'Eve'));
    const honest = server.notes;
    for (const lie of [[...honest, ...evil.notes], [...honest.slice(0, 1), ...evil.notes], honest.slice(0, 1), []]) {
      server.notes = lie;
      await expect(ann.sync()).rejects.toMatchObject({ kind: 'verify' });
      expect(ann.chain.length).toBe(2);
    }
  });

  it('cannot roll the chain back for a fresh browser', async () => {
    await ann.append(camera());
    server.notes = server.notes.slice(0, 1);
    await expect(recover(server.browser(), code)).rejects.toThrow('not the one this vault has seen');
  });

  it('that has lost what a right code opens is told from a wrong code, and nothing is signed', async () => {
    const held = server.member(ann.keys.kid);
    const { vault, wraps } = held;
    const damaged = vault.map((b, i) => (i === vault.length - 1 ? b ^ 1 : b)) as typeof vault;
    for (const lost of [{ vault: damaged, wraps }, { vault, wraps: [] }, { vault, wraps: wraps.map((w) => w.map((b, i) => (i === 80 ? b ^ 1 : b)) as typeof w) }]) {
      Object.assign(held, lost);
      await expect(recover(server.browser(), code)).rejects.toThrow('Your code is right');
    }
    expect(server.notes).toHaveLength(1);
  });

  it('cannot give the vault of somebody else, or an older one', async () => {
    const held = server.member(ann.keys.kid);
    const older = held.vault;
    await ann.append(camera());
    held.vault = older;
    await expect(ann.safe.refresh()).rejects.toThrow('older vault');
    await expect(recover(server.browser('x', here.store), code)).rejects.toThrow('older than');
    const eve = new TestServer();
    const evil = await found(eve.browser(), await beginFounding(eve.browser().api, 'Evil', 'Eve'));
    held.vault = eve.member(evil.keys.kid).vault;
    await expect(ann.safe.refresh()).rejects.toMatchObject({ kind: 'verify' });
  });

  it('cannot say it appended what it did not', async () => {
    Object.assign(ann.api.chain, { appendStatement: () => Promise.resolve({}) });
    await expect(ann.append(camera())).rejects.toThrow('does not show it');
  });
});
