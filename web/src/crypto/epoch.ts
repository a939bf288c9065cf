/**
 * Epoch notes, heads notes and the capsules they cover (protocol 2.6, 2.8), as
 * a member reads them. What comes out of openEpoch was sealed by a hub of the
 * household to exactly the people the chain prescribes.
 */
import { type Bytes, b64, compare, equal, hex, utf8, view } from './bytes';
import { type Verifier, verifier } from './cipher';
import { type Chain, type ChainState, pair, recipientsFit, type SealLine } from './chain';
import { refuse } from './failure';
import type { TrackRange } from './grant';
import { H } from './hash';
import { openObject, purpose, type SealingKey } from './hpke';
import { bytesField, LineReader, type Note, numberField, parseNote, splitFields, verifyNote } from './note';
import { recipients } from './standing';
import { positionField, readHeads, seqField, type TrackHead } from './statement';
import { depth, HeldTree, rootCommit, slotsOf, type TreeNode } from './tree';

export interface LastHead {
  readonly track: Bytes;
  readonly epoch: Bytes;
  readonly seq: number;
  readonly hash: Bytes;
}

export interface EpochNote {
  readonly household: Bytes;
  readonly hub: Bytes;
  readonly n: number;
  readonly prev: Bytes;
  readonly epoch: Bytes;
  /** unix seconds; slot s is the second start + s */
  readonly start: number;
  readonly clockSynced: boolean;
  readonly chain: { readonly seq: number; readonly hash: Bytes; readonly proofTime: number };
  readonly signer: Bytes;
  readonly tracks: ReadonlyMap<string, Bytes>;
  readonly seals: Bytes;
  readonly last: readonly LastHead[];
}

export function parseEpochNote(n: Note): EpochNote {
  const r = new LineReader(n, 'epoch');
  const out: EpochNote = {
    household: r.bytes('household', 16),
    hub: r.bytes('hub', 16),
    n: r.number('n'),
    prev: r.bytes('prev', 32),
    epoch: r.bytes('epoch', 16),
    start: r.number('start'),
    clockSynced: syncedField(r.one('clock')),
    chain: positionField(r.one('chain')),
    signer: r.ed('signer'),
    tracks: trackCommits(r.many('track')),
    seals: r.bytes('seals', 32),
    last: lastHeads(r.many('last')),
  };
  r.end();
  return out;
}

function syncedField(value: string): boolean {
  if (value !== 'synced' && value !== 'unsynced') throw refuse('epoch: clock is neither synced nor unsynced');
  return value === 'synced';
}

function trackCommits(values: readonly string[]): Map<string, Bytes> {
  const out = new Map<string, Bytes>();
  for (const value of values) {
    const [track, commit] = splitFields(value, 2);
    const id = hex(bytesField(track, 16));
    if (out.has(id)) throw refuse('epoch: one track with two roots');
    out.set(id, bytesField(commit, 32));
  }
  return out;
}

function lastHeads(values: readonly string[]): LastHead[] {
  const out = values.map(lastHead);
  if (new Set(out.map((l) => hex(l.track))).size !== out.length) throw refuse('epoch: one track ends twice');
  return out;
}

function lastHead(value: string): LastHead {
  const [track, epoch, seq, hash] = splitFields(value, 4);
  return { track: bytesField(track, 16), epoch: bytesField(epoch, 16), seq: seqField(seq), hash: bytesField(hash, 32) };
}

/** The hash over seal lines that an epoch note carries. */
export function sealsHash(lines: readonly SealLine[]): Bytes {
  const each = lines.map((l) => H(utf8(`${b64(l.kid)} ${b64(l.hash)}\n`)));
  return H(...each.sort(compare));
}

/** One entry of an opened capsule. */
export interface Entry extends TreeNode {
  readonly epoch: Bytes;
  readonly track: Bytes;
}

const entrySize = 68;

/** Reads a capsule's plaintext: strictly ascending entries, nothing after them. */
export function parseCapsule(b: Bytes): Entry[] {
  if (b.length < 2) throw refuse('capsule: too short');
  const n = view(b).getUint16(0);
  if (b.length !== 2 + n * entrySize) throw refuse('capsule: wrong length');
  const out: Entry[] = [];
  for (let i = 0; i < n; i++) {
    const e = b.subarray(2 + i * entrySize, 2 + (i + 1) * entrySize);
    const word = view(e).getUint32(32);
    const level = word >>> 24;
    const index = word & 0xffffff;
    if (level > depth || index >= 2 ** level) throw refuse('capsule: no such node');
    if (i > 0 && compare(b.subarray(2 + (i - 1) * entrySize, 2 + (i - 1) * entrySize + 36), e.subarray(0, 36)) >= 0) {
      throw refuse('capsule: entries out of order');
    }
    out.push({ epoch: e.slice(0, 16), track: e.slice(16, 32), level, index, key: e.slice(36) });
  }
  return out;
}

