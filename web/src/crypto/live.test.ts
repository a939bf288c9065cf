// @vitest-environment node
/** The live socket over a line that drops, and under a server that leaves parts out. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Bytes, hex, utf8 } from './bytes';
import { openEpoch } from './epoch';
import type { EpochBook } from './epochs';
import { LiveSocket, type Watcher } from './live';
import type { Fault } from './reader';
import { sealRun, testEpoch, type TestEpoch, testHouse, type TestHouse } from './testhub';

/** A socket whose other end is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readonly sent: Record<string, unknown>[] = [];
  readyState = 0;
  binaryType = '';
  onopen: () => void = () => undefined;
  onmessage: (e: { data: unknown }) => void = () => undefined;
  onclose: () => void = () => undefined;

  constructor() {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.drop();
  }

  open(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen();
  }

  drop(): void {
    this.readyState = 3;
    this.onclose();
  }

  tell(message: object): void {
    this.onmessage({ data: JSON.stringify(message) });
  }

  parts(list: readonly Bytes[]): void {
    for (const p of list) this.onmessage({ data: p.slice().buffer });
  }
}

/** What one watcher heard. */
interface Heard extends Watcher {
  readonly seqs: number[];
  readonly faults: Fault[];
  readonly skips: number[];
  readonly lines: boolean[];
}

function listener(): Heard {
  const heard = { seqs: [] as number[], faults: [] as Fault[], skips: [] as number[], lines: [] as boolean[] };
  return {
    ...heard,
    parts: (opened) => heard.seqs.push(...opened.map((t) => t.part.seq)),
    fault: (f) => heard.faults.push(f),
    skip: (n) => heard.skips.push(n),
    idle: () => undefined,
    connected: (on) => heard.lines.push(on),
  };
}

let house: TestHouse;
let epoch: TestEpoch;
let run: Bytes[];
let live: LiveSocket;
let heard: Heard;
let renewed: number;

beforeEach(async () => {
  house = await testHouse();
  epoch = await testEpoch(house);
  run = await sealRun(epoch, house.video, Array.from({ length: 16 }, (_, i) => ({ slot: i, rap: i % 4 === 0, records: [{ type: 1, data: utf8(`picture ${i}`) }] })));
  const open = await openEpoch(epoch.bundle, house.chain, [house.member]);
  FakeSocket.all = [];
  renewed = 0;
  vi.stubGlobal('WebSocket', FakeSocket);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  live = new LiveSocket({
    origin: 'http://127.0.0.1:1',
    epochs: { get: () => Promise.resolve(open) } as unknown as EpochBook,
    events: { heads: () => undefined, hub: () => undefined, garbage: () => undefined },
    beforeRetry: () => Promise.resolve(renewed++),
  });
  heard = listener();
});
afterEach(() => {
  live.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const track = (): string => hex(house.video);

function socket(): FakeSocket {
  const last = FakeSocket.all[FakeSocket.all.length - 1];
  if (last === undefined) throw new Error('no socket was made');
  return last;
}

/** Watches over an open socket. */
function watching(): FakeSocket {
  live.watch(track(), heard);
  socket().open();
  vi.advanceTimersByTime(0);
  return socket();
}

const got = (n: number): Promise<void> => vi.waitFor(() => expect(heard.seqs).toHaveLength(n));

describe('a live line that drops', () => {
  it('is made again, with a fresh session, and watches what was watched from its newest beginning', async () => {
    const first = watching();
    first.parts(run.slice(0, 6));
    await got(6);
    first.drop();
    expect(heard.lines).toEqual([true, false]);
    await vi.advanceTimersByTimeAsync(300);
    expect([FakeSocket.all.length, renewed]).toEqual([2, 1]);
    socket().open();
    expect(socket().sent).toContainEqual({ op: 'watch', track: track() });
    // What was missed meanwhile is no fault: nobody watched.
    socket().parts(run.slice(8, 10));
    await got(8);
    expect(heard.seqs.slice(6)).toEqual([8, 9]);
    expect(heard.faults).toEqual([]);
  });

  it('waits longer after each failure, and tries for as long as somebody watches', async () => {
    watching().drop();
    const waits: number[] = [];
    for (let i = 0; i < 8; i++) {
      const before = FakeSocket.all.length;
      let waited = 0;
      while (FakeSocket.all.length === before && waited < 20_000) {
        await vi.advanceTimersByTimeAsync(50);
        waited += 50;
      }
      waits.push(waited);
      socket().drop();
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 8000, 8000]);
  });

  it('is not made again when it was closed', async () => {
    watching();
    live.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(FakeSocket.all).toHaveLength(1);
  });
});

describe('a watch that ends', () => {
  const unwatched = (s: FakeSocket): boolean => s.sent.some((m) => m['op'] === 'unwatch');

  it('lingers, for who comes back', async () => {
    const stop = live.watch(track(), heard);
    socket().open();
    await vi.advanceTimersByTimeAsync(0);
    stop();
    expect(unwatched(socket())).toBe(false);
    await vi.advanceTimersByTimeAsync(5000);
    expect(unwatched(socket())).toBe(true);
  });

  it('frees the line at once when asked to, but not for who still watches', async () => {
    const stops = [live.watch(track(), heard), live.watch(track(), listener())];
    socket().open();
    await vi.advanceTimersByTimeAsync(0);
    stops[0]?.(true);
    expect(unwatched(socket())).toBe(false);
    stops[1]?.(true);
    expect(unwatched(socket())).toBe(true);
  });
});

describe('a server that leaves parts out', () => {
  it('may, when it says so and goes on at a beginning', async () => {
    const s = watching();
    s.parts(run.slice(0, 3));
    await got(3);
    s.tell({ op: 'skip', track: track(), epoch: hex(epoch.id), from: 3, to: 8 });
    s.parts(run.slice(8, 10));
    await got(5);
    expect(heard.skips).toEqual([5]);
    expect(heard.faults).toEqual([]);
  });

  it('may not without a word, nor beyond its word', async () => {
    const s = watching();
    s.parts(run.slice(0, 2));
    s.parts(run.slice(4, 6));
    await got(4);
    expect(heard.faults.map((f) => f.why)).toEqual(['missing']);
    s.tell({ op: 'skip', track: track(), epoch: hex(epoch.id), from: 6, to: 8 });
    s.parts(run.slice(12, 13));
    await got(5);
    expect(heard.faults.map((f) => f.why)).toEqual(['missing', 'missing']);
  });

  it('hears what arrived, at least four times a second while parts arrive', async () => {
    const s = watching();
    s.parts(run.slice(0, 5));
    await got(5);
    await vi.advanceTimersByTimeAsync(250);
    expect(s.sent).toContainEqual({ op: 'ack', track: track(), epoch: hex(epoch.id), seq: 4 });
  });
});
