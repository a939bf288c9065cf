/**
 * Makes a file of evidence (docs/spec/evidence.md) in a member's browser, as
 * `latchkey export` does: the footage as it was sealed, what is needed to check it
 * without a server, the keys of exactly these seconds in clear, and the movie.
 */
import type { Api } from '../crypto/api';
import { type Bytes, concat, equal, hex, own, u16, unhex, utf8, view } from '../crypto/bytes';
import type { Chain } from '../crypto/chain';
import { type Heads, openHeads, type OpenEpoch } from '../crypto/epoch';
import { Failure, isKind, refuse } from '../crypto/failure';
import { bulkPace, type Footage } from '../crypto/footage';
import { entriesOf, inOrder } from '../crypto/giving';
import { kidOf } from '../crypto/hash';
import { movieOf } from '../crypto/movie';
import { parseNote } from '../crypto/note';
import type { Part } from '../crypto/part';
import type { EpochSource, Fault, Timed } from '../crypto/reader';
import { type Body, parseStatement } from '../crypto/statement';
import { slotsOf } from '../crypto/tree';
import type { Tree } from '../ledger/tree';
import { EvidenceWriter } from './container';
import { TrackParts } from './parts';
import readme from './readme.txt?raw';

/** What of the public log goes along, as far as it can be had. */
export interface EvidenceLog {
  look(): Promise<void>;
  proof(seq: number): Promise<{ readonly file: string }>;
  namedSet(tree: Tree): Promise<Bytes | null>;
}

export interface EvidenceSource {
  readonly api: Pick<Api, 'footage'>;
  readonly chain: Chain;
  readonly epochs: EpochSource;
  readonly footage: Pick<Footage, 'read'>;
  readonly log: EvidenceLog;
  /** text of the policy that this browser or the vault has pinned; null: none */
  policy(): Promise<string | null>;
  /** track ids, hex; audio null: without sound */
  readonly video: string;
  readonly audio: string | null;
  /** unix milliseconds */
  readonly from: number;
  readonly to: number;
  onFault(fault: Fault): void;
  /** told after each answer: its bytes, and how far in footage time (unix milliseconds; null: sound) */
  read(bytes: number, at: number | null): void;
}

/** One track as it was sealed. */
interface Sealed {
  readonly track: Bytes;
  readonly parts: Blob;
  /** per epoch (hex) the slots of which there are parts */
  readonly slots: ReadonlyMap<string, ReadonlySet<number>>;
  /** unix seconds of the first part */
  readonly from: number;
}

/** Throws Failure 'not-found' where there is no footage, 'verify' where some does not verify: no file is made of that. */
export async function makeEvidence(s: EvidenceSource, signal: AbortSignal): Promise<Blob> {
  await s.log.look();
  const until = Math.ceil(s.to / 1000);
  const video = await sealedOf(s, s.video, s.from, until, signal);
  if (video === null) throw new Failure('not-found', 'evidence: no footage in this range');
  const audio = s.audio === null ? null : await sealedOf(s, s.audio, video.from * 1000, until, signal);
  return new Maker(s, video, audio, until).make();
}

/** The verified parts of a track. Sound begins where the picture does. */
async function sealedOf(s: EvidenceSource, track: string, from: number, until: number, signal: AbortSignal): Promise<Sealed | null> {
  const out: Blob[] = [];
  const slots = new Map<string, Set<number>>();
  let first: number | null = null;
  const picture = track === s.video;
  for await (const { opened, faults, parts, bytes } of s.footage.read(track, { from, to: until * 1000 }, bulkPace, signal)) {
    for (const f of faults) {
      s.onFault(f);
      if (f.why === 'unverified') throw f.cause ?? refuse('evidence: some of this footage does not verify');
    }
    const kept = opened.filter((t) => (picture || t.at >= from) && t.at < until * 1000);
    for (const t of kept) {
      const id = hex(t.part.epoch);
      slots.set(id, (slots.get(id) ?? new Set<number>()).add(t.part.slot));
      first ??= t.at / 1000;
    }
    out.push(new Blob(rawOf(parts, kept)));
    s.read(bytes, picture ? (opened[opened.length - 1]?.at ?? null) : null);
  }
  // A read that was cancelled ends like one that is done.
  if (signal.aborted) throw new Failure('network', 'evidence: cancelled');
  return first === null ? null : { track: unhex(track), parts: new Blob(out), slots, from: first };
}

