// @vitest-environment node
/** What a member has keys of: by the hub, by grants, under former keys; and what nobody gave him. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { CameraId, Kid, NewPerson } from '../owner/types';
import { type Bytes, concat, hex, u16, u32, utf8 } from './bytes';
import { type CameraDecl } from './chain';
import { random, signer, type Signer } from './cipher';
import { Code, parseCode } from './code';
import { EpochBook } from './epochs';
import { beginFounding, found } from './founding';
import type { GrantBody } from './grant';
import { H, kidOf } from './hash';
import { newSealingKey, purpose, sealObject } from './hpke';
import { Invitation } from './invite';
import { Joiner } from './join';
import type { Member } from './member';
import { NameBook } from './names';
import { parsePart } from './part';
import { People } from './people';
import { TrackReader } from './reader';
import { entitled, grantedOf, tracksSeen } from './rights';
import { changeKeys } from './rotate';
import { Shares } from './share';
import { notShared, withNotShared } from './shared';
import { nowSeconds } from './signin';
import { sealRun, type TestEpoch, testEpoch } from './testhub';
import { TestLog } from './testlog';
import { looksAtLog, provenAll, provenAt } from './testproof';
import { TestServer } from './testserver';
import { HeldTree } from './tree';

const never = new AbortController().signal;
const hour = 3600;

let server: TestServer;
let ann: Member;
let annEpochs: EpochBook;
let people: People;
let hub: Signer;
let problems: unknown[];
const door = { camera: random(16), video: random(16), audio: random(16), meta: random(16) };
const yard = { camera: random(16), video: random(16), meta: random(16) };

beforeEach(async () => {
  server = new TestServer();
  server.log = await TestLog.start();
  problems = [];
  ann = provenAll(await found(server.browser(), await beginFounding(server.browser().api, 'Elm Street 4', 'Ann')));
  annEpochs = new EpochBook(ann, () => undefined);
  hub = await signer(random(32));
  people = new People({ member: ann, names: new NameBook(ann, () => undefined), epochs: annEpochs, tell: (err) => void problems.push(err) });
  await ann.append({ type: 'hub', ed: hub.publicKey, x: (await newSealingKey()).publicKey });
  await ann.append({ type: 'camera', camera: door.camera, tracks: [{ track: door.video, kind: 'video' }, { track: door.audio, kind: 'audio' }, { track: door.meta, kind: 'meta' }] });
  await ann.append({ type: 'camera', camera: yard.camera, tracks: [{ track: yard.video, kind: 'video' }, { track: yard.meta, kind: 'meta' }] });
});

/** The hub's next epoch at the head of the chain, as the server hands it out. */
async function epoch(n: number, start: number, more: { without?: Bytes; prev?: Bytes } = {}): Promise<TestEpoch> {
  const e = await testEpoch({ chain: ann.chain, hub, time: start }, n, more);
  server.announce(e);
  return e;
}

const onlyDoor = (sound = true): NewPerson['rights'] => ({ all: false, cameras: [{ camera: hex(door.camera) as CameraId, sound }] });

async function invite(person: Partial<NewPerson> = {}): Promise<{ sam: Member; book: EpochBook; kid: Kid }> {
  const code = Code.fresh();
  const joiner = await Joiner.begin(server.browser(), code, 'Sam');
  const rooms = { member: ann, epochs: annEpochs, names: new NameBook(ann, () => undefined), tell: (err: unknown) => void problems.push(err), proven: (seq: number, signal: AbortSignal) => provenAt(server, ann, seq, signal) };
  const asked: NewPerson = { name: 'Sam', role: 'member', rights: onlyDoor(), history: 'none', ...person };
  const talk = { step: () => undefined, digits: () => undefined, confirmed: Promise.resolve() };
  const [, sam] = await Promise.all([
    Invitation.begin(rooms, code, asked).run(talk, never),
    joiner.finish(parseCode(joiner.reveal()), () => undefined, never),
  ]);
  await looksAtLog(provenAll(sam));
  return { sam, book: new EpochBook(sam, () => undefined), kid: hex(sam.keys.kid) as Kid };
}

const tracksOf = (t: ReadonlyMap<string, unknown>): string[] => [...t.keys()].sort();
const ids = (...tracks: Bytes[]): string[] => tracks.map(hex).sort();

