/** Opening with two keys against a server that lies: nothing is asked of the hub before the log has exactly this access, and nothing opens beside the grant. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type Bytes, b64, concat, hex, u16, u32, utf8 } from '../crypto/bytes';
import { random, type Signer, signer } from '../crypto/cipher';
import { H, kdf, kidOf } from '../crypto/hash';
import { newSealingKey, purpose, sealObject, type SealingKey } from '../crypto/hpke';
import { parseNote, signNote, vkey } from '../crypto/note';
import { parseOpening } from '../crypto/opening';
import { type Body, statementText } from '../crypto/statement';
import { testEpoch, type TestEpoch, testHouse, type TestHouse } from '../crypto/testhub';
import { HeldTree } from '../crypto/tree';
import { encodeEntry } from '../ledger/leaf';
import { encodeProof } from '../ledger/proof';
import type { DeskApi } from './deskapi';
import type { Agent } from './keep';
import { entryName } from './unmask';
import { view, type Viewed } from './view';

const [FROM, UNTIL] = [20, 30];
const id = random(16);
let house: TestHouse;
let epoch: TestEpoch;
let agent: Agent;
let log: Signer;
let operator: Signer;
let mask: Bytes;
let nodes: { epoch: Bytes; track: Bytes; level: number; index: number; key: Bytes }[];

const logName = 'log.example/log/1';
const logBody = (): Bytes => concat(new Uint8Array([1]), log.publicKey);
const logId = (): Bytes => H(utf8(`${logName}\n`), logBody()).slice(0, 4);

/** A log of one entry that proves it. */
async function proofOf(note: Bytes): Promise<Bytes> {
  const extra = random(32);
  const entry = encodeEntry({ kind: 'household', tag: extra, value: parseNote(note).hash });
  const text = utf8(`${logName}\n1\n${b64(H(new Uint8Array(1), entry))}\n`);
  const checkpoint = concat(text, utf8(`\n— ${logName} ${b64(concat(logId(), await log.sign(text)))}\n`));
  return encodeProof({ extra, index: 0, hashes: [], checkpoint });
}

const capsuleOf = (key: SealingKey, magic: string, use: 'capsule' | 'release', entries: readonly { name: Bytes; key: Bytes }[]): Promise<Bytes> =>
  sealObject(magic, key.publicKey, purpose(use, house.chain.head.household, id), concat(u16(entries.length), ...entries.map((e) => concat(e.name, e.key))));

const partOf = (n: (typeof nodes)[number]): Bytes => kdf(mask, 'release', entryName(n));
const xor = (a: Bytes, b: Bytes): Bytes => a.map((x, i) => x ^ (b[i] ?? 0));

async function says(body: Body, by: Signer): Promise<Bytes> {
  const { household, seq, hash } = house.chain.head;
  return signNote(statementText({ household, seq: seq + 1, prev: hash, time: house.time + 20, by: kidOf(by.publicKey), salt: random(16) }, body), by);
}

interface Lies {
  readonly access?: (names: readonly Bytes[]) => Promise<Bytes>;
  readonly proof?: (note: Bytes) => Promise<Bytes>;
  readonly grant?: Partial<Extract<Body, { type: 'grant' }>>;
  readonly released?: readonly { name: Bytes; key: Bytes }[];
  readonly hub?: Signer;
}

/** A server that does what it should but for the lies; `asked` is what was asked of it, in order. */
async function serverOf(lies: Lies = {}): Promise<{ api: DeskApi; asked: string[] }> {
  const asked: string[] = [];
  const capsule = await capsuleOf(agent.sealing, 'LKC1', 'capsule', nodes.map((n) => ({ name: entryName(n), key: xor(n.key, partOf(n)) })));
  const grant = await says({
    type: 'grant', grant: id, to: agent.sealing.kid, kind: 'staff', key: agent.sealing.publicKey, purpose: 'support:7', terms: null, until: 2 ** 40, hubs: [vkey((lies.hub ?? house.hub).publicKey)],
    tracks: [{ track: house.video, from: house.time + FROM, until: house.time + UNTIL }], capsule: H(capsule), standing: false, release: random(16), mask: random(32), ...lies.grant,
  }, house.founder);
  const access = lies.access ?? ((names) => says({ type: 'access', grant: id, staff: agent.sealing.kid, entries: nodes.filter((n) => names.some((x) => hex(x) === hex(entryName(n)))) }, operator));
  let said: Bytes | null = null;
  const desk = {
    openGranted: async () => ({ note: grant, proof: await proofOf(grant), capsule, epochs: [{ note: epoch.bundle.note }], operator: vkey(operator.publicKey) }),
    access: async (r: { entries: Bytes[] }) => {
      asked.push(`access of ${r.entries.length}`);
      // On its way at first, as in life.
      const first = said === null;
      said ??= await access(r.entries);
      return { note: said, proof: first ? new Uint8Array() : await (lies.proof ?? proofOf)(said) };
    },
    release: async (r: { note: Bytes }) => {
      const o = parseOpening(parseNote(r.note));
      asked.push(`release of ${o.entries.length}`);
      expect(hex(o.access)).toBe(hex(parseNote(said!).hash));
      return { released: await capsuleOf(agent.sealing, 'LKR1', 'release', lies.released ?? nodes.map((n) => ({ name: entryName(n), key: partOf(n) }))) };
    },
  };
  return { api: { desk, parts: () => () => Promise.reject(new Error('not here')) } as unknown as DeskApi, asked };
}