/** The sealed bytes of what was opened. */
function rawOf(parts: readonly Part[], opened: readonly Timed[]): Bytes[] {
  const name = (epoch: Bytes, seq: number): string => `${hex(epoch)}/${seq}`;
  const raw = new Map(parts.map((p) => [name(p.header.epoch, p.header.seq), p.raw]));
  return opened.map((t) => {
    const b = raw.get(name(t.part.epoch, t.part.seq));
    if (b === undefined) throw refuse('evidence: an opened part that did not come');
    return b;
  });
}

interface Notes {
  readonly epoch: OpenEpoch;
  readonly note: Bytes;
  readonly heads: { readonly raw: Bytes; readonly read: Heads } | null;
}

class Maker {
  readonly #out = new EvidenceWriter();
  readonly #tracks: readonly Sealed[];
  readonly #from: number;

  constructor(private readonly s: EvidenceSource, private readonly video: Sealed, private readonly audio: Sealed | null, private readonly until: number) {
    this.#tracks = audio === null ? [video] : [video, audio];
    this.#from = video.from;
  }

  async make(): Promise<Blob> {
    const ids = [...new Set(this.#tracks.flatMap((t) => [...t.slots.keys()]))];
    const used = await Promise.all(ids.map((id) => this.s.epochs.get(id)));
    const before = await this.#before(used);
    const notes = await Promise.all([...used, ...before].map((e) => this.#notesOf(e)));
    notes.sort((a, b) => (hex(a.epoch.note.epoch) < hex(b.epoch.note.epoch) ? -1 : 1));
    await this.#out.put('README.txt', utf8(readme));
    await this.#out.put('evidence', utf8(this.#facts()));
    const policy = await this.s.policy();
    if (policy !== null) await this.#out.put('policy', utf8(policy));
    const six = (n: number): string => String(n).padStart(6, '0');
    for (const [seq, raw] of this.s.chain.notes.entries()) await this.#out.put(`chain/${six(seq)}`, raw);
    for (const [seq, raw] of policy === null ? [] : await this.#proofs(used)) await this.#out.put(`proofs/${six(seq)}`, raw);
    for (const n of notes) await this.#out.put(`epochs/${hex(n.epoch.note.epoch)}`, n.note);
    for (const n of notes) if (n.heads !== null) await this.#out.put(`heads/${hex(n.epoch.note.epoch)}`, n.heads.raw);
    for (const n of policy === null ? [] : notes) await this.#set(n, before);
    await this.#out.put('keys', this.#keys(used));
    await this.#out.put('parts/video', this.video.parts);
    if (this.audio !== null) await this.#out.put('parts/audio', this.audio.parts);
    await this.#out.put('video.mp4', await this.#movie(used));
    return this.#out.end();
  }

  #facts(): string {
    const audio = this.audio === null ? 'none' : hex(this.audio.track);
    return `latchkey/v1 evidence\nhousehold ${hex(this.s.chain.head.household)}\nvideo ${hex(this.video.track)}\naudio ${audio}\nfrom ${this.#from}\nuntil ${this.until}\n`;
  }

  /** Of each hub the epoch before its first one here: what its last heads say of the public log was so before the footage. */
  async #before(used: readonly OpenEpoch[]): Promise<OpenEpoch[]> {
    const first = new Map<string, OpenEpoch>();
    for (const e of used) {
      const f = first.get(hex(e.note.hub));
      if (f === undefined || e.note.n < f.note.n) first.set(hex(e.note.hub), e);
    }
    const out: OpenEpoch[] = [];
    for (const f of first.values()) {
      const id = f.note.last[0]?.epoch;
      const e = id === undefined ? null : await this.s.epochs.get(hex(id)).catch(notThere);
      if (e !== null && equal(e.hash, f.note.prev)) out.push(e);
    }
    return out;
  }

  /** The notes of an epoch once more, as they were signed: the verified one is known by its hash. */
  async #notesOf(epoch: OpenEpoch): Promise<Notes> {
    const { epochs } = await this.s.api.footage.getEpochs({ epochs: [epoch.note.epoch] });
    const info = epochs[0];
    const note = info === undefined ? new Uint8Array() : own(info.note);
    if (!equal(parseNote(note).hash, epoch.hash)) throw refuse('evidence: the server has another note of an epoch than before');
    const heads = info === undefined || info.heads.length === 0 ? null : own(info.heads);
    return { epoch, note, heads: heads === null ? null : { raw: heads, read: await openHeads(heads, epoch) } };
  }

  /** Of the hubs that recorded, and of their anchors of these epochs: those that can be had now. */
  async #proofs(used: readonly OpenEpoch[]): Promise<[number, Bytes][]> {
    const out: [number, Bytes][] = [];
    for (const [seq, raw] of this.s.chain.notes.entries()) {
      const { head, body } = parseStatement(parseNote(raw));
      if (!wanted(body, head.by, used)) continue;
      const proof = await this.s.log.proof(seq).catch(notThere);
      if (proof !== null) out.push([seq, utf8(proof.file)]);
    }
    return out;
  }

  async #set({ epoch, heads }: Notes, before: readonly OpenEpoch[]): Promise<void> {
    if (heads === null || !before.includes(epoch)) return;
    const proof = await this.s.log.namedSet(heads.read.log).catch(notThere);
    if (proof !== null) await this.#out.put(`sets/${hex(epoch.note.epoch)}`, proof);
  }