describe('the past', () => {
  it('is shared as far as was chosen, of the chosen cameras only, and opens the same seconds', async () => {
    const old = await epoch(1, nowSeconds() - 40 * hour);
    const young = await epoch(2, nowSeconds() - 2 * hour, { prev: old.hash });
    const { book } = await invite({ history: { days: 1 / 24 } });
    const opened = await book.get(hex(young.id));
    expect(tracksOf(opened.trees)).toEqual(ids(door.video, door.audio, door.meta));
    const tree = opened.trees.get(hex(door.video))!;
    const whole = new HeldTree([{ level: 0, index: 0, key: young.roots.get(hex(door.video))! }]);
    expect(hex(tree.leaf(hour + 60))).toBe(hex(whole.leaf(hour + 60)));
    expect([tree.holds(hour - 60), tree.holds(hour + 60), tree.holds(100_000)]).toEqual([false, true, true]);
    expect(tracksOf((await book.get(hex(old.id))).trees)).toEqual([]);
    expect((await book.get(hex(old.id))).leftOut).toBe(false);
  });

  it('is given whole as roots, which the notes vouch for', async () => {
    const e = await epoch(1, nowSeconds() - hour);
    const { book, sam } = await invite({ history: 'all', rights: { all: true } });
    const opened = await book.get(hex(e.id));
    expect(tracksOf(opened.trees)).toEqual(ids(door.video, door.audio, door.meta, yard.video, yard.meta));
    await sam.sync();
    const grant = [...sam.chain.head.grants.values()][0]!;
    expect([grant.kind, server.capsules.get(hex(grant.grant))?.capsule.length]).toEqual(['member', 20 + 1120 + 2 + 5 * 68 + 16]);
  });

  it('is not given when nothing was chosen, or there is none', async () => {
    await epoch(1, nowSeconds() - hour);
    await invite();
    await invite({ rights: { all: false, cameras: [] }, history: 'all' });
    expect(ann.chain.head.grants.size).toBe(0);
  });

  it('can be given on by somebody who was given it', async () => {
    const e = await epoch(1, nowSeconds() - hour);
    const { sam, book } = await invite({ history: 'all', rights: { all: true }, role: 'admin' });
    [ann, annEpochs] = [sam, book];
    await ann.sync();
    const { book: next } = await invite({ history: 'all', rights: onlyDoor(false) });
    expect(tracksOf((await next.get(hex(e.id))).trees)).toEqual(ids(door.video, door.meta));
  });
});

describe('a grant that lies', () => {
  async function granted(entries: readonly Bytes[], sealedFor: (g: Bytes) => Promise<Bytes> | Bytes, proof = (seq: number): Promise<Bytes> => provenAt(server, ann, seq, never)): Promise<{ book: EpochBook; e: TestEpoch; body: GrantBody; sam: Member }> {
    const start = nowSeconds() - 10 * hour;
    const e = await epoch(1, start);
    const { sam, book } = await invite();
    const grant = random(16);
    const to = sam.keys.sealing[0]!.publicKey;
    const plain = concat(u16(entries.length), ...entries.map((x) => concat(e.id, x)));
    const capsule = await sealObject('LKC1', to, purpose('capsule', ann.household, grant), plain);
    const body: GrantBody = {
      type: 'grant', grant, to: kidOf(to), kind: 'member', key: null, purpose: 'history', terms: null, until: start + 10 ** 6, hubs: [],
      tracks: [{ track: door.video, from: start, until: start + 2100 }], capsule: H(capsule), standing: false, release: null, mask: null,
    };
    const { seq } = await ann.append(body);
    server.capsules.set(hex(grant), { capsule: await sealedFor(capsule), proof: await proof(seq) });
    await sam.sync();
    return { book, e, body, sam };
  }
  const entry = (track: Bytes, level: number, index: number, key: Bytes): Bytes => concat(track, u32(level * 2 ** 24 + index), key);

  it('with another capsule than it names opens nothing', async () => {
    const { book, e } = await granted([], () => random(2000));
    await expect(book.get(hex(e.id))).rejects.toThrow('not the one the grant names');
  });

  it('without a proof, or with that of another statement, opens nothing', async () => {
    const entries = [entry(door.video, 6, 0, random(32))];
    const without = await granted(entries, (c) => c, () => Promise.resolve(new Uint8Array()));
    expect(tracksOf((await without.book.get(hex(without.e.id))).trees)).toEqual([]);
    const other = await granted(entries, (c) => c, (seq) => provenAt(server, ann, seq - 1, never));
    await expect(other.book.get(hex(other.e.id))).rejects.toThrow('of another statement');
  });

  it('that goes beyond its lines gives what is within', async () => {
    // Sorted as capsules are: by track, level, index.
    const inside = entry(door.video, 6, 0, random(32));
    const beyond = [entry(door.video, 6, 1, random(32)), entry(yard.video, 6, 0, random(32)), entry(door.video, 0, 0, random(32))];
    const sorted = [inside, ...beyond].sort((a, b) => (hex(a) < hex(b) ? -1 : 1));
    const { book, e } = await granted(sorted, (c) => c);
    const opened = await book.get(hex(e.id));
    expect([tracksOf(opened.trees), opened.stray]).toEqual([ids(door.video), 3]);
    expect(opened.trees.get(hex(door.video))!.covered()).toEqual([{ from: 0, until: 2048 }]);
  });

  it('with a root that the hub did not commit to gives none', async () => {
    const { sam, book } = await invite();
    const e = await epoch(2, nowSeconds());
    const grant = random(16);
    const to = sam.keys.sealing[0]!.publicKey;
    const plain = concat(u16(1), concat(e.id, entry(yard.video, 0, 0, random(32))));
    const capsule = await sealObject('LKC1', to, purpose('capsule', ann.household, grant), plain);
    const { seq } = await ann.append({
      type: 'grant', grant, to: kidOf(to), kind: 'member', key: null, purpose: 'history', terms: null, until: nowSeconds() + 10 ** 6, hubs: [],
      tracks: [{ track: yard.video, from: 0, until: nowSeconds() + 10 ** 6 }], capsule: H(capsule), standing: false, release: null, mask: null,
    });
    server.capsules.set(hex(grant), { capsule, proof: await provenAt(server, ann, seq, never) });
    await sam.sync();
    const opened = await book.get(hex(e.id));
    expect([tracksOf(opened.trees), opened.stray]).toEqual([ids(door.video, door.audio, door.meta), 1]);
  });

  it('that was revoked gives nothing any more', async () => {
    const { book, e, body, sam } = await granted([entry(door.video, 6, 0, random(32))], (c) => c);
    expect((await book.get(hex(e.id))).trees.size).toBe(1);
    await ann.append({ type: 'revoke', grant: body.grant });
    await sam.sync();
    expect((await new EpochBook(sam, () => undefined).get(hex(e.id))).trees.size).toBe(0);
  });
});

