// @vitest-environment node
/** The public log in the browser against a server that may lie about it (claims C12, C24). */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkCompleteness } from '../ledger/completeness';
import { encodeEntry, tagOf } from '../ledger/leaf';
import { Policy } from '../ledger/policy';
import { checkProof, parseProof } from '../ledger/proof';
import { type Bytes, equal, own, utf8 } from './bytes';
import { random } from './cipher';
import { recover } from './enter';
import { Failure } from './failure';
import type { Code } from './code';
import { beginFounding, found } from './founding';
import { LogBook } from './logbook';
import type { Member } from './member';
import { TestLog } from './testlog';
import { TestServer, type TestStore } from './testserver';
import type { Place } from './account';

const hour = 3600_000;

let server: TestServer;
let log: TestLog;
let here: Place & { readonly store: TestStore };
let code: Code;
let ann: Member;
const books: LogBook[] = [];

function open(member = ann): LogBook {
  const book = new LogBook(member, () => undefined);
  books.push(book);
  return book;
}

async function looked(book = open()): Promise<LogBook> {
  await book.look();
  return book;
}

const camera = (): Parameters<Member['append']>[0] => ({ type: 'camera', camera: random(16), tracks: [{ track: random(16), kind: 'video' }] });

async function grow(n = 1): Promise<void> {
  for (let i = 0; i < n; i++) await ann.append(camera());
  await server.proves();
}

async function begin(witnessed = false): Promise<void> {
  server = new TestServer();
  log = server.log = await TestLog.start(witnessed);
  here = server.browser();
  const founding = await beginFounding(here.api, 'The house', 'Ann');
  code = founding.code;
  ann = await found(here, founding);
  await grow(2);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  return begin();
});
afterEach(() => {
  for (const book of books.splice(0)) book.close();
  vi.useRealTimers();
});

