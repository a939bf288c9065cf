// @vitest-environment node
/** Tickets and two-key grants of a household: sealed to whom the log proves, log then release, and a server that lies about who is staff (C14). */
import { beforeEach, describe, expect, it } from 'vitest';
import type { CameraId } from '../owner/types';
import type { SeeAsk, SeeNews } from '../owner/help/types';
import { provenAgent } from './agent';
import { type Bytes, b64, fromUtf8, hex, utf8 } from './bytes';
import { apply } from './chain';
import { random, signer, type Signer } from './cipher';
import { EpochBook } from './epochs';
import { openCapsule, parseCapsule } from './epoch';
import { Failure } from './failure';
import { beginFounding, found } from './founding';
import { H, kidOf } from './hash';
import { type Help, helpOps } from './helpops';
import { newSealingKey, openObject, purpose, type SealingKey } from './hpke';
import { openLetter, sealLetter } from './letter';
import { LogBook } from './logbook';
import { provenInLog } from './logproof';
import { Mask } from './mask';
import { Member } from './member';
import { parseNote, signNote, verifyNote } from './note';
import { messageText, parseMessage } from './opening';
import { nowSeconds } from './signin';
import { type Body, statementText } from './statement';
import type { Place } from './account';
import { type TestAgent, testAgent } from './testdesk';
import { type TestEpoch, testEpoch } from './testhub';
import { TestLog } from './testlog';
import { TestServer, type TestStore } from './testserver';

let server: TestServer;
let here: Place & { readonly store: TestStore };
let ann: Member;
let hub: Signer;
let hubBox: SealingKey;
let start: number;
let epoch: TestEpoch;
let sam: TestAgent;
let told: unknown[];
let commands: { op: string; args: unknown }[];
const door = { camera: random(16), video: random(16), audio: random(16) };
const open: { log: LogBook; help: Help }[] = [];

function helps(member: Member = ann): Help {
  const log = new LogBook(member, () => undefined);
  const help = helpOps({
    member, epochs: new EpochBook(member, () => undefined),
    policy: async () => {
      await log.look();
      return (await member.place.store.load())?.log?.policy ?? null;
    },
    proven: (seq, wait, signal) => provenInLog({ log, api: member.api }, seq, wait, signal),
    person: () => 'Ann', camera: () => 'Door', changed: () => undefined,
    tell: (err) => { told.push(err); },
    command: (_hub, op, args) => {
      commands.push({ op, args });
      return Promise.resolve();
    },
  });
  open.push({ log, help });
  return help;
}

beforeEach(async () => {
  for (const { log, help } of open.splice(0)) {
    help.end();
    log.close();
  }
  [told, commands] = [[], []];
  server = new TestServer();
  server.log = await TestLog.start();
  here = server.browser();
  ann = await found(here, await beginFounding(here.api, 'Elm Street 4', 'Ann'));
  [hub, hubBox] = [await signer(random(32)), await newSealingKey()];
  await ann.append({ type: 'hub', ed: hub.publicKey, x: hubBox.publicKey });
  await ann.append({ type: 'camera', camera: door.camera, tracks: [{ track: door.video, kind: 'video' }, { track: door.audio, kind: 'audio' }] });
  start = nowSeconds() - 3600;
  epoch = await testEpoch({ chain: ann.chain, hub, time: start });
  server.announce(epoch);
  await server.proves();
  sam = await testAgent(server.log);
  server.desk.agent = sam;
});

