/**
 * For tests only: a household, a hub and its sealer, written straight from the
 * protocol. It shares with the opener only hashes and encodings.
 */
import { type Bytes, b64, compare, concat, hex, u16, u32, unhex, utf8 } from './bytes';
import { type Chain, pair, replay, type SealLine } from './chain';
import { random, seal, signer, type Signer } from './cipher';
import { type EpochBundle, type LastHead, sealsHash } from './epoch';
import { H, kdf, kidOf } from './hash';
import { newSealingKey, purpose, sealObject, type SealingKey } from './hpke';
import { composeText, parseNote, signNote } from './note';
import { recipients } from './standing';
import { type Body, type Head, statementText } from './statement';
import { headerBytes, paddedMedia, type PartRecord, signMessage } from './part';
import { HeldTree, rootCommit } from './tree';

export interface TestHouse {
  readonly chain: Chain;
  readonly notes: Bytes[];
  readonly founder: Signer;
  readonly member: SealingKey;
  readonly hub: Signer;
  readonly camera: Bytes;
  readonly video: Bytes;
  readonly audio: Bytes;
  readonly meta: Bytes;
  readonly time: number;
}

/** Founds a household with one hub and one camera. */
export async function testHouse(time = 1_790_000_000): Promise<TestHouse> {
  const founder = await signer(random(32));
  const recovery = await signer(random(32));
  const hub = await signer(random(32));
  const member = await newSealingKey();
  const [camera, video, audio, meta] = [random(16), random(16), random(16), random(16)];
  const bodies: Body[] = [
    { type: 'genesis', ed: founder.publicKey, x: member.publicKey, recovery: recovery.publicKey, ktag: random(32), operator: 'none', log: 'none' },
    { type: 'hub', ed: hub.publicKey, x: (await newSealingKey()).publicKey },
    { type: 'camera', camera, tracks: [{ track: video, kind: 'video' }, { track: audio, kind: 'audio' }, { track: meta, kind: 'meta' }] },
  ];
  const notes: Bytes[] = [];
  let prev: Bytes | null = null;
  let household: Bytes | null = null;
  for (const [seq, body] of bodies.entries()) {
    const head: Head = { household, seq, prev, time: time + seq, by: kidOf(founder.publicKey), salt: random(16) };
    const note: Bytes = await signNote(statementText(head, body), founder);
    prev = parseNote(note).hash;
    household ??= prev.slice(0, 16);
    notes.push(note);
  }
  return { chain: await replay(notes, time + 10), notes, founder, member, hub, camera, video, audio, meta, time };
}

/** A household as a hub sees it. */
export interface HubSide {
  readonly chain: Chain;
  readonly hub: Signer;
  readonly time: number;
}

export interface TestEpoch {
  readonly id: Bytes;
  readonly n: number;
  readonly signer: Signer;
  readonly hash: Bytes;
  /** as the founder, or the first recipient, is given it */
  readonly bundle: EpochBundle;
  /** by hex kid of the sealing key */
  readonly capsules: ReadonlyMap<string, Bytes>;
  readonly roots: ReadonlyMap<string, Bytes>;
}

/** What a test may have the hub do differently than the protocol says. */
export interface EpochLies {
  /** the capsule holds another root for this track (hex) than the note commits to */
  readonly otherRootFor?: string;
  readonly extraSeal?: SealLine;
  readonly by?: Signer;
  /** unix seconds; the house's own time when absent */
  readonly start?: number;
  /** kid of a sealing key that is left out */
  readonly without?: Bytes;
  /** the note before; none when absent */
  readonly prev?: Bytes;
}

/** The founder removes the hub; the chain of h grows by that. */
export async function removeHub(h: TestHouse, time: number): Promise<void> {
  const { household, seq, hash } = h.chain.head;
  const head: Head = { household, seq: seq + 1, prev: hash, time, by: kidOf(h.founder.publicKey), salt: random(16) };
  await h.chain.add(await signNote(statementText(head, { type: 'unhub', kid: kidOf(h.hub.publicKey) }), h.founder), time);
}