describe('an honest log', () => {
  it('is complete up to the time of its newest set', async () => {
    const book = open();
    expect(book.state()).toMatchObject({ state: 'checking', until: null });
    await book.look();
    const { state, until, total, proven, covered, watch } = book.state();
    expect([state, total, proven, covered]).toEqual(['complete', 3, 3, 3]);
    expect(Math.abs((until ?? 0) - Date.now())).toBeLessThan(2000);
    expect(watch).toEqual({ log: log.origin, size: log.size, witnesses: 0, witnessed: false, auditors: 0 });
    expect([0, 1, 2].map((seq) => book.leaf(seq))).toEqual(log.places);
    expect([book.leaf(3), book.covers(2), book.covers(3)]).toEqual([null, true, false]);
  });

  it('has what is new waiting until it is proven', async () => {
    const book = await looked();
    await ann.append(camera());
    await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', total: 4, proven: 3, covered: 3 });
    await server.proves();
    await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', total: 4, proven: 4, covered: 4 });
  });

  it('gives proofs that hold elsewhere', async () => {
    const book = await looked();
    const policy = new Policy(new TextDecoder().decode(log.files.get('policy')));
    const { file, leaf, log: origin } = await book.proof(1);
    const proof = parseProof(utf8(file));
    const tag = tagOf(server.logTagKey, 1);
    expect([equal(proof.extra, tag), proof.index, origin]).toEqual([true, leaf, log.origin]);
    expect((await checkProof(proof, policy, encodeEntry({ kind: 'household', tag, value: ann.chain.at(1)?.hash ?? random(32) }))).size).toBe(log.size);
    const done = await book.completeness();
    expect((await checkCompleteness(done.file, policy, server.logTagKey)).seq).toBe(2);
    await ann.append(camera());
    await expect(book.proof(3)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('is remembered: nothing is proven twice, and no tile asked for twice', async () => {
    await looked();
    log.asked.length = 0;
    const again = await looked();
    expect(again.state().state).toBe('complete');
    expect(log.asked.filter((p) => p.includes('tile'))).toEqual([]);
    await grow();
    await again.look();
    const tiles = log.asked.filter((p) => p.includes('tile'));
    expect(again.state().proven).toBe(4);
    expect(new Set(tiles).size).toBe(tiles.length);
  });

  it('takes a statement that comes between two answers for no lie', async () => {
    const book = await looked();
    const other = await recover(server.browser(), code);
    let told = false;
    server.before = async (call) => {
      if (call !== 'getCompleteness' || told) return;
      told = true;
      await other.append(camera());
      await server.proves();
    };
    await book.look();
    expect(told).toBe(true);
    expect(book.state()).toMatchObject({ state: 'complete', breach: null, total: 4, covered: 4 });
  });

  it('says who watches it', async () => {
    await begin(true);
    const book = await looked();
    expect(book.state()).toMatchObject({ state: 'complete', watch: { witnesses: 1, witnessed: true } });
    expect((await book.proof(0)).witnesses).toMatchObject([{ name: 'anna' }]);
  });

  it('is the one of the founding statement', async () => {
    const { head } = ann.chain;
    for (const [field, kind] of [[{ operator: log.operator, log: log.origin }, null], [{ operator: (await TestLog.start()).operator }, 'policy'], [{ log: 'other.example/log/2026' }, 'policy']] as const) {
      Object.defineProperty(ann.chain, 'head', { configurable: true, value: { ...head, ...field } });
      const book = await looked();
      expect(book.state().breach?.kind ?? null).toBe(kind);
      here.store.account = { ...here.store.account!, log: undefined! };
    }
  });
});

describe('a log that is not there', () => {
  it('is told from a broken one, and what was known stays', async () => {
    const book = await looked();
    const { until } = book.state();
    server.before = (call) => (call === 'logFile' ? Promise.reject(new Failure('network', 'no line')) : Promise.resolve());
    await book.look();
    expect(book.state()).toMatchObject({ state: 'stale', away: true, until, breach: null });
    // So it is after a reload.
    expect((await looked()).state()).toMatchObject({ state: 'stale', away: true, until });
    server.before = () => Promise.resolve();
    await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', away: false });
  });

  it('is said, too, where a server has none', async () => {
    server.log = null;
    expect((await looked()).state()).toMatchObject({ state: 'stale', away: true, until: null, watch: null });
  });

  it('has proven nothing for a day: not verified since then', async () => {
    const book = await looked();
    const { until } = book.state();
    vi.setSystemTime(Date.now() + 23 * hour);
    expect(book.state().state).toBe('complete');
    vi.setSystemTime(Date.now() + 2 * hour);
    expect(book.state()).toMatchObject({ state: 'stale', until, away: false });
    await book.look();
    expect(book.state()).toMatchObject({ state: 'stale', until, breach: null });
    await server.proves();
    await book.look();
    expect(book.state().state).toBe('complete');
  });
});

/** The state after a lie, after a reload, after the server is honest again, and after somebody says that it is solved. */
async function through(book: LogBook, honest: () => void): Promise<{ kinds: (string | null)[] }> {
  await book.look();
  const kinds = [book.state().breach?.kind ?? null];
  const reopened = open();
  await reopened.ready;
  kinds.push(reopened.state().breach?.kind ?? null);
  honest();
  await book.look();
  kinds.push(book.state().breach?.kind ?? null);
  const solved = await book.again(false);
  kinds.push(solved.breach?.kind ?? null);
  return { kinds };
}

describe('a log that lies', () => {
  const serve = (other: TestLog): (() => void) => {
    server.log = other;
    return () => { server.log = log; };
  };
  const swap = (path: string, change: (b: Bytes) => Bytes): (() => void) => {
    const good = log.files.get(path)!;
    log.files.set(path, change(own(good)));
    return () => { log.files.set(path, good); };
  };
  const flip = (b: Bytes): Bytes => b.map((x, i) => (i === b.length >>> 1 ? x ^ 1 : x));

  it('forks: loud until somebody has solved it', async () => {
    const book = await looked();
    const other = log.fork();
    const all = [...server.notes.keys()].map((seq) => ann.chain.at(seq)!.hash);
    other.add(random(32), 0, random(32));
    for (let i = 0; i < 2; i++) await other.take(server.logTagKey, all);
    expect(other.size).toBeGreaterThan(log.size);
    serve(other);
    await book.look();
    expect(book.state().breach?.kind).toBe('fork');
    // Saying that it is solved solves nothing while it is not.
    expect((await book.again(false)).breach?.kind).toBe('fork');
  });

  it('forks and goes back: what it showed is not forgotten', async () => {
    const book = await looked();
    const other = log.fork();
    await other.take(random(32), [random(32), random(32), random(32), random(32), random(32)]);
    const honest = serve(other);
    log.asked.length = 0;
    const { kinds } = await through(book, honest);
    expect(kinds).toEqual(['fork', 'fork', 'fork', null]);
    expect(book.state().state).toBe('complete');
  });

  it('shrinks', async () => {
    const [small, proof] = [log.files.get('checkpoint')!, log.proof];
    await grow();
    const book = await looked();
    const [large, newest] = [log.files.get('checkpoint')!, log.proof];
    log.files.set('checkpoint', small);
    log.proof = proof;
    const { kinds } = await through(book, () => {
      log.files.set('checkpoint', large);
      log.proof = newest;
    });
    expect(kinds).toEqual(['fork', 'fork', 'fork', null]);
  });

  it('has another statement than the server shows', async () => {
    const book = await looked();
    await ann.append(camera());
    await log.take(server.logTagKey, [...[0, 1, 2].map((seq) => ann.chain.at(seq)!.hash), random(32)]);
    await book.look();
    expect(book.state().breach).toMatchObject({ kind: 'fork', seq: 3 });
  });

  it('has a statement that the server keeps back', async () => {
    const book = await looked();
    const other = await recover(server.browser(), code);
    await other.append(camera());
    await server.proves();
    const all = server.notes;
    server.notes = all.slice(0, 3);
    const { kinds } = await through(book, () => { server.notes = all; });
    expect(kinds).toEqual(['kept-back', 'kept-back', 'kept-back', null]);
    expect(book.state()).toMatchObject({ state: 'complete', total: 4 });
  });

  it('leaves a statement out while it grows', async () => {
    const book = await looked();
    await ann.append(camera());
    const hidden = [0, 1, 2].map((seq) => ann.chain.at(seq)!.hash);
    await log.take(server.logTagKey, hidden);
    await book.look();
    expect(book.state().breach).toBeNull();
    vi.setSystemTime(Date.now() + hour / 4);
    await log.take(server.logTagKey, hidden);
    await book.look();
    expect(book.state().breach).toMatchObject({ kind: 'gap', seq: 3 });
    await server.proves();
    await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', breach: null });
  });

  it('left a statement out long ago: told at the first look', async () => {
    await ann.append(camera());
    vi.setSystemTime(Date.now() + hour);
    await log.take(server.logTagKey, [0, 1, 2].map((seq) => ann.chain.at(seq)!.hash));
    expect((await looked()).state().breach).toMatchObject({ kind: 'gap', seq: 3 });
  });

  it('says that a statement stands where another one does', async () => {
    log.places[1] = log.places[2]!;
    expect((await looked()).state().breach).toMatchObject({ kind: 'gap', seq: 1 });
  });

  it.each(['other watchers', 'other keys', 'no policy'])('has another policy: %s', async (what) => {
    const book = await looked();
    const other = (await TestLog.start()).files.get('policy')!;
    const honest = swap('policy', (b) => (what === 'other watchers' ? own(new Uint8Array([...b, ...utf8('# new friends\n')])) : what === 'other keys' ? other : utf8('quorum none\n')));
    const { kinds } = await through(book, honest);
    expect(kinds).toEqual(['policy', 'policy', null, null]);
  });

  it('has another policy that somebody accepts: then the old one is another', async () => {
    const book = await looked();
    const honest = swap('policy', (b) => own(new Uint8Array([...b, ...utf8('# new friends\n')])));
    expect((await book.again(false)).breach?.kind).toBe('policy');
    expect(await book.again(true)).toMatchObject({ state: 'complete', breach: null, proven: 3 });
    honest();
    await book.look();
    expect(book.state().breach?.kind).toBe('policy');
  });

  it('stands still, and its witnesses with it, for a day', async () => {
    await begin(true);
    const book = await looked();
    vi.setSystemTime(Date.now() + 23 * hour);
    await book.look();
    expect(book.state().breach).toBeNull();
    vi.setSystemTime(Date.now() + 2 * hour);
    await book.look();
    expect(book.state()).toMatchObject({ state: 'broken', breach: { kind: 'stale-witness' } });
    await server.proves();
    await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', breach: null });
  });

  it('hides its witnesses for a day', async () => {
    await begin(true);
    const book = await looked();
    swap('checkpoint', (b) => utf8(new TextDecoder().decode(b).split('\n').filter((l) => !l.includes('anna')).join('\n')));
    await book.look();
    expect(book.state().breach).toBeNull();
    vi.setSystemTime(Date.now() + 25 * hour);
    await book.look();
    expect(book.state().breach?.kind).toBe('stale-witness');
  });

  it.each(['checkpoint', 'tile/0/000.p'])('has files that do not fit: %s', async (name) => {
    const path = [...log.files.keys()].filter((p) => p.startsWith(name)).at(-1)!;
    const honest = swap(path, flip);
    const book = await looked();
    expect(['garbled', 'fork', 'gap']).toContain(book.state().breach?.kind);
    honest();
    if (book.state().breach?.kind === 'fork') await book.again(false);
    else await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', breach: null });
  });

  it('proves nothing with a proof that is none', async () => {
    const book = await looked();
    log.proof = flip(log.proof!);
    await book.look();
    expect(book.state().breach?.kind).toBe('garbled');
  });

  it('and an older proof proves less, and is no lie', async () => {
    const old = log.proof;
    await grow();
    const book = await looked();
    log.proof = old;
    await book.look();
    expect(book.state()).toMatchObject({ state: 'complete', breach: null, covered: 4 });
  });
});

describe('who opens the account again in the same browser', () => {
  it('goes on with what was pinned', async () => {
    await looked();
    const pinned = here.store.account?.log?.policy;
    const again = await recover(here, code);
    expect([here.store.account?.log?.policy, pinned?.startsWith('log ')]).toEqual([pinned, true]);
    log.files.set('policy', (await TestLog.start()).files.get('policy')!);
    expect((await looked(open(again))).state().breach?.kind).toBe('policy');
  });
});