const ask = (more: Partial<SeeAsk> = {}): SeeAsk => ({
  ticket: 1, agent: 'sam', camera: hex(door.camera) as CameraId, from: (start + 100) * 1000, to: (start + 1100) * 1000, sound: false, until: (nowSeconds() + 7200) * 1000, ...more,
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

/** What the agent reads of ticket 1. */
async function readBy(agent: TestAgent): Promise<{ words: string; about: string | null }[]> {
  return Promise.all(server.desk.letters(1, agent.box).map(async (sealed) => {
    const note = parseNote(await openLetter(ann.household, [agent.box], sealed));
    await verifyNote(note, ann.keys.signer.publicKey);
    const { words, about } = parseMessage(note);
    return { words, about };
  }));
}

/** A message of somebody, to Ann, as it would come through the server. */
async function writes(key: Signer, words: string, more: { ticket?: number; household?: Bytes; about?: string } = {}): Promise<void> {
  const m = { household: more.household ?? ann.household, ticket: more.ticket ?? 1, by: kidOf(key.publicKey), time: nowSeconds(), nonce: random(16), words, about: more.about ?? null };
  const x = ann.keys.sealing[0]!.publicKey;
  server.desk.put(1, x, await sealLetter(ann.household, x, await signNote(messageText(m), key)));
}

/** The operator says in the chain that the agent opens entries of a grant. */
const accesses = (grant: Bytes, entries: { epoch: Bytes; track: Bytes; level: number; index: number }[]): Promise<void> => says({ type: 'access', grant, staff: sam.box.kid, entries });

/** The operator writes into the chain. */
async function says(body: Body): Promise<void> {
  const key = server.log!.operatorKey;
  const { head } = ann.chain;
  const text = statementText({ household: head.household, seq: server.notes.length, prev: parseNote(server.notes.at(-1)!).hash, time: nowSeconds(), by: kidOf(key.publicKey), salt: random(16) }, body);
  const raw = await signNote(text, key);
  server.state = await apply(server.state, parseNote(raw), nowSeconds());
  server.notes.push(raw);
}

const sentBy = (call: string): number => server.heard.filter((h) => h.call === call).length;

describe('a ticket', () => {
  it('is read by its household and by who has it, and by nobody else', async () => {
    const help = helps();
    const t = await help.openTicket({ topic: 'codec', words: 'The porch is grey', health: true }, () => undefined);
    expect(t).toMatchObject({ n: 1, topic: 'codec', open: true, agent: 'sam', proven: 'yes', health: true, left: 0, see: [] });
    expect(t.letters).toMatchObject([{ by: 'Ann', mine: true, staff: false, words: 'The porch is grey', asks: false }]);
    expect((await readBy(sam))[0]!.words).toBe('The porch is grey');
    expect(server.desk.tickets[0]!.letters.map((l) => l.kid).sort()).toEqual([hex(ann.keys.sealing[0]!.kid), hex(sam.box.kid)].sort());
    expect(commands).toMatchObject([{ op: 'health', args: { ticket: 1, to: b64(sam.box.publicKey) } }]);
    expect(JSON.stringify(server.heard, (_k, v: unknown) => (typeof v === 'bigint' ? String(v) : v instanceof Uint8Array ? Buffer.from(v).toString('latin1') : v))).not.toContain('grey');
  });

  it('goes on: a word of support, a question for footage, health off, and its end', async () => {
    const help = helps();
    await help.openTicket({ topic: 'codec', words: 'Grey', health: true }, () => undefined);
    await writes(sam.key, 'Show me a minute', { about: JSON.stringify({ v: 1, ask: 'footage' }) });
    await help.replyTicket({ ticket: 1, words: 'Which one?' }, () => undefined);
    await help.ticketHealth({ ticket: 1, agent: 'sam', on: false }, () => undefined);
    const t = await help.ticket({ n: 1 }, () => undefined);
    expect(t.letters.map((l) => [l.by, l.staff, l.asks])).toEqual([['Ann', false, false], ['sam', true, true], ['Ann', false, false], ['Ann', false, false]]);
    expect(t.health).toBe(false);
    expect(commands.map((c) => c.op)).toEqual(['health', 'health-end']);
    await help.closeTicket({ n: 1 }, () => undefined);
    expect(await help.tickets(null, () => undefined)).toMatchObject([{ n: 1, open: false }]);
  });

  it('leaves out what nobody who has it has written, what is of another ticket or home, and what came twice', async () => {
    const help = helps();
    await help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined);
    await writes(await signer(random(32)), 'I am support');
    await writes(sam.key, 'Elsewhere', { ticket: 2 });
    await writes(sam.key, 'Elsewhere', { household: random(16) });
    await writes(ann.keys.signer, 'Two');
    const letters = server.desk.tickets[0]!.letters;
    letters.push(letters.at(-1)!);
    const t = await help.ticket({ n: 1 }, () => undefined);
    expect(t.letters.map((l) => l.words)).toEqual(['One', 'Two']);
    expect(t.left).toBe(4);
  });

  it('is sealed to a new member only once the log has proven the keys', async () => {
    const help = helps();
    const [cleo, box] = [await signer(random(32)), await newSealingKey()];
    await ann.append({ type: 'member', ed: cleo.publicKey, x: box.publicKey, recovery: (await signer(random(32))).publicKey, role: 'viewer', share: false, tracks: 'all' });
    await help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined);
    expect(server.desk.letters(1, box)).toEqual([]);
    await server.proves();
    await open.at(-1)!.log.look();
    await help.replyTicket({ ticket: 1, words: 'Two' }, () => undefined);
    expect(server.desk.letters(1, box)).toHaveLength(1);
  });

  it('keeps what somebody has written who had it before, and does not take a question from him', async () => {
    const help = helps();
    await help.openTicket({ topic: 'other', words: 'One', health: true }, () => undefined);
    await writes(sam.key, 'Show me', { about: JSON.stringify({ v: 1, ask: 'footage' }) });
    server.desk.others.push(sam);
    server.desk.agent = await testAgent(server.log!, { id: 'tim' });
    const t = await help.ticket({ n: 1 }, () => undefined);
    expect(t).toMatchObject({ agent: 'tim', health: false, left: 0, letters: [{ words: 'One' }, { by: 'sam', staff: true, asks: false }] });
  });

  it('is passed on to who took it over when the household says so', async () => {
    const help = helps();
    await help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined);
    await writes(sam.key, 'Two');
    await writes(await signer(random(32)), 'False');
    const tim = await testAgent(server.log!, { id: 'tim' });
    server.desk.others.push(sam);
    server.desk.agent = tim;
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ behind: false });
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await says({ type: 'notice', staff: tim.box.kid, action: 'ticket-taken', object: '1' });
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ behind: true });
    await expect(help.passTicketOn({ ticket: 1, agent: 'sam' }, () => undefined)).rejects.toMatchObject({ kind: 'refused' });
    expect(server.desk.letters(1, tim.box)).toEqual([]);
    await help.passTicketOn({ ticket: 1, agent: 'tim' }, () => undefined);
    const read = await Promise.all(server.desk.letters(1, tim.box).map(async (l) => parseMessage(parseNote(await openLetter(ann.household, [tim.box], l))).words));
    expect(read).toEqual(['One', 'Two', 'You can read what was written before.']);
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ behind: false });
  });

  it('is news until this browser has shown what was written', async () => {
    const help = helps();
    expect(await help.ticketNews(null, () => undefined)).toEqual([]);
    await help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined);
    expect(await help.ticketNews(null, () => undefined)).toEqual([]);
    await writes(sam.key, 'Two');
    expect(await help.ticketNews(null, () => undefined)).toMatchObject([{ n: 1 }]);
    await help.ticket({ n: 1 }, () => undefined);
    expect(await help.ticketNews(null, () => undefined)).toEqual([]);
  });

  it('says so when nobody is there, and when nobody has it any more', async () => {
    const help = helps();
    server.desk.agent = null;
    await expect(help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined)).rejects.toMatchObject({ kind: 'network', error: { what: 'Nobody of support is there now.' } });
    server.desk.agent = sam;
    await help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined);
    server.desk.agent = null;
    await help.replyTicket({ ticket: 1, words: 'Still there?' }, () => undefined);
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ proven: 'nobody', letters: [{ words: 'One' }, { words: 'Still there?' }] });
    expect(await readBy(sam)).toHaveLength(1);
    await expect(help.letSee(ask(), () => undefined)).rejects.toMatchObject({ kind: 'not-found' });
  });
});

