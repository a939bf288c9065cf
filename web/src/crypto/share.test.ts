// @vitest-environment node
/** Shares: log, then release; pages that are closed between; and what a stranger makes of a server that lies about a link. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { OpenLinkResponse } from '../api/latchkey/v1/link_pb';
import type { CameraId, Kid } from '../owner/types';
import type { ShareAsk, ShareNews } from '../owner/sharing/types';
import { type Bytes, hex, own, utf8 } from './bytes';
import { random, signer, type Signer } from './cipher';
import { EpochBook } from './epochs';
import { Failure } from './failure';
import { beginFounding, found } from './founding';
import { newSealingKey } from './hpke';
import { Link } from './link';
import { LinkOver, LinkRefused, type LinkCheck, type LinkSource, type OpenedLink, openLink } from './linkopen';
import { LogBook } from './logbook';
import { logTagKey, provenInLog } from './logproof';
import { Member } from './member';
import { Shares, type ShareRooms } from './share';
import { nowSeconds } from './signin';
import { sealRun, type TestEpoch, testEpoch } from './testhub';
import { TestLog } from './testlog';
import { TestServer, type TestStore } from './testserver';
import type { Place } from './account';
import { TrackReader } from './reader';
import { parsePart, recordType } from './part';

let server: TestServer;
let here: Place & { readonly store: TestStore };
let ann: Member;
let hub: Signer;
let start: number;
let epoch: TestEpoch;
const door = { camera: random(16), video: random(16), audio: random(16), meta: random(16) };
const open: LogBook[] = [];

function roomsOf(member: Member): ShareRooms {
  const log = new LogBook(member, () => undefined);
  open.push(log);
  return {
    member, epochs: new EpochBook(member, () => undefined),
    policy: async () => {
      await log.look();
      return (await member.place.store.load())?.log?.policy ?? null;
    },
    proven: (seq, wait, signal) => provenInLog({ log, api: member.api }, seq, wait, signal),
    person: () => 'Ann', camera: () => 'Door', tell: (err) => { throw err; }, changed: () => undefined,
  };
}

beforeEach(async () => {
  for (const log of open.splice(0)) log.close();
  server = new TestServer();
  server.log = await TestLog.start();
  here = server.browser();
  ann = await found(here, await beginFounding(here.api, 'Elm Street 4', 'Ann'));
  hub = await signer(random(32));
  await ann.append({ type: 'hub', ed: hub.publicKey, x: (await newSealingKey()).publicKey });
  await ann.append({ type: 'camera', camera: door.camera, tracks: [{ track: door.video, kind: 'video' }, { track: door.audio, kind: 'audio' }, { track: door.meta, kind: 'meta' }] });
  start = nowSeconds() - 3600;
  epoch = await testEpoch({ chain: ann.chain, hub, time: start });
  server.announce(epoch);
  await server.proves();
});

const ask = (more: Partial<ShareAsk> = {}): ShareAsk => ({
  camera: hex(door.camera) as CameraId, from: (start + 100) * 1000, to: (start + 163) * 1000,
  sound: false, until: (nowSeconds() + 3600) * 1000, note: ' The parcel ', for: { kind: 'link' }, ...more,
});

/** The log takes what comes, while fn runs. */
async function withLog<T>(fn: Promise<T>): Promise<T> {
  const state = { done: false };
  void fn.catch(() => undefined).finally(() => (state.done = true));
  while (!state.done) {
    await server.proves();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return fn;
}

async function linked(more: Partial<ShareAsk> = {}): Promise<{ shares: Shares; id: string; link: Link }> {
  const shares = new Shares(roomsOf(ann));
  const shared = await withLog(shares.share(ask(more), () => undefined));
  return { shares, id: shared.id, link: await Link.parse(new URL(shared.link!.url).hash) };
}

const sourceOf = (change: (r: OpenLinkResponse) => void = () => undefined, at = nowSeconds()): LinkSource => ({
  open: (kid) => Promise.resolve().then(() => {
    const r = { ...server.links.open(kid) } as unknown as OpenLinkResponse;
    change(r);
    return r;
  }),
  policy: () => server.log!.fetch('policy'),
  parts: () => Promise.reject(new Failure('not-found', 'none')),
  now: () => at,
});

describe('a link', () => {
  it('is handed over after the proof, opens exactly its seconds, and is ended', async () => {
    const steps: ShareNews[] = [];
    const shares = new Shares(roomsOf(ann));
    const shared = await withLog(shares.share(ask(), (n) => steps.push(n)));
    expect(steps.flatMap((s) => (s.kind === 'step' ? [s.step] : []))).toEqual(expect.arrayContaining(['written', 'witnessed', 'done']));
    expect(shared).toMatchObject({ kind: 'link', cameraName: 'Door', from: (start + 100) * 1000, until: (start + 163) * 1000, sound: false, waiting: false, views: 0 });
    const opened = await openLink(await Link.parse(new URL(shared.link!.url).hash), sourceOf());
    expect(opened.words).toMatchObject({ from: 'Ann', camera: 'Door', note: 'The parcel' });
    expect([opened.tracks, opened.stray, opened.hubs.length, opened.log.name]).toEqual([[hex(door.video)], 0, 1, server.log!.origin]);
    await expectSeconds(opened, [99, 100, 162, 163], [100, 162]);
    expect((await shares.list())[0]).toMatchObject({ views: 1 });
    await shares.end(shared.id);
    expect(await shares.list()).toEqual([]);
    await expect(openLink(await Link.parse(new URL(shared.link!.url).hash), sourceOf())).rejects.toMatchObject({ kind: 'not-found' });
  });

  /** Of parts of these slots, those that the link opens. */
  async function expectSeconds(opened: OpenedLink, slots: number[], want: number[]): Promise<void> {
    const parts = await sealRun(epoch, door.video, slots.map((slot) => ({ slot, rap: true, records: [{ type: recordType.event, data: utf8('x') }] })));
    const { tracks } = opened;
    const reader = new TrackReader(tracks[0]!, { get: (id) => epochOf(opened, id) }, true);
    const got = await reader.read(parts.map((p) => parsePart(p)));
    expect(got.opened.map((t) => t.part.slot)).toEqual(want);
    expect(got.faults.filter((f) => f.why !== 'not-shared')).toEqual([]);
  }
  const epochOf = (opened: OpenedLink, id: string): Promise<Awaited<ReturnType<EpochBook['get']>>> => opened.epochs.get(id);

  it('sends nothing of it while the log is away, waits, and goes on in the next page', async () => {
    const log = server.log;
    const first = new Shares(roomsOf(ann));
    await roomsOf(ann).policy();
    server.log = null;
    const news: ShareNews[] = [];
    const sharing = first.share(ask(), (n) => news.push(n));
    sharing.catch(() => undefined);
    await expect.poll(() => news.some((n) => n.kind === 'away' && n.on)).toBe(true);
    expect((await first.list())[0]).toMatchObject({ waiting: true, link: null });
    expect(server.heard.filter((h) => h.call === 'putLink')).toEqual([]);
    // The tab is closed.
    first.close();
    await expect(sharing).rejects.toMatchObject({ kind: 'network' });
    const statements = server.notes.length;
    server.log = log;
    const again = new Shares(roomsOf((await Member.resume(server.browser('x', here.store)))!));
    await again.resume();
    await withLog(expect.poll(async () => (await again.list())[0]?.waiting, { timeout: 15_000 }).toBe(false));
    const [shared] = await again.list();
    expect(server.notes.length).toBe(statements);
    expect((await openLink(await Link.parse(new URL(shared!.link!.url).hash), sourceOf())).words.camera).toBe('Door');
  });

  it('is not made when the person says no to the touch, and nothing of it is kept', async () => {
    server.before = (call) => (call === 'appendStatement' ? Promise.reject(new Failure('refused', 'no')) : Promise.resolve());
    await expect(new Shares(roomsOf(ann)).share(ask(), () => undefined)).rejects.toMatchObject({ kind: 'refused' });
    expect(here.store.account?.sharing).toEqual({});
  });

  it('goes on at the next visit when the answer to its statement got lost', async () => {
    const first = new Shares(roomsOf(ann));
    let down = false;
    server.before = (call) => (down && call !== 'appendStatement' ? Promise.reject(new Failure('network', 'down')) : Promise.resolve());
    server.after = (call) => (call === 'appendStatement' && (down = true) ? Promise.reject(new Failure('network', 'lost')) : Promise.resolve());
    await expect(first.share(ask(), () => undefined)).rejects.toMatchObject({ kind: 'network' });
    [server.before, server.after] = [() => Promise.resolve(), () => Promise.resolve()];
    const member = (await Member.resume(server.browser('x', here.store)))!;
    await member.sync();
    const again = new Shares(roomsOf(member));
    await again.resume();
    await withLog(expect.poll(async () => (await again.list())[0]?.link, { timeout: 15_000 }).toBeTruthy());
    expect(server.heard.filter((h) => h.call === 'appendStatement' && JSON.stringify(h.request).length > 0).length).toBe(3);
  });

  it('is refused of nothing, of too much, of too long', async () => {
    const shares = new Shares(roomsOf(ann));
    for (const more of [
      { to: (start + 100) * 1000 }, { from: (start - 86_401) * 1000 }, { until: (nowSeconds() + 8 * 86_400) * 1000 },
      { from: (start - 200) * 1000, to: (start - 100) * 1000 },
    ]) await expect(shares.share(ask(more), () => undefined)).rejects.toBeInstanceOf(Failure);
    expect(ann.chain.head.grants.size).toBe(0);
  });

  it('has its secret in nothing that was sent', async () => {
    const { link } = await linked();
    const secret = Buffer.from(link.reveal().slice('#LK1.'.length), 'base64url').toString('hex');
    const sent: string[] = [];
    JSON.stringify(server.heard, (_k, v: unknown) => {
      if (v instanceof Uint8Array) sent.push(Buffer.from(v).toString('hex'));
      else if (typeof v === 'string') sent.push(Buffer.from(v).toString('hex'));
      return v instanceof Uint8Array || typeof v === 'bigint' ? null : v;
    });
    // It would be found: the kid of the key that is made of it is.
    expect(sent.filter((one) => one.includes(hex(link.kid)))).not.toEqual([]);
    expect(sent.filter((one) => one.includes(secret))).toEqual([]);
  });
});

describe('a stranger whom the server lies to', () => {
  const flipped = (b: Uint8Array, at = b.length - 1): Bytes => {
    const out = own(b);
    out[at] = (out[at] ?? 0) ^ 1;
    return out;
  };
  const lies: readonly (readonly [name: string, check: LinkCheck, change: (r: OpenLinkResponse) => void])[] = [
    ['another MAC', 'mac', (r) => { r.mac = flipped(r.mac); }],
    ['another note', 'mac', (r) => { r.note = own(server.notes[1]!); }],
    ['a longer until', 'mac', (r) => { r.note = utf8(new TextDecoder().decode(r.note).replace(/\nuntil 1/, '\nuntil 2')); }],
    ['other words', 'words', (r) => { r.words = flipped(r.words); }],
    ['no proof', 'proof', (r) => { r.proof = new Uint8Array(); }],
    ['a changed proof', 'proof', (r) => { r.proof = utf8(new TextDecoder().decode(r.proof).replace(/index \d+/, 'index 1')); }],
    ['another capsule', 'capsule', (r) => { r.capsule = flipped(r.capsule); }],
    ['no epoch', 'epoch', (r) => { r.epochs = []; }],
    ['a changed epoch', 'epoch', (r) => { r.epochs = r.epochs.map((e) => ({ ...e, note: utf8(new TextDecoder().decode(e.note).replace('synced', 'unsynced')) })); }],
  ];
  it.each(lies)('with %s is shown nothing, and told which', async (_name, check, change) => {
    const { link } = await linked();
    const refused = await openLink(link, sourceOf(change)).then(() => null, (err: unknown) => err);
    expect(refused).toBeInstanceOf(LinkRefused);
    expect((refused as LinkRefused).check).toBe(check);
  });

  it('with another log than the sharer knew', async () => {
    const { link } = await linked();
    server.log = await TestLog.start();
    await server.log.take(await logTagKey(ann), []);
    await expect(openLink(link, sourceOf())).rejects.toMatchObject({ check: 'policy' });
  });

  it('with an epoch by another hub', async () => {
    const { link } = await linked();
    const eve = await signer(random(32));
    const evil = await testEpoch({ chain: ann.chain, hub: eve, time: start });
    await expect(openLink(link, sourceOf((r) => { r.epochs = [{ ...r.epochs[0]!, note: evil.bundle.note }]; }))).rejects.toMatchObject({ check: 'epoch' });
  });

  it('after its time', async () => {
    const { link } = await linked();
    await expect(openLink(link, sourceOf(undefined, nowSeconds() + 3700))).rejects.toBeInstanceOf(LinkOver);
  });

  it('with the secret of another link', async () => {
    const [one, other] = [await linked(), await linked()];
    await expect(openLink(other.link, { ...sourceOf(), open: () => sourceOf().open(one.link.kid) })).rejects.toMatchObject({ check: 'mac' });
  });
});

describe('a share with a member', () => {
  it('is a capsule with its proof, and stands in the list', async () => {
    const me = hex(ann.keys.kid) as Kid;
    const shares = new Shares(roomsOf(ann));
    const shared = await withLog(shares.share(ask({ for: { kind: 'member', kid: me }, sound: true }), () => undefined));
    expect(shared).toMatchObject({ kind: 'member', to: 'Ann', sound: true, link: null, views: null, waiting: false });
    expect(server.capsules.get(shared.id)!.proof.length).toBeGreaterThan(100);
    expect(here.store.account?.sharing).toEqual({});
  });
});
