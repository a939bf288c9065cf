// @vitest-environment node
/** A person's own devices, passkeys, codes and keys, against a server that may lie, and tabs that are closed. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { EndReason } from '../owner/types';
import { equal, hex } from './bytes';
import { random } from './cipher';
import { byPasskey, recover } from './enter';
import { Code } from './code';
import { Devices } from './devices';
import { Failure } from './failure';
import { beginFounding, found } from './founding';
import type { Place } from './account';
import { Member } from './member';
import { changeCode, changeKeys, settleKeys } from './rotate';
import { TestPage, TestServer, type TestStore } from './testserver';
import { WordedFailure, worded } from './words';

let server: TestServer;
let here: Place & { readonly store: TestStore };
let page: TestPage;
let code: Code;
let ann: Member;
let devices: Devices;
const names = { person: 'Ann', household: 'Elm Street 4' };

beforeEach(async () => {
  server = new TestServer();
  page = new TestPage('Chromium on Linux');
  here = server.browser('', undefined, page);
  const founding = await beginFounding(here.api, 'Elm Street 4', 'Ann');
  code = founding.code;
  ann = await found(here, founding);
  devices = new Devices(ann, () => undefined);
});

const reloaded = async (): Promise<Member> => (await Member.resume(server.browser('', here.store, page)))!;

describe('devices', () => {
  it('are listed by the names that their owner reads', async () => {
    await recover(server.browser('Safari on iPhone'), code);
    expect((await devices.list()).map((d) => [d.label, d.how, d.current])).toEqual([['Chromium on Linux', 'founding', true], ['Safari on iPhone', 'recovery', false]]);
    expect(JSON.stringify(server.held.get(hex(ann.keys.kid))?.devices.map((d) => [...d.label]))).not.toContain(JSON.stringify([...new TextEncoder().encode('Safari')]).slice(1, -1));
  });

  it('sign in again by their secret, and by nothing less', async () => {
    expect(await (await reloaded()).sync()).toBe(false);
    const copied = server.browser('', here.store);
    const thief = (await Member.resume({ ...copied, store: here.store }))!;
    Object.assign(thief.device, { secret: random(32) });
    await expect(thief.sync()).rejects.toMatchObject({ kind: 'refused' });
  });

  it('forget their keys when another signs them out, and stay so', async () => {
    const there = server.browser('Safari on iPhone');
    const other = await recover(there, code);
    const reasons: EndReason[] = [];
    other.onEnd = (why) => void (reasons.push(why), other.forget(why));
    const id = (await devices.list()).find((d) => !d.current)!.id;
    await devices.end(id);
    await expect(other.sync()).rejects.toMatchObject({ kind: 'refused' });
    expect(reasons).toEqual(['device-ended']);
    expect([there.store.account, await there.store.endReason()]).toEqual([null, 'device-ended']);
  });

  it('are told also when their session is over', async () => {
    const there = server.browser('Safari on iPhone');
    await recover(there, code);
    await devices.endOthers();
    const again = (await Member.resume(server.browser('x', there.store)))!;
    const reasons: EndReason[] = [];
    again.onEnd = (why) => reasons.push(why);
    await expect(again.sync()).rejects.toMatchObject({ kind: 'refused' });
    expect(reasons).toEqual(['device-ended']);
  });

  it('keep their keys, and say why, when the server does not let them in for another reason', async () => {
    const tell = async (reason: string): Promise<[EndReason[], unknown]> => {
      const again = await reloaded();
      const reasons: EndReason[] = [];
      again.onEnd = (why, forget) => void (expect(forget).toBe(false), reasons.push(why));
      server.before = (call) => (call === 'login' ? Promise.reject(new Failure('refused', 'no', { reason })) : Promise.resolve());
      const thrown: unknown = await again.sync().then(() => null, (err: unknown) => err);
      server.before = () => Promise.resolve();
      return [reasons, thrown];
    };
    expect((await tell(''))[0]).toEqual(['removed']);
    expect((await tell('device-unknown'))[0]).toEqual(['device-ended']);
    const [reasons, clock] = await tell('clock');
    expect([reasons, clock instanceof WordedFailure && clock.error.what]).toEqual([[], 'The clock of this device is wrong by more than five minutes.']);
    expect(here.store.account).not.toBeNull();
  });

  it('C24: a list that shows one ended from here again, or lacks this one, is refused', async () => {
    await recover(server.browser(), code);
    const held = server.member(ann.keys.kid);
    expect(await devices.endOthers()).toBe(1);
    expect(await devices.list()).toHaveLength(1);
    held.devices[1]!.ended = false;
    await expect(devices.list()).rejects.toMatchObject({ kind: 'verify' });
    held.devices.splice(1, 1);
    held.devices.push({ id: random(16), label: random(10), secret: random(32), by: 'x', ended: false });
    await expect(devices.list()).resolves.toHaveLength(2);
    Object.assign(ann.device, { id: random(16) });
    await expect(devices.list()).rejects.toThrow('does not have this one');
  });
});

describe('passkeys', () => {
  it('open the vault in a fresh browser by a touch alone', async () => {
    await devices.addPasskey('My phone', names);
    expect((await devices.passkeys()).map((p) => [p.label, p.lastUse])).toEqual([['My phone', null]]);
    expect(ann.safe.passkeys).toBe(1);
    const fresh = await byPasskey(server.browser('', undefined, page));
    expect([hex(fresh.keys.kid), fresh.name('household'), fresh.safe.vault.used]).toEqual([hex(ann.keys.kid), 'Elm Street 4', false]);
    expect((await new Devices(fresh, () => undefined).list()).map((d) => d.how)).toContain('passkey');
  });

  it('hear the names that the server never does', async () => {
    await devices.addPasskey('My phone', names);
    expect(page.asked).toMatchObject([{ kind: 'create', name: 'Ann', displayName: 'Ann, Elm Street 4' }]);
    const sent = JSON.stringify(server.heard, (_k, v: unknown) => (v instanceof Uint8Array ? Buffer.from(v).toString('latin1') : typeof v === 'bigint' ? String(v) : v));
    for (const word of ['Elm Street', 'Ann', 'My phone']) expect(sent).not.toContain(word);
    for (const spelling of ['hex', 'base64', 'base64url', 'latin1'] as const) expect(sent).not.toContain(Buffer.from(page.secret).toString(spelling));
  });

  it('do not open with what another passkey derives', async () => {
    await devices.addPasskey('My phone', names);
    const thief = new TestPage('x');
    Object.assign(thief, { credential: page.credential });
    const there = server.browser('x', undefined, thief);
    await expect(byPasskey(there)).rejects.toMatchObject({ kind: 'verify' });
    expect(there.store.account).toBeNull();
  });

  it('ask for a touch of one that exists before another is added or one is removed', async () => {
    await devices.addPasskey('First', names);
    Object.assign(page, { credential: random(20), secret: random(32) });
    await devices.addPasskey('Second', names);
    expect(server.touches).toBe(1);
    const first = (await devices.passkeys()).find((p) => p.label === 'First')!;
    await devices.removePasskey(first.id);
    expect([server.touches, ann.safe.passkeys, (await devices.passkeys()).map((p) => p.label)]).toEqual([2, 1, ['Second']]);
  });

  it('change nothing when the person says no', async () => {
    page.no = worded('refused', { what: 'No passkey was used.' });
    await expect(devices.addPasskey('x', names)).rejects.toBeInstanceOf(WordedFailure);
    expect(await devices.passkeys()).toEqual([]);
  });
});

describe('a used code', () => {
  it('is said to be used by every device, until there is a new one', async () => {
    const other = await recover(server.browser(), code);
    await ann.safe.refresh();
    expect([other.safe.vault.used, ann.safe.vault.used]).toEqual([true, true]);
    await changeCode(other, Code.fresh());
    await ann.safe.refresh();
    expect([other.safe.vault.used, ann.safe.vault.used]).toEqual([false, false]);
  });

  it('counts until the new one is in, then no more; passkeys go on', async () => {
    await devices.addPasskey('My phone', names);
    const next = Code.fresh();
    await changeCode(ann, next);
    expect(server.touches).toBe(1);
    await expect(recover(server.browser(), code)).rejects.toMatchObject({ kind: 'wrong-code' });
    const again = await recover(server.browser(), next);
    expect(hex(again.keys.kid)).toBe(hex(ann.keys.kid));
    await byPasskey(server.browser('', undefined, page));
    expect((await reloaded()).safe.vault.seq).toBe(ann.safe.vault.seq);
  });

  it.each(['before', 'after'] as const)('changes in one step: closed %s the server has it, exactly one code opens everything', async (when) => {
    const next = Code.fresh();
    await new Promise<void>((closed) => {
      server[when] = (call) => (call === 'appendStatement' ? (closed(), new Promise(() => undefined)) : Promise.resolve());
      void changeCode(ann, next);
    });
    server[when] = () => Promise.resolve();
    const [dead, alive] = when === 'before' ? [next, code] : [code, next];
    await expect(recover(server.browser(), dead)).rejects.toMatchObject({ kind: 'wrong-code' });
    await expect(recover(server.browser(), alive)).resolves.toBeDefined();
    const again = await reloaded();
    await again.sync();
    await again.safe.refresh();
    await expect(changeCode(again, Code.fresh())).resolves.toBeUndefined();
  });

  it('does not change under two devices at once without both knowing', async () => {
    const other = await recover(server.browser(), code);
    const [mine, theirs] = [Code.fresh(), Code.fresh()];
    await Promise.all([changeCode(ann, mine), changeCode(other, theirs)]);
    const opened = await Promise.allSettled([mine, theirs].map((c) => recover(server.browser(), c)));
    expect(opened.filter((o) => o.status === 'fulfilled')).toHaveLength(1);
  });
});

describe('new keys', () => {
  it('shut out other devices and passkeys, and keep what was sealed to the old ones', async () => {
    await devices.addPasskey('My phone', names);
    const there = server.browser('Lost phone');
    const lost = await recover(there, code);
    const reasons: EndReason[] = [];
    lost.onEnd = (why) => reasons.push(why);
    const next = Code.fresh();
    const renewed = await changeKeys(ann, next);
    expect(hex(renewed.keys.kid)).not.toBe(hex(ann.keys.kid));
    expect(renewed.keys.sealing.map((k) => hex(k.kid))).toContain(hex(ann.keys.sealing[0]!.kid));
    expect(renewed.chain.head.members.get(hex(renewed.keys.kid))?.role).toBe('admin');
    await expect(lost.sync()).rejects.toMatchObject({ kind: 'refused' });
    expect(reasons).toHaveLength(1);
    await expect(recover(server.browser(), code)).rejects.toMatchObject({ kind: 'wrong-code' });
    await expect(byPasskey(server.browser('', undefined, page))).rejects.toMatchObject({ kind: 'refused' });
    expect(renewed.safe.passkeys).toBe(0);
    expect(await (await reloaded()).sync()).toBe(false);
    expect((await new Devices(renewed, () => undefined).list()).map((d) => d.current)).toEqual([true]);
    expect(hex((await recover(server.browser(), next)).keys.kid)).toBe(hex(renewed.keys.kid));
  });

  it.each(['before', 'after'] as const)('are whole or not there: closed %s the server has them', async (when) => {
    await new Promise<void>((closed) => {
      server[when] = (call) => (call === 'appendStatement' ? (closed(), new Promise(() => undefined)) : Promise.resolve());
      void changeKeys(ann, Code.fresh());
    });
    server[when] = () => Promise.resolve();
    expect(here.store.account?.next).not.toBeNull();
    const place = server.browser('', here.store, page);
    await settleKeys(place);
    expect(here.store.account?.next).toBeNull();
    const again = (await Member.resume(place))!;
    expect(await again.sync()).toBe(false);
    expect(equal(again.keys.kid, ann.keys.kid)).toBe(when === 'before');
    await expect(again.safe.refresh()).resolves.toBeDefined();
  });
});