describe('a server that lies about who is of support', () => {
  const day = 86_400;
  const lies: Record<string, () => Promise<TestAgent>> = {
    'signed by another root': async () => testAgent(server.log!, { root: await signer(random(32)) }),
    'signed by the operator': () => testAgent(server.log!, { root: server.log!.operatorKey }),
    'of another role': () => testAgent(server.log!, { role: 'auditor' }),
    'expired': () => testAgent(server.log!, { from: nowSeconds() - 2 * day, until: nowSeconds() - 1 }),
    'not yet': () => testAgent(server.log!, { from: nowSeconds() + 600, until: nowSeconds() + day }),
    'for more than a week': () => testAgent(server.log!, { until: nowSeconds() + 8 * day }),
    'not trained': () => testAgent(server.log!, { trained: 0 }),
    'trained after the note begins': () => testAgent(server.log!, { trained: nowSeconds() + 60 }),
    'in another log': async () => testAgent(await TestLog.start()),
    'with the proof of another': async () => ({ ...(await testAgent(server.log!)), entry: { ...sam.entry, note: (await testAgent(server.log!, { id: 'eve' })).entry.note } }),
    'changed after it was signed': async () => {
      const one = await testAgent(server.log!, { role: 'auditor' });
      return { ...one, entry: { ...one.entry, note: utf8(fromUtf8(one.entry.note).replace('role auditor', 'role support')) } };
    },
  };

  it.each(Object.keys(lies))('%s: nothing is written, nothing granted, no hub told', async (name) => {
    const help = helps();
    await help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined);
    const eve = await lies[name]!();
    server.desk.agent = eve;
    const [written, statements] = [sentBy('putMessage'), server.notes.length];
    const refused = { kind: 'verify', error: { what: 'The server names somebody whom the public log does not prove to be of support.' } };
    await expect(help.openTicket({ topic: 'other', words: 'CANARY', health: true }, () => undefined)).rejects.toMatchObject(refused);
    expect(server.desk.tickets[1]).toMatchObject({ open: false, letters: [] });
    await expect(help.replyTicket({ ticket: 1, words: 'CANARY' }, () => undefined)).rejects.toMatchObject(refused);
    await expect(help.ticketHealth({ ticket: 1, agent: 'sam', on: true }, () => undefined)).rejects.toMatchObject(refused);
    await expect(help.letSee(ask(), () => undefined)).rejects.toMatchObject(refused);
    await writes(eve.key, 'Trust me');
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ proven: 'no', left: 1, health: false });
    expect([sentBy('putMessage'), server.notes.length, commands]).toEqual([written, statements, []]);
    expect(told.length).toBeGreaterThan(0);
  });

  it('is not believed before the log has the note, or is known', async () => {
    const help = helps();
    server.desk.agent = { ...sam, entry: { ...sam.entry, proof: new Uint8Array() } };
    await expect(help.openTicket({ topic: 'other', words: 'One', health: false }, () => undefined)).rejects.toMatchObject({ kind: 'network' });
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ proven: 'waits' });
    await expect(provenAgent(sam.entry, null, nowSeconds())).rejects.toBeInstanceOf(Failure);
    expect(sentBy('putMessage')).toBe(0);
  });
});

