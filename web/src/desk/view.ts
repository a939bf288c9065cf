/**
 * Opening granted footage (protocol 2.8, "Two keys"), in the one order: the
 * household's chain says who opens what; the public log proves that; then the
 * hub gives the second key; then footage is served.
 */
import { type Bytes, equal, hex, own } from '../crypto/bytes';
import { random, verifier } from '../crypto/cipher';
import { type Entry, type Granted, type OpenEpoch, type EpochNote, parseEpochNote, treesOf } from '../crypto/epoch';
import { refuse } from '../crypto/failure';
import { Footage } from '../crypto/footage';
import type { GrantBody, TrackRange } from '../crypto/grant';
import { H, kidOf } from '../crypto/hash';
import { checkStatementProof } from '../crypto/logproof';
import { type Note, parseNote, parseVkey, signNote, verifyNote } from '../crypto/note';
import { openingText } from '../crypto/opening';
import { nowSeconds } from '../crypto/signin';
import { parseStatement } from '../crypto/statement';
import type { Stretch } from '../crypto/stretchhome';
import { type Checkpoint, Policy } from '../ledger/policy';
import { type DeskApi, DeskProblem } from './deskapi';
import type { Agent } from './keep';
import type { GrantRow, Step } from './messages';
import { entryName, Masked } from './unmask';

/** Every look for the proof is a question that is kept: soon at first, then less often. */
const accessPauses = [250, 500, 1000, 2000] as const;
const accessPatienceMs = 60_000;
/** entries of one access */
const maxAsked = 64;

/** Which seconds to open, of which grant. */
export interface Wish {
  readonly ticket: number;
  /** hex */
  readonly grant: string;
  /** unix seconds, half open */
  readonly from: number;
  readonly until: number;
}

export interface Viewed extends Stretch {
  readonly grant: { readonly tracks: readonly TrackRange[] };
  readonly checkpoint: Checkpoint;
  readonly log: string;
  readonly hubs: number;
  readonly stray: number;
  /** Overwrites the keys. */
  close(): void;
}

/** A grant statement to this agent. Throws Failure 'verify' on anything else. */
function grantOf(note: Note, agent: Agent): { grant: GrantBody; household: Bytes } {
  const { head, body } = parseStatement(note);
  if (body.type !== 'grant' || head.household === null || !equal(body.to, agent.sealing.kid)) throw refuse('desk: the grant is not to this agent');
  if (body.kind !== 'staff' || body.standing || body.capsule === null || body.release === null || body.hubs.length === 0) throw refuse('desk: the grant is of a kind that staff do not have');
  return { grant: body, household: head.household };
}

/** Grants as the ticket shows them. */
export function grantRows(notes: readonly Uint8Array[], agent: Agent, cameras: ReadonlyMap<string, string>): GrantRow[] {
  return notes.map((raw) => {
    const { grant } = grantOf(parseNote(own(raw)), agent);
    return {
      grant: hex(grant.grant), camera: cameras.get(hex(grant.grant)) ?? '', served: grant.until * 1000,
      from: Math.min(...grant.tracks.map((t) => t.from)) * 1000, until: Math.max(...grant.tracks.map((t) => t.until)) * 1000,
    };
  });
}

interface Told {
  readonly note: EpochNote;
  readonly hash: Bytes;
}

/** What was handed out of a grant, checked; it opens nothing yet. */
interface Held {
  readonly household: Bytes;
  readonly grant: GrantBody;
  readonly checkpoint: Checkpoint;
  readonly policy: Policy;
  readonly operator: Bytes;
  readonly masked: Masked;
  /** by hex id */
  readonly epochs: ReadonlyMap<string, Told>;
}

async function hold(api: DeskApi, agent: Agent, wish: Wish, id: Bytes): Promise<Held> {
  const res = await api.desk.openGranted({ ticket: BigInt(wish.ticket), grant: id });
  const note = parseNote(own(res.note));
  const { grant, household } = grantOf(note, agent);
  if (!equal(grant.grant, id)) throw refuse('desk: another grant than was asked for');
  const policy = new Policy(agent.policy);
  const checkpoint = await checkStatementProof(own(res.proof), policy, note.hash, null);
  const capsule = own(res.capsule);
  if (grant.capsule === null || !equal(H(capsule), grant.capsule)) throw refuse('desk: the capsule is not the one that the grant names');
  const keys = grant.hubs.map((v) => parseVkey(v).publicKey);
  const epochs = new Map<string, Told>();
  for (const { note: raw } of res.epochs) {
    const signed = parseNote(own(raw));
    const e = parseEpochNote(signed);
    const hub = keys.find((k) => equal(kidOf(k), e.hub));
    if (hub === undefined || !equal(e.household, household)) throw refuse('desk: an epoch by a hub that the grant does not name');
    await verifyNote(signed, hub);
    epochs.set(hex(e.epoch), { note: e, hash: signed.hash });
  }
  const masked = await Masked.open(household, id, agent.sealing, capsule);
  return { household, grant, checkpoint, policy, operator: parseVkey(res.operator).publicKey, masked, epochs };
}