  /** The keys of exactly these seconds, and only of those of which there is footage. */
  #keys(used: readonly OpenEpoch[]): Bytes {
    const lines = this.#tracks.map((t) => ({ track: t.track, from: this.#from, until: this.until }));
    const entries = inOrder(used.flatMap((e) => this.#tracks.flatMap((t, i) => {
      const line = lines[i];
      return line === undefined ? [] : entriesOf(e, [line]).filter((k) => isUsed(k.name, t.slots.get(hex(e.note.epoch))));
    })));
    return concat(u16(entries.length), ...entries.flatMap((k) => [k.name, k.key]));
  }

  async #movie(used: readonly OpenEpoch[]): Promise<Blob> {
    const byId = new Map(used.map((e) => [hex(e.note.epoch), e]));
    const [picture, sound] = [this.video, this.audio].map((t) => (t === null ? null : new TrackParts(t.track, t.parts, {
      from: this.#from, until: this.until, epoch: (id) => byId.get(id) ?? null, read: () => undefined,
    })));
    if (picture === null || picture === undefined) throw refuse('evidence: no picture');
    const ns = (seconds: number): bigint => BigInt(seconds) * 1_000_000_000n;
    return (await movieOf(picture.pieces, sound?.pieces ?? null, ns(this.#from), ns(this.until))).file;
  }
}

/** It is not there, or the log is away: the file claims less, and says so. */
function notThere(err: unknown): null {
  if (isKind(err, 'not-found') || isKind(err, 'network')) return null;
  throw err;
}

function wanted(body: Body, by: Bytes, used: readonly OpenEpoch[]): boolean {
  if (body.type === 'hub') return used.some((e) => equal(e.note.hub, kidOf(body.ed)));
  return body.type === 'anchor' && used.some((e) => equal(e.note.hub, by) && body.epochs.some((h) => equal(h, e.hash)));
}

/** Whether a node (epoch ‖ track ‖ level ‖ index) covers one of these slots. */
function isUsed(name: Bytes, slots: ReadonlySet<number> | undefined): boolean {
  const word = view(name).getUint32(32);
  const { from, until } = slotsOf({ level: word >>> 24, index: word & 0xffffff });
  return [...(slots ?? [])].some((s) => s >= from && s < until);
}