describe('recipients', () => {
  it('may be fewer than the chain says: who was left out sees it, and nobody else is harmed', async () => {
    const { sam, book } = await invite();
    const e = await epoch(1, nowSeconds(), { without: sam.keys.sealing[0]!.kid });
    const mine = await book.get(hex(e.id));
    expect([mine.leftOut, mine.trees.size]).toEqual([true, 0]);
    const hers = await annEpochs.get(hex(e.id));
    expect([hers.leftOut, hers.trees.size]).toEqual([false, 5]);
    expect(hers.sealedTo.has(hex(sam.keys.sealing[0]!.kid))).toBe(false);
  });

  it('who stand in the note and are given no capsule are told that it is withheld', async () => {
    const { book } = await invite();
    const e = await epoch(1, nowSeconds());
    server.epochs = server.epochs.map((x) => ({ ...x, capsules: new Map() }));
    await expect(book.get(hex(e.id))).rejects.toThrow('withheld');
  });

  it('have what their rights were at the time, and what was sealed to keys they had', async () => {
    const { sam, kid, book } = await invite();
    const first = await epoch(1, nowSeconds());
    await people.change(kid, { role: 'member', rights: { all: false, cameras: [{ camera: hex(yard.camera) as CameraId, sound: true }] } });
    const second = await epoch(2, nowSeconds() + 60, { prev: first.hash });
    expect(tracksOf((await book.get(hex(first.id))).trees)).toEqual(ids(door.video, door.audio, door.meta));
    expect(tracksOf((await book.get(hex(second.id))).trees)).toEqual(ids(yard.video, yard.meta));
    const renewed = await changeKeys(sam, Code.fresh());
    await ann.sync();
    const third = await epoch(3, nowSeconds() + 120, { prev: second.hash });
    const again = new EpochBook(renewed, () => undefined);
    expect(tracksOf((await again.get(hex(first.id))).trees)).toEqual(ids(door.video, door.audio, door.meta));
    expect(tracksOf((await again.get(hex(third.id))).trees)).toEqual(ids(yard.video, yard.meta));
  });

  it('are told when two machines sign as one hub', async () => {
    const first = await epoch(1, nowSeconds());
    await annEpochs.get(hex(first.id));
    const clone = await epoch(1, nowSeconds() + 5);
    await expect(annEpochs.get(hex(clone.id))).rejects.toThrow('two machines');
    const apart = await epoch(2, nowSeconds() + 9, { prev: random(32) });
    await expect(annEpochs.get(hex(apart.id))).rejects.toThrow('two machines');
    expect(annEpochs.doubled(hex(kidOf(hub.publicKey)))).toBe(true);
  });
});