/** Opens a capsule (LKC1) made for this household and scope: the epoch's id, or a grant's. */
export function openCapsule(keys: readonly SealingKey[], household: Bytes, scope: Bytes, sealed: Bytes): Promise<Bytes> {
  return openObject('LKC1', keys, purpose('capsule', household, scope), sealed);
}

/** What the server hands out for an epoch; nothing in it is believed. */
export interface EpochBundle {
  readonly note: Bytes;
  readonly seals: readonly SealLine[];
  readonly capsule: Bytes;
}

/** An epoch whose note, recipients, capsule and roots have all been checked. */
export interface OpenEpoch {
  readonly note: EpochNote;
  /** H(text) of the note: what the first part of each track links to */
  readonly hash: Bytes;
  readonly verify: Verifier;
  /** what is held of each track; one that nobody gave this member keys of is not there */
  readonly trees: ReadonlyMap<string, HeldTree>;
  /** hex kids of the keys that it is sealed to */
  readonly sealedTo: ReadonlySet<string>;
  /** the chain prescribes this member, and the hub has not sealed to him */
  readonly leftOut: boolean;
  /** entries that nobody had the right to give, or that are not what the note commits to: discarded */
  readonly stray: number;
}

/** An entry of a grant's capsule, with the lines of the grant for its track. */
export interface Granted {
  readonly entry: Entry;
  readonly lines: readonly TrackRange[];
}

/** How long after its removal a hub's clock may still begin an epoch, in seconds: clocks differ. */
const removalSlack = 600;

/**
 * Checks a note against the chain position it names: signed by a hub of that
 * position, with this chain's own hash there, and begun before that hub was
 * removed. Throws Failure 'verify'.
 */
export async function checkEpochNote(raw: Bytes, chain: Chain): Promise<{ note: EpochNote; hash: Bytes }> {
  const signed = parseNote(raw);
  const note = parseEpochNote(signed);
  const state = stateAt(chain, note);
  if (!equal(state.hash, note.chain.hash)) throw refuse('epoch: made under another chain than this one');
  if (!equal(note.household, state.household)) throw refuse('epoch: of another household');
  const hub = state.hubs.get(hex(note.hub));
  if (hub === undefined) throw refuse('epoch: by a hub that is not in the household');
  await verifyNote(signed, hub.ed);
  const gone = chain.hubGoneAt(hex(note.hub), note.chain.seq);
  if (gone !== null && note.start > gone + removalSlack) throw refuse('epoch: begun after its hub was removed');
  return { note, hash: signed.hash };
}

/**
 * The whole check of protocol 2.6 for a member, and the trees of what he has
 * keys of: by the hub, or by grants. The hub may have sealed to fewer than the
 * chain says, never to others; without keys the epoch is held all the same.
 */
export async function openEpoch(b: EpochBundle, chain: Chain, keys: readonly SealingKey[], granted: readonly Granted[] = []): Promise<OpenEpoch> {
  const { note, hash } = await checkEpochNote(b.note, chain);
  const state = stateAt(chain, note);
  if (!equal(sealsHash(b.seals), note.seals)) throw refuse('epoch: the list of recipients is not the one the hub signed');
  const missing = recipientsFit(b.seals.map((s) => s.kid), state, note.start);
  const own = await ownEntries(note, b, state, keys);
  const leftOut = own === null && missing.some((kid) => keys.some((k) => equal(k.kid, kid)));
  const { trees, stray } = treesOf(note, own, [...stretches(own), ...granted]);
  return { note, hash, verify: await verifier(note.signer), trees, leftOut, stray, sealedTo: new Set(b.seals.map((s) => hex(s.kid))) };
}

function stateAt(chain: Chain, note: EpochNote): ChainState {
  const state = chain.at(note.chain.seq);
  if (state === null) throw refuse('epoch: names a position of the chain that is not known here');
  return state;
}

interface Own {
  readonly entries: readonly Entry[];
  /** hex ids of the tracks that the chain lets this member see */
  readonly rights: ReadonlySet<string>;
  /** stretches of other tracks, by standing grants */
  readonly windows: readonly TrackRange[];
}

/**
 * The entries of tracks that standing grants give stretches of, to be judged like
 * those of any grant. One may be missing: a hub that knows of a revocation gives
 * less than the chain yet says.
 */
function stretches(own: Own | null): Granted[] {
  if (own === null) return [];
  return own.entries.flatMap((entry) => {
    const lines = own.windows.filter((w) => equal(w.track, entry.track));
    return lines.length === 0 ? [] : [{ entry, lines }];
  });
}

