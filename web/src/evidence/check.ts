/**
 * Checks a file of evidence offline (docs/spec/evidence.md, "Checking"), in the
 * order and under the names of `latchkey verify`.
 */
import { type Bytes, equal, fromUtf8, hex, parseHex } from '../crypto/bytes';
import { verifier } from '../crypto/cipher';
import { replay, trackOf, type Chain } from '../crypto/chain';
import { checkEpochNote, type Entry, type Heads, openHeads, type OpenEpoch, parseCapsule, treesOf } from '../crypto/epoch';
import { refuse } from '../crypto/failure';
import { kidOf } from '../crypto/hash';
import { movieOf } from '../crypto/movie';
import { parseNote } from '../crypto/note';
import { without } from '../crypto/spans';
import { type Body, parseStatement } from '../crypto/statement';
import { slotsOf } from '../crypto/tree';
import { encodeEntry } from '../ledger/leaf';
import { Policy } from '../ledger/policy';
import { checkProof, parseProof } from '../ledger/proof';
import { boundsOf } from './bounds';
import { type EvidenceFile, openEvidence } from './container';
import { gapsOf, TrackParts } from './parts';
import readme from './readme.txt?raw';
import type { Report, Step } from './report';

/** A statement of the chain with the proof that it stands in the public log. */
export interface Proven {
  readonly seq: number;
  readonly body: Body;
  /** kid of who signed it */
  readonly by: Bytes;
  readonly entry: number;
  /** unix seconds; null: nobody vouches for a time */
  readonly witnessed: number | null;
}

export interface VerifyOptions {
  /** whose signatures of the public log count; empty: the file's own */
  readonly policy?: string;
  /** told the share that is done, 0 … 1 */
  progress?(done: number): void;
}

/**
 * What does not hold is in the report's problems. Throws Failure 'verify' for what
 * is no whole file of evidence, or was changed.
 */
export async function verifyEvidence(file: Blob, { policy = '', progress = () => undefined }: VerifyOptions = {}): Promise<Report> {
  const list = 0.3;
  const opened = await openEvidence(file, (done) => { progress(list * done); });
  const check = new Check(opened, policy, (done) => { progress(list + (1 - list) * done); });
  await check.run();
  return check.report;
}

interface Facts {
  readonly household: Bytes;
  readonly video: Bytes;
  readonly audio: Bytes | null;
  readonly from: number;
  readonly until: number;
}

const factsForm = /^latchkey\/v1 evidence\nhousehold ([0-9a-f]{32})\nvideo ([0-9a-f]{32})\naudio ([0-9a-f]{32}|none)\nfrom (0|[1-9][0-9]{0,12})\nuntil ([1-9][0-9]{0,12})\n$/;
const lastSecond = 2 ** 40;

function parseFacts(text: string): Facts {
  const [, household = '', video = '', audio = '', from = '', until = ''] = factsForm.exec(text) ?? [];
  const id = (s: string): Bytes => {
    const b = parseHex(s, 16);
    if (b === null || b.every((x) => x === 0)) throw refuse('evidence: what it says of itself is not in its one form');
    return b;
  };
  const out = { household: id(household), video: id(video), audio: audio === 'none' ? null : id(audio), from: Number(from), until: Number(until) };
  if (out.from >= out.until || out.until > lastSecond) throw refuse('evidence: its range is none');
  return out;
}

class Check {
  readonly report: Report = {
    household: '', statements: 0, hubs: [], from: 0, until: 0, sound: false, parts: 0, bytes: 0, pictures: 0, gaps: [],
    log: null, ownPolicy: false, logged: [], after: null, before: null, problems: [], movie: null,
  };
  #facts: Facts | null = null;
  #chain: Chain | null = null;
  #policy: Policy | null = null;
  readonly #proven: Proven[] = [];
  readonly #epochs = new Map<string, OpenEpoch>();
  readonly #heads = new Map<string, Heads>();
  #keys: Entry[] = [];
  #tracks: TrackParts[] | null = null;

  constructor(private readonly file: EvidenceFile, private readonly policyText: string, private readonly progress: (done: number) => void) {}