/** An epoch of all declared tracks, sealed to whom the chain prescribes. */
export async function testEpoch(h: HubSide, n = 1, lies: EpochLies = {}, last: readonly LastHead[] = []): Promise<TestEpoch> {
  const id = random(16);
  const epochSigner = await signer(random(32));
  const state = h.chain.head;
  const tracks = [...state.cameras.values()].flatMap((c) => c.tracks.map((t) => t.track)).sort(compare);
  const roots = new Map(tracks.map((t) => [hex(t), random(32)] as const));
  const capsules = new Map<string, Bytes>();
  for (const r of recipients(state, lies.start ?? h.time)) {
    const member = [...state.members.values()].find((m) => hex(kidOf(m.x)) === hex(r.kid));
    if (member === undefined || (lies.without !== undefined && hex(lies.without) === hex(r.kid))) continue;
    const entries = r.tracks.map((t) => concat(id, t, u32(0), lies.otherRootFor === hex(t) ? random(32) : (roots.get(hex(t)) ?? random(32))));
    const begin = lies.start ?? h.time;
    for (const w of r.windows) {
      const tree = new HeldTree([{ level: 0, index: 0, key: roots.get(hex(w.track)) ?? random(32) }]);
      entries.push(...tree.within(w.from - begin, w.until - begin).map((n) => concat(id, w.track, u32(n.level * 2 ** 24 + n.index), n.key)));
    }
    entries.sort(compare);
    capsules.set(hex(r.kid), await sealObject('LKC1', member.x, purpose('capsule', state.household, id), concat(u16(entries.length), ...entries)));
  }
  const sealed = [...capsules].map(([kid, capsule]): SealLine => ({ kid: unhex(kid), hash: H(capsule) }));
  const seals: SealLine[] = [...sealed, ...(lies.extraSeal === undefined ? [] : [lies.extraSeal])];
  const text = composeText('epoch', [
    ['household', b64(state.household)],
    ['hub', b64(kidOf(h.hub.publicKey))],
    ['n', String(n)],
    ['prev', b64(lies.prev ?? new Uint8Array(32))],
    ['epoch', b64(id)],
    ['start', String(lies.start ?? h.time)],
    ['clock', 'synced'],
    ['chain', `${state.seq} ${b64(state.hash)} 0`],
    ['signer', b64(epochSigner.publicKey)],
    ...tracks.map((t) => `${b64(t)} ${b64(rootCommit(roots.get(hex(t)) ?? random(32), pair(id, t)))}`)
      .sort((a, b) => compare(utf8(a), utf8(b)))
      .map((v) => ['track', v] as const),
    ['seals', b64(sealsHash(seals))],
    ...last.map((l) => ['last', `${b64(l.track)} ${b64(l.epoch)} ${l.seq} ${b64(l.hash)}`] as const),
  ]);
  const bundle = { note: await signNote(text, lies.by ?? h.hub), seals, capsule: [...capsules.values()][0] ?? new Uint8Array() };
  return { id, n, signer: epochSigner, hash: H(text), bundle, capsules, roots };
}

export interface TestPart {
  readonly slot: number;
  readonly rap?: boolean;
  readonly end?: boolean;
  readonly records: readonly PartRecord[];
}

/** Seals parts of one track from seq 0 on. */
export async function sealRun(e: TestEpoch, track: Bytes, parts: readonly TestPart[]): Promise<Bytes[]> {
  const tree = new HeldTree([{ level: 0, index: 0, key: e.roots.get(hex(track)) ?? random(32) }]);
  const out: Bytes[] = [];
  let prev = e.hash;
  for (const [seq, p] of parts.entries()) {
    const body = concat(...p.records.map((r) => concat(new Uint8Array([r.type]), u32(r.data.length), r.data)));
    const inner = new Uint8Array(paddedMedia(body.length));
    inner.set(body);
    const leaf = tree.leaf(p.slot);
    const salt = random(16); // how a hub makes it no reader can tell
    const fields = { rap: p.rap === true, end: p.end === true, slot: p.slot, seq, ctLength: inner.length + 16, epoch: e.id, track, salt, prev };
    const bound = headerBytes({ ...fields, commit: new Uint8Array(32) }).slice(0, 64);
    const head = headerBytes({ ...fields, commit: kdf(leaf, 'part commit', bound) });
    const covered = concat(head, await seal(kdf(leaf, 'part key', bound), head, inner));
    prev = H(covered);
    out.push(concat(covered, await e.signer.sign(signMessage(prev))));
  }
  return out;
}

/** A signed heads note of this epoch. */
export async function testHeads(h: TestHouse, e: TestEpoch, a: { n: number; time: number; heads: readonly { track: Bytes; seq: number; hash: Bytes }[]; by?: Signer }): Promise<Bytes> {
  const state = h.chain.head;
  const lines = a.heads.map((x) => `${b64(x.track)} ${x.seq} ${b64(x.hash)}`).sort((x, y) => compare(utf8(x), utf8(y)));
  const text = composeText('heads', [
    ['household', b64(state.household)],
    ['hub', b64(kidOf(h.hub.publicKey))],
    ['epoch', b64(e.id)],
    ['n', String(a.n)],
    ['time', String(a.time)],
    ['chain', `${state.seq} ${b64(state.hash)} 0`],
    ['log', `0 ${b64(new Uint8Array(32))}`],
    ...lines.map((v) => ['head', v] as const),
  ]);
  return signNote(text, a.by ?? e.signer);
}