/** What the hub sealed to this member, under any key he ever had; null when there is no seal line for him. */
async function ownEntries(note: EpochNote, b: EpochBundle, state: ChainState, keys: readonly SealingKey[]): Promise<Own | null> {
  const mine = keys.find((k) => b.seals.some((s) => equal(s.kid, k.kid)));
  if (mine === undefined) {
    if (b.capsule.length > 0) throw refuse('epoch: the capsule is for somebody else');
    return null;
  }
  const line = b.seals.find((s) => equal(s.kid, mine.kid));
  if (b.capsule.length === 0) throw refuse('epoch: the capsule that the hub sealed is withheld');
  if (line === undefined || !equal(line.hash, H(b.capsule))) throw refuse('epoch: this capsule is not the one the hub sealed');
  const entries = parseCapsule(await openCapsule([mine], note.household, note.epoch, b.capsule));
  const rights = recipients(state, note.start).find((r) => equal(r.kid, mine.kid));
  return { entries, rights: new Set(rights?.tracks.map(hex)), windows: rights?.windows ?? [] };
}

/** What is held of an epoch by what the hub sealed and by grants; `stray`: entries that nobody had the right to give, or that are not what the note commits to. */
export function treesOf(note: EpochNote, own: Own | null, granted: readonly Granted[]): { trees: Map<string, HeldTree>; stray: number } {
  const trees = new Map<string, HeldTree>();
  let taken = 0;
  for (const [id, commit] of note.tracks) {
    const nodes: TreeNode[] = own?.rights.has(id) === true ? [rootOf(note, own.entries, id, commit)] : [];
    const given = granted.filter((g) => hex(g.entry.track) === id && allowed(note, g) && rootFits(note, g.entry, commit));
    taken += given.length;
    if (nodes.length + given.length > 0) trees.set(id, new HeldTree([...nodes, ...given.map((g) => g.entry)]));
  }
  const of = granted.filter((g) => equal(g.entry.epoch, note.epoch)).length;
  return { trees, stray: of - taken };
}

/** The one root the hub gives of a track. Entries of other epochs, tracks or levels are not covered by the note: left aside. */
function rootOf(note: EpochNote, entries: readonly Entry[], id: string, commit: Bytes): Entry {
  const root = entries.find((e) => equal(e.epoch, note.epoch) && hex(e.track) === id && e.level === 0);
  if (root === undefined || !rootFits(note, root, commit)) throw refuse('epoch: a key in the capsule is not the one everybody else got');
  return root;
}

/** A root has to be the one that the note commits to; what is below has the commitments of the parts. */
function rootFits(note: EpochNote, e: Entry, commit: Bytes): boolean {
  return e.level > 0 || equal(rootCommit(e.key, pair(note.epoch, e.track)), commit);
}

/** Whether a line of the grant allows all of the entry. */
function allowed(note: EpochNote, g: Granted): boolean {
  if (!equal(g.entry.epoch, note.epoch)) return false;
  const { from, until } = slotsOf(g.entry);
  return g.lines.some((l) => equal(l.track, g.entry.track) && l.from <= note.start + from && note.start + until <= l.until);
}

export interface Heads {
  readonly household: Bytes;
  readonly hub: Bytes;
  readonly epoch: Bytes;
  readonly n: number;
  readonly time: number;
  readonly chain: { readonly seq: number; readonly hash: Bytes; readonly proofTime: number };
  readonly log: { readonly size: number; readonly root: Bytes };
  readonly heads: ReadonlyMap<string, TrackHead>;
}

export function parseHeads(n: Note): Heads {
  const r = new LineReader(n, 'heads');
  const household = r.bytes('household', 16);
  const hub = r.bytes('hub', 16);
  const epoch = r.bytes('epoch', 16);
  const count = r.number('n');
  const time = r.number('time');
  const chain = positionField(r.one('chain'));
  const [size, root] = r.fields('log', 2);
  const out: Heads = {
    household, hub, epoch, n: count, time, chain,
    log: { size: numberField(size), root: bytesField(root, 32) },
    heads: readHeads(r.many('head')),
  };
  r.end();
  return out;
}

/** Reads heads of this epoch and checks its signer; throws Failure 'verify'. */
export async function openHeads(raw: Bytes, epoch: { readonly note: EpochNote }): Promise<Heads> {
  const signed = parseNote(raw);
  const heads = parseHeads(signed);
  if (!equal(heads.epoch, epoch.note.epoch) || !equal(heads.hub, epoch.note.hub) || !equal(heads.household, epoch.note.household)) {
    throw refuse('heads: of another epoch');
  }
  await verifyNote(signed, epoch.note.signer);
  return heads;
}
