// @vitest-environment node
/** Add late, remove early, in the browser: a server shows additions that the public log does not have (protocol 2.11). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Place } from './account';
import { Cover, keysSince, settled } from './addlate';
import { type Bytes, hex } from './bytes';
import { random, type Signer, signer } from './cipher';
import { Code } from './code';
import { Contacts } from './contacts';
import { EpochBook } from './epochs';
import { beginFounding, found } from './founding';
import { kidOf } from './hash';
import { newSealingKey, type SealingKey } from './hpke';
import { LogBook } from './logbook';
import { Member } from './member';
import { NameBook } from './names';
import { parseNote } from './note';
import { changeKeys } from './rotate';
import { nowSeconds } from './signin';
import { testEpoch } from './testhub';
import { TestLog } from './testlog';
import { TestServer, type TestStore } from './testserver';

interface Guest {
  readonly kid: string;
  readonly keys: SealingKey;
}

let server: TestServer;
let here: Place & { readonly store: TestStore };
let ann: Member;
let book: LogBook;
let names: NameBook;

beforeEach(async () => {
  server = new TestServer();
  server.log = await TestLog.start();
  here = server.browser();
  ann = await found(here, await beginFounding(here.api, 'The house', 'Ann'));
  book = new LogBook(ann, () => undefined);
  names = new NameBook(ann, () => undefined);
  await server.proves();
  await book.look();
});
afterEach(() => {
  book.close();
  vi.useRealTimers();
});

/** Somebody who stands in the chain that the server shows, and not in its log. */
async function letIn(): Promise<Guest> {
  const [ed, recovery, keys] = [await signer(random(32)), await signer(random(32)), await newSealingKey()];
  await ann.append({ type: 'member', ed: ed.publicKey, x: keys.publicKey, recovery: recovery.publicKey, role: 'member', share: true, tracks: 'all' });
  return { kid: hex(kidOf(ed.publicKey)), keys };
}

async function hubIn(): Promise<Signer> {
  const hub = await signer(random(32));
  await ann.append({ type: 'hub', ed: hub.publicKey, x: (await newSealingKey()).publicKey });
  return hub;
}

/** The log goes on, and leaves out all statements from this one on. */
async function provesUpTo(n: number): Promise<void> {
  await server.log?.take(server.logTagKey, server.notes.slice(0, n).map((raw) => parseNote(raw).hash));
}

const told = (): string[] => [...server.letters.keys()].sort();
const me = (): string => hex(ann.keys.kid);

describe('a member whom the log does not have', () => {
  it('is sealed nothing to until it has him, and then without anybody’s doing', async () => {
    const sam = await letIn();
    await provesUpTo(1);
    await book.look();
    await names.change((n) => n.people.set(sam.kid, 'Sam'));
    expect(told()).toEqual([me()]);
    expect(names.stale()).toBe(false);
    await server.proves();
    await book.look();
    expect(names.stale()).toBe(true);
    await names.change(() => undefined);
    expect(told()).toEqual([me(), sam.kid].sort());
    expect(names.stale()).toBe(false);
  });

  it('is remembered over a reload', async () => {
    const sam = await letIn();
    await names.change((n) => n.people.set(sam.kid, 'Sam'));
    await server.proves();
    await book.look();
    const again = (await Member.resume(here))!;
    expect(again.cover.upTo).toBe(1);
    const reloaded = new NameBook(again, () => undefined);
    await reloaded.loaded;
    expect(reloaded.stale()).toBe(true);
  });

  it('gets no share of anybody’s vault', async () => {
    const three = [await letIn(), await letIn(), await letIn()];
    await provesUpTo(3);
    await book.look();
    const contacts = new Contacts({ member: ann, nameOf: () => 'Sam', changed: () => undefined });
    await expect(contacts.choose(three.map((g) => kidBytes(g)))).rejects.toThrow('has not proven the keys of Sam yet');
    expect(ann.safe.vault.names['contacts']).toBeUndefined();
  });

  it('is out at once when he is removed, proven or not', async () => {
    const sam = await letIn();
    await server.proves();
    await book.look();
    await names.change((n) => n.people.set(sam.kid, 'Sam'));
    expect(told()).toContain(sam.kid);
    await ann.append({ type: 'unmember', kid: kidBytes(sam) });
    await names.change(() => undefined);
    expect(told()).toEqual([me()]);
  });
});

describe('keys that were replaced', () => {
  it('are sealed nothing to until the log has them, and the old ones never again', async () => {
    const code = Code.fresh();
    const renewed = await changeKeys(ann, code);
    const fresh = new NameBook(renewed, () => undefined);
    const [head] = [...renewed.chain.head.members.values()];
    expect(keysSince(renewed.chain, head!)).toBe(1);
    expect(settled(renewed.chain, renewed.cover, random(16))).toEqual([]); // as somebody else sees it
    expect(settled(renewed.chain, renewed.cover, renewed.keys.kid)).toEqual([head]); // oneself knows
    await fresh.change(() => undefined);
    expect(told()).toEqual([hex(renewed.keys.kid)]);
    renewed.cover.raise(1);
    expect(settled(renewed.chain, renewed.cover, random(16))).toEqual([head]);
  });
});

describe('a hub that the log does not have', () => {
  it('is not believed: its epochs wait, without an alarm', async () => {
    const hub = await hubIn();
    await ann.append({ type: 'camera', camera: random(16), tracks: [{ track: random(16), kind: 'video' }] });
    await provesUpTo(1);
    await book.look();
    const e = await testEpoch({ chain: ann.chain, hub, time: nowSeconds() }, 1);
    server.announce(e);
    const problems: unknown[] = [];
    const epochs = new EpochBook(ann, () => undefined);
    const seen = async (): Promise<string[]> => {
      const out: string[] = [];
      for await (const one of epochs.between(0, nowSeconds() + 60, (err) => void problems.push(err))) out.push(hex(one.note.epoch));
      return out;
    };
    expect(await seen()).toEqual([]);
    const opening = epochs.get(hex(e.id));
    await server.proves();
    await book.look();
    expect(hex((await opening).note.epoch)).toBe(hex(e.id));
    expect(await seen()).toEqual([hex(e.id)]);
    expect(problems).toEqual([]);
  });
});

describe('what is covered', () => {
  it('says calmly when it takes too long', async () => {
    vi.useFakeTimers();
    const waits = new Cover(3).reached(4, 'this hub');
    const refused = expect(waits).rejects.toMatchObject({ kind: 'network', message: 'The public log has not proven this hub yet.' });
    await vi.advanceTimersByTimeAsync(60_000);
    await refused;
  });

  it('never goes back, and does not grow under a proof of long ago or a broken log', async () => {
    await letIn();
    const fork = server.log!.fork();
    for (let i = 0; i < 9; i++) fork.add(random(32), i, random(32));
    await fork.take(server.logTagKey, server.notes.map((raw) => parseNote(raw).hash));
    const honest = server.log!;
    server.log = fork;
    await book.look();
    expect(book.state().breach?.kind).toBe('fork');
    expect(ann.cover.upTo).toBe(0);
    server.log = honest;
    await server.proves();
    await book.look();
    expect(ann.cover.upTo).toBe(0);
    await book.again(false);
    expect(ann.cover.upTo).toBe(1);
    ann.cover.raise(0);
    expect(ann.cover.upTo).toBe(1);
  });
});

function kidBytes(g: Guest): Bytes {
  const m = ann.chain.head.members.get(g.kid);
  if (m === undefined) throw new Error('nobody');
  return m.kid;
}