  async run(): Promise<void> {
    const all: readonly [Step, () => Promise<void>, boolean][] = [
      ['facts', () => this.#readFacts(), false], ['chain', () => this.#readChain(), false], ['log', () => this.#readLog(), true],
      ['epochs', () => this.#readEpochs(), false], ['keys', () => this.#readKeys(), false], ['footage', () => this.#footage(), true],
      ['time', () => this.#time(), true],
    ];
    for (const [step, look, optional] of all) {
      try {
        await look();
      } catch (err) {
        this.#problem(step, err instanceof Error ? err.message : String(err));
        if (!optional) return;
      }
    }
  }

  #problem(step: Step, detail: string): void {
    this.report.problems.push({ step, detail });
  }

  async #readFacts(): Promise<void> {
    if (fromUtf8(await this.file.small('README.txt')) !== readme) throw refuse('evidence: README.txt is another one');
    const facts = parseFacts(fromUtf8(await this.file.small('evidence')));
    this.#facts = facts;
    Object.assign(this.report, { household: hex(facts.household), from: facts.from, until: facts.until, sound: facts.audio !== null });
  }

  get #said(): Facts {
    if (this.#facts === null) throw refuse('evidence: nothing is said');
    return this.#facts;
  }

  get #past(): Chain {
    if (this.#chain === null) throw refuse('evidence: there is no chain');
    return this.#chain;
  }

  /** A household is what its genesis says it is. */
  async #readChain(): Promise<void> {
    const notes: Bytes[] = [];
    for await (const [name, raw] of this.file.below('chain/')) {
      if (name !== String(notes.length).padStart(6, '0')) throw refuse(`evidence: statement ${notes.length} is missing`);
      notes.push(raw);
    }
    const chain = await replay(notes, Number.MAX_SAFE_INTEGER - 1000);
    const { household, video, audio } = this.#said;
    if (notes.length === 0 || !equal(chain.head.household, household)) throw refuse('evidence: the chain is of another household');
    for (const t of [video, audio]) if (t !== null && trackOf(chain.head, t) === null) throw refuse('evidence: the household has no such track');
    this.#chain = chain;
    this.report.statements = chain.length;
  }

  /** Without a policy nothing of the log is claimed. */
  async #readLog(): Promise<void> {
    const own = await this.file.maybe('policy');
    this.report.ownPolicy = this.policyText === '' && own !== null;
    const text = this.policyText === '' ? (own === null ? '' : fromUtf8(own)) : this.policyText;
    if (text === '') return;
    const policy = new Policy(text);
    const { operator, log } = this.#past.head;
    if ((operator !== null && operator !== policy.operator) || (log !== null && log !== policy.origin)) throw refuse('evidence: the policy is of another log than the household has named');
    [this.#policy, this.report.log] = [policy, policy.origin];
    for await (const [name, raw] of this.file.below('proofs/')) await this.#readProof(policy, Number(name), raw);
  }