describe('a removal', () => {
  it('has been heard by the hubs that seal without the removed', async () => {
    const { kid } = await invite();
    const first = await epoch(1, nowSeconds());
    await annEpochs.get(hex(first.id));
    server.hubs = [{ kid: kidOf(hub.publicKey), online: true, lastSeenMs: 0n, doubledMs: 0n }];
    let sealing: Promise<unknown> | null = null;
    server.after = (call) => {
      if (call === 'appendStatement') sealing = new Promise((resolve) => setTimeout(resolve, 50)).then(() => epoch(2, nowSeconds(), { prev: first.hash }));
      return Promise.resolve();
    };
    expect(await people.remove(kid)).toEqual({ server: 'done', hubs: [{ kid: hex(kidOf(hub.publicKey)), heard: true }] });
    expect(sealing).not.toBeNull();
    expect(problems).toEqual([]);
  });
});

describe('parts and the timeline', () => {
  it('pass over what is not shared, without an alarm, and open what is', async () => {
    const start = nowSeconds() - 2 * hour;
    const e = await epoch(1, start);
    const { sam, book } = await invite({ history: { days: 1 / 24 } });
    const parts = await sealRun(e, door.video, Array.from({ length: 10 }, (_, i) => ({ slot: hour - 5 + i, rap: true, records: [{ type: 1, data: utf8(`picture ${i}`) }] })));
    const reader = new TrackReader(hex(door.video), book);
    const read = await reader.read(parts.map((p) => parsePart(p)));
    const at = read.opened[0]!.part.seq;
    expect(read.opened).toHaveLength(10 - at);
    expect(at).toBeGreaterThan(2);
    expect(read.faults.map((f) => [f.why, f.cause])).toEqual([['not-shared', null]]);
    const decl = [...sam.chain.head.cameras.values()].find((c) => hex(c.camera) === hex(door.camera)) as CameraDecl;
    const stored = [{ epoch: hex(e.id), from: start * 1000, to: (start + 2 * hour) * 1000 }];
    const gaps = await notShared({ chain: sam.chain, kid: sam.keys.kid, epochs: book }, { ...decl, since: start }, door.video, stored, start * 1000, (start + 2 * hour) * 1000);
    expect(gaps.map((g) => [g.why, g.alarm, Math.round((g.to - g.from) / 60_000)])).toEqual([['not-shared', false, 60]]);
    const seen = withNotShared([{ from: start * 1000, to: (start + 2 * hour) * 1000 }], [], gaps);
    expect([seen.ranges.length, seen.gaps.length, Math.round((seen.ranges[0]!.to - seen.ranges[0]!.from) / 60_000)]).toEqual([1, 1, 60]);
  });

  it('call no time missing from before somebody came, and none of the founder’s not shared', async () => {
    const { sam, book } = await invite();
    const decl = [...sam.chain.head.cameras.values()].find((c) => hex(c.camera) === hex(door.camera)) as CameraDecl;
    const [from, to] = [(nowSeconds() - 24 * hour) * 1000, nowSeconds() * 1000 - 60_000];
    const early = { ...decl, since: nowSeconds() - 48 * hour };
    const his = await notShared({ chain: sam.chain, kid: sam.keys.kid, epochs: book }, early, door.video, [], from, to);
    expect(his).toMatchObject([{ from, to, why: 'not-shared', alarm: false }]);
    const hole = { from, to, why: 'missing', words: '', alarm: true } as const;
    expect(withNotShared([], [hole], his).gaps.map((g) => g.alarm)).toEqual([false]);
    const hers = await notShared({ chain: ann.chain, kid: ann.keys.kid, epochs: annEpochs }, decl, door.video, [], from, to);
    expect(hers).toEqual([]);
  });

  it('is an alarm where the hub left somebody out against the chain', async () => {
    const { sam, book } = await invite();
    const start = nowSeconds();
    const e = await epoch(1, start, { without: sam.keys.sealing[0]!.kid });
    const decl = [...sam.chain.head.cameras.values()].find((c) => hex(c.camera) === hex(door.camera)) as CameraDecl;
    const stored = [{ epoch: hex(e.id), from: (start + 10) * 1000, to: (start + 70) * 1000 }];
    const gaps = await notShared({ chain: sam.chain, kid: sam.keys.kid, epochs: book }, { ...decl, since: start - hour }, door.video, stored, (start + 10) * 1000, (start + 70) * 1000);
    expect(gaps.some((g) => g.alarm)).toBe(true);
  });
});