describe('minutes for support', () => {
  it('take two keys, are handed over after the proof, and the chain says what was opened', async () => {
    const help = helps();
    await help.openTicket({ topic: 'codec', words: 'Grey', health: false }, () => undefined);
    const steps: SeeNews[] = [];
    const see = await withLog(help.letSee(ask(), (n) => steps.push(n)));
    expect(steps.flatMap((s) => (s.kind === 'step' ? [s.step] : []))).toEqual(expect.arrayContaining(['written', 'witnessed', 'done']));
    expect(see).toMatchObject({ ticket: 1, agent: 'sam', camera: 'Door', from: (start + 100) * 1000, to: (start + 1100) * 1000, sound: false, live: false, state: 'runs', waiting: false, opened: [] });
    const grant = ann.chain.head.grants.get(see.id)!;
    const put = server.heard.find((h) => h.call === 'putCapsule')!.request as { grant: Bytes; capsule: Bytes; mask: Bytes };
    expect([hex(grant.release!), hex(grant.mask!), hex(grant.capsule!)]).toEqual([hex(kidOf(hub.publicKey)), hex(H(put.mask)), hex(H(put.capsule))]);
    // One key alone opens nothing; with the hub's it is exactly what the tree has.
    const entries = parseCapsule(await openCapsule([sam.box], ann.household, grant.grant, put.capsule));
    const mask = new Mask(await openObject('LKM1', [hubBox], purpose('release', ann.household, grant.grant), put.mask));
    const tree = (await new EpochBook(ann, () => undefined).get(hex(entries[0]!.epoch))).trees.get(hex(door.video))!;
    const true_ = tree.within(100, 1100);
    expect(entries.every((e) => e.level >= 8 && hex(e.track) === hex(door.video))).toBe(true);
    expect(entries.reduce((n, e) => n + 2 ** (17 - e.level), 0)).toBe(1000);
    for (const e of entries) {
      const name = new Uint8Array([...e.epoch, ...e.track, e.level, e.index >>> 16, (e.index >>> 8) & 255, e.index & 255]);
      const want = true_.find((n) => n.level === e.level && n.index === e.index)!;
      expect(hex(e.key)).not.toBe(hex(want.key));
      expect(hex(mask.cover(e.key, name))).toBe(hex(want.key));
    }
    const about = JSON.parse((await readBy(sam)).at(-1)!.about!) as Record<string, string>;
    expect(about).toEqual({ v: 1, grant: see.id, camera: 'Door', video: hex(door.video) });

    const [first, , third] = entries;
    await accesses(grant.grant, [first!]);
    await help.seenNow(null, () => undefined);
    const width = 2 ** (17 - first!.level);
    const from = (start + first!.index * width) * 1000;
    expect(await help.seenNow(null, () => undefined)).toMatchObject([{ id: see.id, opened: [{ spans: [{ from, to: from + width * 1000 }] }] }]);
    expect(third).toBeDefined();
    await help.stopSee({ id: see.id }, () => undefined);
    expect(await help.seenNow(null, () => undefined)).toEqual([]);
    expect(await help.ticket({ n: 1 }, () => undefined)).toMatchObject({ see: [{ state: 'ended', opened: [{}] }] });
  });

  it('may be live, for 15 minutes at most; and a closed ticket ends it', async () => {
    const help = helps();
    await help.openTicket({ topic: 'codec', words: 'Grey', health: false }, () => undefined);
    const now = nowSeconds() * 1000;
    await expect(help.letSee(ask({ from: now, to: now + 17 * 60_000 }), () => undefined)).rejects.toMatchObject({ kind: 'refused' });
    const see = await withLog(help.letSee(ask({ from: now, to: now + 15 * 60_000, until: now + 15 * 60_000, sound: true }), () => undefined));
    expect(see).toMatchObject({ live: true, sound: true });
    await help.closeTicket({ n: 1 }, () => undefined);
    expect(ann.chain.head.grants.get(see.id)!.revoked).toBe(true);
  });

  it('are refused of nothing, of too long, of another hub’s, and to who may not share', async () => {
    const help = helps();
    await help.openTicket({ topic: 'codec', words: 'Grey', health: false }, () => undefined);
    const bad: Partial<SeeAsk>[] = [{ to: (start + 100) * 1000 }, { until: (nowSeconds() + 8 * 86_400) * 1000 }, { until: 1000 }, { from: (start - 200_000) * 1000, to: (start - 199_000) * 1000 }, { camera: hex(random(16)) as CameraId }];
    for (const more of bad) await expect(help.letSee(ask(more), () => undefined), JSON.stringify(more)).rejects.toBeInstanceOf(Failure);
    await ann.append({ type: 'unhub', kid: kidOf(hub.publicKey) });
    await expect(help.letSee(ask(), () => undefined)).rejects.toMatchObject({ kind: 'refused', error: { what: 'The hub that recorded this is not in your home any more.' } });
    expect([ann.chain.head.grants.size, here.store.account?.helping ?? {}]).toEqual([0, {}]);
  });

  it('are for the one who was named, and for nobody who has the ticket by now', async () => {
    const help = helps();
    await help.openTicket({ topic: 'codec', words: 'Grey', health: false }, () => undefined);
    server.desk.agent = await testAgent(server.log!, { id: 'tim' });
    const other = { kind: 'refused', error: { what: 'This ticket is not with sam any more, but with tim.' } };
    await expect(help.letSee(ask(), () => undefined)).rejects.toMatchObject(other);
    await expect(help.ticketHealth({ ticket: 1, agent: 'sam', on: true }, () => undefined)).rejects.toMatchObject(other);
    expect([ann.chain.head.grants.size, commands]).toEqual([0, []]);
  });

  it('wait while the log is away, and go on in the next page; nothing leaves before', async () => {
    const log = server.log;
    const first = helps();
    await first.openTicket({ topic: 'codec', words: 'Grey', health: false }, () => undefined);
    server.log = null;
    const news: SeeNews[] = [];
    const giving = first.letSee(ask(), (n) => news.push(n));
    giving.catch(() => undefined);
    await expect.poll(() => news.some((n) => n.kind === 'away' && n.on)).toBe(true);
    expect(sentBy('putCapsule')).toBe(0);
    first.end();
    await expect(giving).rejects.toMatchObject({ kind: 'network' });
    const statements = server.notes.length;
    server.log = log;
    const member = (await Member.resume(server.browser('x', here.store)))!;
    const again = helps(member);
    await again.resume();
    await withLog(expect.poll(() => sentBy('putCapsule'), { timeout: 15_000 }).toBe(1));
    await expect.poll(async () => (await again.ticket({ n: 1 }, () => undefined)).see[0]?.waiting).toBe(false);
    expect(server.notes.length).toBe(statements);
  });
});