/** Opens [from, until) of a grant. Nothing is asked of the hub before the log has the access. */
export async function view(api: DeskApi, agent: Agent, wish: Wish, id: Bytes, step: (s: Step) => void, signal: AbortSignal): Promise<Viewed> {
  const held = await hold(api, agent, wish, id);
  try {
    const entries = held.masked.within((e) => held.epochs.get(hex(e))?.note.start ?? null, wish.from, wish.until);
    if (entries.length === 0) throw new DeskProblem('empty');
    const open: Entry[] = [];
    let stray = 0;
    for (let i = 0; i < entries.length; i += maxAsked) {
      signal.throwIfAborted();
      const got = await release(api, agent, wish, held, entries.slice(i, i + maxAsked), step, signal);
      open.push(...got.entries);
      stray += got.stray;
    }
    return await shown(api, wish, held, open, stray);
  } finally {
    held.masked.close();
  }
}

async function release(api: DeskApi, agent: Agent, wish: Wish, held: Held, entries: readonly Entry[], step: (s: Step) => void, signal: AbortSignal): Promise<{ entries: Entry[]; stray: number }> {
  const access = await proven(api, wish, held, entries, step, signal);
  const text = openingText({ household: held.household, grant: held.grant.grant, by: agent.kid, time: nowSeconds(), nonce: random(16), access, entries });
  const { released } = await api.desk.release({ ticket: BigInt(wish.ticket), grant: held.grant.grant, note: await signNote(text, agent.sign) });
  const got = await held.masked.unmask(own(released));
  step('released');
  return got;
}

/** Waits until the public log has a statement of the household's chain that names the entries; its hash. */
async function proven(api: DeskApi, wish: Wish, held: Held, entries: readonly Entry[], step: (s: Step) => void, signal: AbortSignal): Promise<Bytes> {
  const names = entries.map(entryName);
  const end = Date.now() + accessPatienceMs;
  for (let i = 0; Date.now() < end; i++) {
    signal.throwIfAborted();
    const res = await api.desk.access({ ticket: BigInt(wish.ticket), grant: held.grant.grant, entries: names });
    const note = parseNote(own(res.note));
    await verifyNote(note, held.operator);
    namesThese(note, held, names);
    step('written');
    if (res.proof.length > 0) {
      await checkStatementProof(own(res.proof), held.policy, note.hash, null);
      step('proven');
      return note.hash;
    }
    await new Promise((done) => setTimeout(done, accessPauses[i] ?? 2000));
  }
  throw new DeskProblem('away');
}

/** The statement is about this grant and exactly these entries. */
function namesThese(note: Note, held: Held, names: readonly Bytes[]): void {
  const { head, body } = parseStatement(note);
  if (body.type !== 'access' || head.household === null || !equal(head.household, held.household) || !equal(body.grant, held.grant.grant) || !equal(body.staff, held.grant.to)) throw refuse('desk: an access of something else');
  const said = new Set(body.entries.map((e) => hex(entryName(e))));
  if (said.size !== names.length || names.some((n) => !said.has(hex(n)))) throw refuse('desk: an access of other entries');
}

async function shown(api: DeskApi, wish: Wish, held: Held, entries: readonly Entry[], stray: number): Promise<Viewed> {
  const granted: Granted[] = entries.map((entry) => ({ entry, lines: held.grant.tracks }));
  const open = new Map<string, OpenEpoch>();
  for (const [id, { note, hash }] of held.epochs) {
    const { trees, stray: more } = treesOf(note, null, granted);
    stray += more;
    open.set(id, { note, hash, verify: await verifier(note.signer), trees, sealedTo: new Set(), leftOut: false, stray: more });
  }
  const get = (id: string): Promise<OpenEpoch> => {
    const epoch = open.get(id);
    return epoch === undefined ? Promise.reject(refuse('desk: footage of an epoch without its note')) : Promise.resolve(epoch);
  };
  const lines = held.grant.tracks.map((t) => ({ ...t, from: Math.max(t.from, wish.from), until: Math.min(t.until, wish.until) })).filter((t) => t.from < t.until);
  return {
    grant: { tracks: lines }, checkpoint: held.checkpoint, log: held.policy.origin, hubs: new Set([...open.values()].map((e) => hex(e.note.hub))).size, stray,
    tracks: [...new Set(lines.map((t) => hex(t.track)))],
    footage: new Footage({ parts: api.parts(wish.ticket, wish.grant) }, { get }),
    close: () => {
      for (const e of entries) e.key.fill(0);
      open.clear();
    },
  };
}