describe('what is given of the time to come', () => {
  const yardId = hex(yard.camera) as CameraId;

  async function sharesOf(): Promise<Shares> {
    await looksAtLog(ann);
    const policy = (await ann.place.store.load())?.log?.policy ?? null;
    return new Shares({
      member: ann, epochs: annEpochs, policy: () => Promise.resolve(policy), proven: (seq, _wait, signal) => provenAt(server, ann, seq, signal),
      person: () => 'Sam', camera: () => 'Yard', tell: (err) => void problems.push(err), changed: () => undefined,
    });
  }

  it('opens from its first second to its last in the epoch that runs and in those after it, and nothing once it has ended', async () => {
    const now = nowSeconds();
    const running = await epoch(1, now - 100);
    const { sam, book, kid } = await invite();
    const from = now - 50;
    const to = now + 3 * hour;
    const shares = await sharesOf();
    const shared = await shares.share({ camera: yardId, from: from * 1000, to: to * 1000, sound: false, until: (to + 10) * 1000, note: '', for: { kind: 'member', kid } }, () => undefined);
    expect(shared).toMatchObject({ kind: 'member', standing: true, until: to * 1000, waiting: false });
    const after = await epoch(2, now + 20, { prev: running.hash });
    await sam.sync();
    await book.refreshGrants();
    const covered = async (e: TestEpoch, track = yard.video): Promise<unknown> => (await book.get(hex(e.id))).trees.get(hex(track))?.covered();
    expect(await covered(running)).toEqual([{ from: 50, until: 100 + 3 * hour }]);
    expect(await covered(after)).toEqual([{ from: 0, until: 3 * hour - 20 }]);
    expect(await covered(after, yard.meta)).toEqual([{ from: 0, until: 3 * hour - 20 }]);
    const head = sam.chain.head;
    const me = head.members.get(kid)!;
    const decl = [...head.cameras.values()].find((c) => hex(c.camera) === yardId)!;
    expect(tracksSeen(head, me, decl, now)).toHaveLength(2);
    expect(grantedOf(head, me, decl, now)).toEqual([{ from: from * 1000, to: to * 1000 }]);
    expect(grantedOf(head, me, decl, to + 10)).toEqual([]);
    const right = entitled(sam.chain, sam.keys.kid, yard.video);
    expect(right).toEqual([{ from: expect.any(Number), to: to * 1000 }]);
    await shares.end(shared.id);
    await sam.sync();
    expect(tracksSeen(sam.chain.head, me, decl, now)).toEqual([]);
    const ended = await epoch(3, now + 40, { prev: after.hash });
    expect(await covered(ended)).toBeUndefined();
    expect(problems).toEqual([]);
  });

  it('is not given of a camera that is theirs anyway, nor the past alone of one that is not', async () => {
    const now = nowSeconds();
    await epoch(1, now - 100);
    const { kid } = await invite();
    const shares = await sharesOf();
    const ask = { camera: yardId, from: (now - 50) * 1000, to: (now - 10) * 1000, sound: false, until: (now + hour) * 1000, note: '', for: { kind: 'member', kid } } as const;
    await expect(shares.share(ask, () => undefined)).rejects.toMatchObject({ kind: 'refused' });
    const anyway = await shares.share({ ...ask, camera: hex(door.camera) as CameraId, to: (now + hour) * 1000, until: (now + 2 * hour) * 1000 }, () => undefined);
    expect(anyway.standing).toBe(false);
    expect(anyway.until).toBeLessThanOrEqual((now + 60) * 1000);
    expect(ann.chain.head.grants.size).toBe(1);
  });

  it('waits for nothing where nothing of it is recorded yet', async () => {
    const now = nowSeconds();
    const { kid } = await invite();
    const shares = await sharesOf();
    const shared = await shares.share({ camera: yardId, from: now * 1000, to: (now + hour) * 1000, sound: false, until: (now + 2 * hour) * 1000, note: '', for: { kind: 'member', kid } }, () => undefined);
    expect(shared).toMatchObject({ standing: true, waiting: false });
    expect(server.capsules.has(shared.id)).toBe(false);
    expect([...ann.chain.head.grants.values()][0]!.capsule).toBeNull();
  });
});