  async #readProof(policy: Policy, seq: number, raw: Bytes): Promise<void> {
    const note = this.#past.notes[seq];
    if (note === undefined) throw refuse(`evidence: a proof of statement ${seq}, which is not there`);
    const proof = parseProof(raw);
    if (proof.extra.length !== 32) throw refuse(`evidence: the proof of statement ${seq} names no tag`);
    const signed = parseNote(note);
    const { witnessed } = await checkProof(proof, policy, encodeEntry({ kind: 'household', tag: proof.extra, value: signed.hash }));
    const { head, body } = parseStatement(signed);
    this.#proven.push({ seq, body, by: head.by, entry: proof.index, witnessed });
    if (body.type === 'hub') this.report.logged.push({ hub: hex(kidOf(body.ed)), entry: proof.index, witnessed });
  }

  async #readEpochs(): Promise<void> {
    for await (const [name, raw] of this.file.below('epochs/')) {
      const { note, hash } = await checkEpochNote(raw, this.#past);
      if (hex(note.epoch) !== name) throw refuse('evidence: the note of an epoch is called by another');
      this.#epochs.set(name, { note, hash, verify: await verifier(note.signer), trees: new Map(), sealedTo: new Set(), leftOut: false, stray: 0 });
      const hub = hex(note.hub);
      if (!this.report.hubs.includes(hub)) this.report.hubs.push(hub);
    }
    for await (const [name, raw] of this.file.below('heads/')) {
      const epoch = this.#epochs.get(name);
      if (epoch === undefined) throw refuse('evidence: heads of an epoch that is not there');
      this.#heads.set(name, await openHeads(raw, epoch));
    }
  }

  /** Keys of exactly these seconds and tracks. */
  async #readKeys(): Promise<void> {
    const { video, audio, from, until } = this.#said;
    const lines = [video, audio].filter((t) => t !== null).map((track) => ({ track, from, until }));
    this.#keys = parseCapsule(await this.file.small('keys'));
    const given = this.#keys.map((entry) => ({ entry, lines }));
    if (given.some((g) => !this.#epochs.has(hex(g.entry.epoch)))) throw refuse('evidence: a key of an epoch that is not there');
    for (const [id, epoch] of this.#epochs) {
      const { trees, stray } = treesOf(epoch.note, null, given);
      if (stray > 0) throw refuse('evidence: keys that lie beyond its range, or are not those of their epochs');
      this.#epochs.set(id, { ...epoch, trees });
    }
  }

  /** Opens every part, and makes the movie anew to hold it against the one in the file. */
  async #footage(): Promise<void> {
    const { video, audio, from, until } = this.#said;
    const files = { video: this.file.get('parts/video'), audio: this.file.get('parts/audio') };
    const total = (files.video?.size ?? 0) + (files.audio?.size ?? 0) + 1;
    let done = 0;
    const open = (track: Bytes, file: Blob | null): TrackParts => {
      if (file === null || file.size === 0) throw refuse('evidence: there are no parts');
      return new TrackParts(track, file, { from, until, epoch: (id) => this.#epochs.get(id) ?? null, read: (n) => { this.progress(Math.min(1, (done += n) / total)); } });
    };
    const picture = open(video, files.video);
    const sound = audio === null ? null : open(audio, files.audio);
    const tracks = sound === null ? [picture] : [picture, sound];
    const made = await movieOf(picture.pieces, sound?.pieces ?? null, seconds(from), seconds(until));
    this.report.parts = tracks.reduce((n, t) => n + t.parts, 0);
    this.report.bytes = tracks.reduce((n, t) => n + t.bytes, 0);
    this.report.pictures = made.pictures;
    this.#tracks = tracks;
    this.report.gaps = gapsOf(picture, from, until, (s) => without([s], this.#erased()).length === 0);
    for (const g of this.report.gaps) if (g.why === 'missing') this.#problem('footage', 'evidence: parts that the hub sealed are missing');
    this.#usedKeys(tracks);
    await this.#sameMovie(made.file);
  }

  /** Only what an admin had deleted by a statement: how long footage is kept says nothing of a hole. */
  #erased(): { from: number; to: number }[] {
    return this.#past.head.erased.filter((e) => equal(e.track, this.#said.video)).map((e) => ({ from: e.from, to: e.until }));
  }

  #usedKeys(tracks: readonly TrackParts[]): void {
    for (const k of this.#keys) {
      const { from, until } = slotsOf(k);
      if (!tracks.some((t) => equal(t.track, k.track) && t.covers(hex(k.epoch), from, until))) throw refuse('evidence: a key for seconds of which there is no footage');
    }
  }

  async #sameMovie(made: Blob): Promise<void> {
    const there = this.file.get('video.mp4');
    if (there?.size !== made.size) throw refuse('evidence: video.mp4 is not what the recorded parts give');
    const chunk = 4 << 20;
    for (let at = 0; at < made.size; at += chunk) {
      const [a, b] = await Promise.all([made, there].map(async (x) => new Uint8Array(await x.slice(at, at + chunk).arrayBuffer())));
      if (a === undefined || b === undefined || !equal(a, b)) throw refuse('evidence: video.mp4 is not what the recorded parts give');
    }
    this.report.movie = made;
  }

  async #time(): Promise<void> {
    if (this.#tracks === null) return;
    const { after, before, problems } = await boundsOf({
      file: this.file, policy: this.#policy, proven: this.#proven, epochs: this.#epochs, heads: this.#heads, tracks: this.#tracks,
      from: this.#said.from, until: this.#said.until,
    });
    [this.report.after, this.report.before] = [after, before];
    for (const detail of problems) this.#problem('time', detail);
  }
}

const seconds = (s: number): bigint => BigInt(s) * 1_000_000_000n;
