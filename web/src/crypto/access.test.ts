// @vitest-environment node
/** The chain as what it decided. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { AccessRow, Decision } from '../owner/access/types';
import { accessNews, accessRows, type Surroundings } from './access';
import { type Bytes, compare, hex } from './bytes';
import { type Chain, replay } from './chain';
import { random, signer, type Signer } from './cipher';
import { kidOf } from './hash';
import { newSealingKey } from './hpke';
import { parseNote, signNote, vkey } from './note';
import { type Body, statementText } from './statement';

const day = 86_400;
const start = 1_790_000_000;
const ids = { porch: random(16), video: random(16), audio: random(16), grant: random(16), link: random(16) };
let people: Record<'ann' | 'mina' | 'code' | 'newer' | 'hub', Signer>;
let chain: Chain;
let rows: AccessRow[];
let around: Surroundings;

/** The statements of a small household, each a minute after the one before. */
async function story(): Promise<readonly [keyof typeof people, Body][]> {
  const [annX, minaX] = [await newSealingKey(), await newSealingKey()];
  const { ann, mina, code, newer, hub } = people;
  const link = await newSealingKey();
  const minas = { ed: mina.publicKey, x: minaX.publicKey, recovery: code.publicKey };
  const range = (track: Bytes): { track: Bytes; from: number; until: number } => ({ track, from: start - day, until: start });
  const grant = { type: 'grant', key: null, terms: null, hubs: [], capsule: random(32), standing: false, release: null, mask: null, until: start + 7 * day } as const;
  return [
    ['ann', { type: 'genesis', ed: ann.publicKey, x: annX.publicKey, recovery: (await signer(random(32))).publicKey, ktag: random(32), operator: 'none', log: 'none' }],
    ['ann', { type: 'hub', ed: hub.publicKey, x: (await newSealingKey()).publicKey }],
    ['ann', { type: 'camera', camera: ids.porch, tracks: [{ track: ids.video, kind: 'video' }] }],
    ['ann', { type: 'camera', camera: ids.porch, tracks: [{ track: ids.video, kind: 'video' }, { track: ids.audio, kind: 'audio' }] }],
    ['ann', { type: 'member', ...minas, role: 'member', share: true, tracks: [ids.video] }],
    ['ann', { type: 'member', ...minas, role: 'viewer', share: false, tracks: [ids.video, ids.audio].sort(compare) }],
    ['ann', { ...grant, grant: ids.grant, to: minaX.kid, kind: 'member', purpose: 'history', tracks: [range(ids.video), range(ids.audio)] }],
    ['ann', { ...grant, grant: ids.link, to: link.kid, kind: 'link', key: link.publicKey, purpose: 'share', tracks: [range(ids.video)], hubs: [vkey(hub.publicKey)] }],
    ['ann', { type: 'revoke', grant: ids.link }],
    ['hub', { type: 'anchor', epochs: [random(32), random(32)], heads: [] }],
    ['code', { type: 'rekey', kid: kidOf(mina.publicKey), ed: newer.publicKey, x: null, recovery: null }],
    ['ann', { type: 'retain', track: null, seconds: 30 * day }],
    ['ann', { type: 'retain', track: ids.video, seconds: 7 * day }],
    ['ann', { type: 'erase', track: ids.video, from: start - day, until: start }],
    ['ann', { type: 'unmember', kid: kidOf(newer.publicKey) }],
    ['ann', { type: 'unhub', kid: kidOf(hub.publicKey) }],
  ];
}

beforeAll(async () => {
  const fresh = (): Promise<Signer> => signer(random(32));
  people = { ann: await fresh(), mina: await fresh(), code: await fresh(), newer: await fresh(), hub: await fresh() };
  const notes: Bytes[] = [];
  let last = null as { household: Bytes; prev: Bytes } | null;
  for (const [seq, [who, body]] of (await story()).entries()) {
    const head = { household: last?.household ?? null, prev: last?.prev ?? null, seq, time: start + 60 * seq, by: kidOf(people[who].publicKey), salt: random(16) };
    const note = await signNote(statementText(head, body), people[who]);
    const prev = parseNote(note).hash;
    last = { household: last?.household ?? prev.slice(0, 16), prev };
    notes.push(note);
  }
  chain = await replay(notes, start + 3600);
  const names = new Map([[hex(kidOf(people.ann.publicKey)), 'Ann'], [hex(kidOf(people.mina.publicKey)), 'Mina'], [hex(kidOf(people.newer.publicKey)), 'Mina'], [hex(kidOf(people.hub.publicKey)), 'Cupboard']]);
  const nameOf = (kid: string): string => names.get(kid) ?? '';
  around = { me: kidOf(people.ann.publicKey), person: nameOf, hub: nameOf, camera: (id) => (id === hex(ids.porch) ? 'Porch' : ''), leaf: (seq) => (seq < 3 ? 10 + seq : null), covered: (seq) => seq < 2 };
  rows = accessRows(chain, around);
});