const opens = (api: DeskApi, from = FROM, until = UNTIL, steps: string[] = []): Promise<Viewed> =>
  view(api, agent, { ticket: 7, grant: hex(id), from: house.time + from, until: house.time + until }, id, (s) => steps.push(s), new AbortController().signal);

beforeAll(async () => {
  [house, log, operator, mask] = [await testHouse(), await signer(random(32)), await signer(random(32)), random(32)];
  epoch = await testEpoch(house);
  const sign = await signer(random(32));
  const policy = `log ${logName}+${hex(logId())}+${b64(logBody())}\noperator ${vkey(operator.publicKey)}\nquorum none\n`;
  agent = { id: 'tim', role: 'support', server: 'https://cloud.example', policy, sign, kid: kidOf(sign.publicKey), sealing: await newSealingKey() };
  const tree = new HeldTree([{ level: 0, index: 0, key: epoch.roots.get(hex(house.video))! }]);
  const name = (n: { level: number; index: number }): string => hex(u32(n.level * 2 ** 24 + n.index));
  nodes = tree.within(FROM, UNTIL).map((n) => ({ ...n, epoch: epoch.id, track: house.video })).sort((a, b) => (name(a) < name(b) ? -1 : 1));
});

describe('opening with two keys', () => {
  it('goes in the one order: said, proven, released', async () => {
    const { api, asked } = await serverOf();
    const steps: string[] = [];
    const viewed = await opens(api, FROM, UNTIL, steps);
    expect(asked).toEqual([`access of ${nodes.length}`, `access of ${nodes.length}`, `release of ${nodes.length}`]);
    expect([...new Set(steps)]).toEqual(['written', 'proven', 'released']);
    expect([viewed.stray, viewed.hubs, viewed.log, viewed.tracks]).toEqual([0, 1, logName, [hex(house.video)]]);
  });

  it('asks for the entries of the seconds alone', async () => {
    const { api, asked } = await serverOf();
    await opens(api, FROM, FROM + 1).catch(() => undefined);
    expect(asked[0]).toBe('access of 1');
  });

  it('opens nothing of seconds that were not granted', async () => {
    const { api, asked } = await serverOf();
    await expect(opens(api, 40, 50)).rejects.toMatchObject({ kind: 'empty' });
    expect(asked).toEqual([]);
  });

  it.each<[string, () => Promise<Lies>]>([
    ['an access that the operator has not signed', async () => ({ access: async () => says({ type: 'access', grant: id, staff: agent.sealing.kid, entries: nodes }, await signer(random(32))) })],
    ['an access of fewer entries', async () => ({ access: async () => says({ type: 'access', grant: id, staff: agent.sealing.kid, entries: nodes.slice(1) }, operator) })],
    ['an access by somebody else', async () => ({ access: async () => says({ type: 'access', grant: id, staff: random(16), entries: nodes }, operator) })],
    ['an access to another grant', async () => ({ access: async () => says({ type: 'access', grant: random(16), staff: agent.sealing.kid, entries: nodes }, operator) })],
    ['a notice in its place', async () => ({ access: async () => says({ type: 'notice', staff: agent.sealing.kid, action: 'ticket-taken', object: null }, operator) })],
    ['the proof of another statement', async () => ({ proof: async () => proofOf(await says({ type: 'notice', staff: random(16), action: 'x', object: null }, operator)) })],
  ])('never asks the hub after %s', async (_, lies) => {
    const { api, asked } = await serverOf(await lies());
    await expect(opens(api)).rejects.toMatchObject({ kind: 'verify' });
    expect(asked.filter((a) => a.startsWith('release'))).toEqual([]);
  });

  it.each<[string, () => Promise<Lies>]>([
    ['to somebody else', async () => ({ grant: { to: random(16), key: null } })],
    ['of another kind', async () => ({ grant: { kind: 'contact' } })],
    ['with one key', async () => ({ grant: { release: null, mask: null } })],
    ['of another capsule', async () => ({ grant: { capsule: random(32) } })],
    ['with another number', async () => ({ grant: { grant: random(16) } })],
    ['that names another hub', async () => ({ hub: await signer(random(32)) })],
  ])('does not even say that it opens a grant %s', async (_, lies) => {
    const { api, asked } = await serverOf(await lies());
    await expect(opens(api)).rejects.toMatchObject({ kind: 'verify' });
    expect(asked).toEqual([]);
  });

  it('takes nothing that a hub releases beyond the grant', async () => {
    const beyond = { ...nodes[0]!, index: nodes[0]!.index + 100 };
    const released = [...nodes, beyond].map((n) => ({ name: entryName(n), key: partOf(n) })).sort((a, b) => (hex(a.name) < hex(b.name) ? -1 : 1));
    const { api } = await serverOf({ released });
    expect((await opens(api)).stray).toBe(1);
  });
});