const what = (seq: number): Decision => rows.find((r) => r.seq === seq)!.what;

describe('the rows of a household', () => {
  it('stand newest first, with who, when, and where in the log', () => {
    expect(rows.map((r) => r.seq)).toEqual([15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    const first = rows.at(-1)!;
    expect(first).toMatchObject({ seq: 0, at: start * 1000, leaf: 10, covered: true, what: { type: 'founded' }, by: { name: 'Ann', me: true } });
    expect(rows.find((r) => r.seq === 2)).toMatchObject({ leaf: 12, covered: false });
    expect(rows[0]).toMatchObject({ leaf: null });
    expect(Buffer.from(first.hash, 'base64').toString('hex')).toBe(hex(chain.at(0)!.hash));
  });

  it('say who sees what since then', () => {
    const porch = { camera: hex(ids.porch), name: 'Porch' };
    expect(what(4)).toMatchObject({ type: 'member', person: { name: 'Mina', me: false }, role: 'member', share: true, before: null, sees: [{ ...porch, sound: false }] });
    expect(what(5)).toMatchObject({ type: 'member', role: 'viewer', share: false, before: [{ ...porch, sound: false }], sees: [{ ...porch, sound: true }] });
    expect(what(14)).toMatchObject({ type: 'removed', person: { name: 'Mina' } });
  });

  it('say what was given, to whom, and how it ended', () => {
    const given = what(6);
    expect(given).toMatchObject({ type: 'given', given: { kind: 'member', to: { name: 'Mina' }, purpose: 'history', until: (start + 7 * day) * 1000 } });
    // One camera, whatever its tracks; it ended with her membership.
    expect(given.type === 'given' && given.given.footage).toEqual([{ camera: hex(ids.porch), name: 'Porch', sound: true, from: (start - day) * 1000, until: start * 1000 }]);
    expect(given.type === 'given' && given.given.ended).toBe((start + 14 * 60) * 1000);
    expect(what(7)).toMatchObject({ type: 'given', given: { kind: 'link', to: null, footage: [{ sound: false }], ended: (start + 8 * 60) * 1000 } });
    expect(what(8)).toMatchObject({ type: 'ended', seq: 7, given: { kind: 'link' } });
  });

  it('say what became of devices, keys, and footage', () => {
    expect(what(1)).toMatchObject({ type: 'hub', hub: { name: 'Cupboard' } });
    expect(what(2)).toMatchObject({ type: 'camera', first: true, kinds: ['video'], camera: { name: 'Porch' } });
    expect(what(3)).toMatchObject({ type: 'camera', first: false, kinds: ['audio'] });
    expect([rows.find((r) => r.seq === 9)?.by.name, what(9)]).toMatchObject(['Cupboard', { type: 'seal', epochs: 2 }]);
    // Her recovery key signed: that is her, by her code.
    expect([rows.find((r) => r.seq === 10)?.by.name, what(10)]).toMatchObject(['Mina', { type: 'keys', byCode: true, signing: true, code: false }]);
    expect([what(11), what(12)]).toMatchObject([{ type: 'retain', camera: null, seconds: 30 * day }, { type: 'retain', camera: { name: 'Porch' } }]);
    expect(what(13)).toMatchObject({ type: 'erase', camera: { name: 'Porch' }, from: (start - day) * 1000 });
    expect(what(15)).toMatchObject({ type: 'unhub', hub: { name: 'Cupboard' } });
  });
});

describe('news of what was given', () => {
  const seqs = (list: readonly AccessRow[]): number[] => list.map((r) => r.seq);

  it('are of others, and only until they were read', () => {
    const hers = accessRows(chain, { ...around, me: kidOf(people.mina.publicKey) });
    const now = (start + 3600) * 1000;
    expect(seqs(accessNews(rows, -1, now))).toEqual([]);
    expect(seqs(accessNews(hers, -1, now))).toEqual([8, 7, 6]);
    expect(seqs(accessNews(hers, 7, now))).toEqual([8]);
  });

  it('grow old, unless it is served still', () => {
    const hers = accessRows(chain, { ...around, me: kidOf(people.mina.publicKey) });
    const later = (start + 40 * day) * 1000;
    expect(seqs(accessNews(hers, -1, later))).toEqual([]);
    const served = hers.map((r) => (r.what.type === 'given' && r.seq === 7 ? { ...r, what: { ...r.what, given: { ...r.what.given, ended: null, until: later + 1 } } } : r));
    expect(seqs(accessNews(served, -1, later))).toEqual([7]);
  });
});
