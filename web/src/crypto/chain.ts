/**
 * The household chain (protocol 2.7): apply and replay statements, who may do
 * what, and who an epoch has to be sealed to. State never changes in place; a
 * rejected statement leaves it as it was.
 */
import { type Bytes, concat, equal, hex } from './bytes';
import { refuse } from './failure';
import { checkAccess, operatorKey } from './entry';
import { checkGrantee, type Grant, type GrantBody, kidsOf } from './grant';
import { kidOf } from './hash';
import { type Note, parseNote, verifyNote } from './note';
import { checkStanding, recipients, standsFor } from './standing';
import { none, type Body, type Head, parseStatement, type Rights, type Role, type Statement, type TrackDecl } from './statement';

/** Statements may lie this far beside the clock or their predecessor, in seconds. */
const slack = 600;

export interface Member {
  readonly kid: Bytes;
  readonly ed: Bytes;
  readonly x: Bytes;
  readonly recovery: Bytes;
  readonly role: Role;
  readonly share: boolean;
  readonly tracks: Rights;
  /** kids of his former X-Wing keys, oldest first: capsules of earlier epochs are sealed to them */
  readonly past: readonly Bytes[];
  /** kids of his former Ed25519 keys, oldest first: a removal signed before a rekey still finds him */
  readonly pastEd: readonly Bytes[];
  /** of the statement that admitted him, or last restated him */
  readonly seq: number;
}

export interface HubKeys {
  readonly kid: Bytes;
  readonly ed: Bytes;
  readonly x: Bytes;
  /** unix seconds of the statement that added it */
  readonly since: number;
  readonly seq: number;
}

export interface CameraDecl {
  readonly camera: Bytes;
  readonly tracks: readonly TrackDecl[];
  readonly since: number;
}

/** Footage of one track that was ordered to be deleted, [from, until) in unix seconds. */
export interface Erasure {
  readonly track: Bytes;
  readonly from: number;
  readonly until: number;
}

/** A household at one position of its chain. Maps are keyed by hex. */
export interface ChainState {
  readonly household: Bytes;
  readonly seq: number;
  readonly hash: Bytes;
  readonly time: number;
  /** H of the log tag key */
  readonly ktag: Bytes;
  /** the operator's vkey; null: none */
  readonly operator: string | null;
  /** origin of the log; null: none */
  readonly log: string | null;
  readonly members: ReadonlyMap<string, Member>;
  readonly hubs: ReadonlyMap<string, HubKeys>;
  readonly cameras: ReadonlyMap<string, CameraDecl>;
  /** seconds that tracks with a policy of their own are kept */
  readonly retain: ReadonlyMap<string, number>;
  /** seconds that all others are kept; 0: no policy, keep */
  readonly retainAll: number;
  /** oldest first */
  readonly erased: readonly Erasure[];
  /** all that were ever given, revoked ones too: an id is used once */
  readonly grants: ReadonlyMap<string, Grant>;
}

/** Applies one statement; null is the state before genesis. Throws Failure 'verify'. */
export async function apply(state: ChainState | null, note: Note, now: number): Promise<ChainState> {
  const s = parseStatement(note);
  if (s.body.type === 'genesis') return found(state, note, s, s.body, now);
  if (state === null) throw refuse('chain: it does not begin with genesis');
  checkHead(state, s.head, now);
  const key = signerKey(state, s);
  await verifyNote(note, key);
  return { ...change(state, s), seq: s.head.seq, hash: note.hash, time: s.head.time };
}

async function found(state: ChainState | null, note: Note, s: Statement, body: Extract<Body, { type: 'genesis' }>, now: number): Promise<ChainState> {
  if (state !== null) throw refuse('chain: a second genesis');
  if (s.head.seq !== 0) throw refuse('chain: genesis is not the first');
  if (s.head.time > now + slack) throw refuse('chain: genesis lies in the future');
  const kid = kidOf(body.ed);
  if (!equal(kid, s.head.by)) throw refuse('chain: genesis is not signed by its founder');
  if (equal(body.ed, body.recovery)) throw refuse('chain: the recovery key is the signing key');
  await verifyNote(note, body.ed);
  const founder: Member = { kid, ed: body.ed, x: body.x, recovery: body.recovery, role: 'admin', share: true, tracks: 'all', past: [], pastEd: [], seq: 0 };
  return {
    household: note.hash.slice(0, 16),
    seq: 0,
    hash: note.hash,
    time: s.head.time,
    ktag: body.ktag,
    operator: body.operator === none ? null : body.operator,
    log: body.log === none ? null : body.log,
    members: new Map([[hex(kid), founder]]),
    hubs: new Map(),
    cameras: new Map(),
    retain: new Map(),
    retainAll: 0,
    erased: [],
    grants: new Map(),
  };
}

function checkHead(state: ChainState, h: Head, now: number): void {
  if (h.household === null || !equal(h.household, state.household)) throw refuse('chain: of another household');
  if (h.seq !== state.seq + 1) throw refuse(`chain: want statement ${state.seq + 1}, got ${h.seq}`);
  if (h.prev === null || !equal(h.prev, state.hash)) throw refuse('chain: does not follow the last statement');
  if (h.time > now + slack) throw refuse('chain: lies in the future');
  if (h.time < state.time - slack) throw refuse('chain: earlier than the statement before it');
}

/** The key that has to have signed, by the roster before the statement. */
function signerKey(state: ChainState, s: Statement): Bytes {
  const by = hex(s.head.by);
  if (s.body.type === 'rekey') return rekeySigner(state, s.body, by);
  if (s.body.type === 'anchor') {
    const hub = state.hubs.get(by);
    if (hub === undefined) throw refuse('chain: an anchor that no hub signed');
    return hub.ed;
  }
  if (s.body.type === 'access' || s.body.type === 'notice') return operatorKey(state, s.head.by);
  const member = state.members.get(by);
  if (member !== undefined && (s.body.type === 'revoke' || (s.body.type === 'grant' && member.share))) return member.ed;
  if (member?.role !== 'admin') throw refuse(`chain: ${s.body.type} by someone who may not`);
  return member.ed;
}

/** A member changes his own keys, by his key or, when that is lost, by his recovery key. */
function rekeySigner(state: ChainState, b: Rekey, by: string): Bytes {
  const m = state.members.get(hex(b.kid));
  if (m === undefined) throw refuse('chain: rekey of someone who is not a member');
  const key = by === hex(b.kid) ? m.ed : m.recovery;
  if (hex(kidOf(key)) !== by) throw refuse('chain: rekey by neither the member nor his recovery key');
  return key;
}

type BodyOf<T extends Body['type']> = Extract<Body, { readonly type: T }>;
type Rekey = BodyOf<'rekey'>;

function change(state: ChainState, s: Statement): ChainState {
  const b = s.body;
  switch (b.type) {
    case 'member':
      return { ...state, members: addMember(state, b, s.head.seq) };
    case 'unmember':
      return removeMember(state, b.kid, s.head.by);
    case 'rekey':
      return rekey(state, b);
    case 'hub':
      return { ...state, hubs: addHub(state, b, s.head) };
    case 'unhub':
      return withoutHub(state, b.kid);
    case 'camera':
      return { ...state, cameras: addCamera(state, b.camera, b.tracks, s.head.time) };
    case 'retain':
      if (b.track === null) return { ...state, retainAll: b.seconds };
      wantDeclared(state, b.track);
      return { ...state, retain: new Map(state.retain).set(hex(b.track), b.seconds) };
    case 'erase':
      wantDeclared(state, b.track);
      return { ...state, erased: [...state.erased, { track: b.track, from: b.from, until: b.until }] };
    case 'grant':
      return addGrant(state, b, s.head);
    case 'revoke':
      return revoke(state, b.grant, s.head.by);
    case 'access':
      checkAccess(state, b, s.head.time);
      return state;
    default:
      return state;
  }
}

function wantDeclared(state: ChainState, ...tracks: readonly Bytes[]): void {
  if (tracks.some((t) => trackOf(state, t) === null)) throw refuse('chain: a track that is not declared');
}

/** A key stands for one party and one purpose: one of the roster, or somebody outside it whom epochs are sealed to. */
function keyInUse(state: ChainState, key: Bytes): boolean {
  return rosterKey(state, key) || standsFor(state, kidOf(key));
}

/** Whether a member or hub has the key, or a member had it before a rekey. */
export function rosterKey(state: ChainState, key: Bytes): boolean {
  const kid = kidOf(key);
  if ([...state.members.values()].some((m) => [...m.past, ...m.pastEd].some((k) => equal(k, kid)))) return true;
  const members = [...state.members.values()].flatMap((m) => [m.ed, m.x, m.recovery]);
  const hubs = [...state.hubs.values()].flatMap((h) => [h.ed, h.x]);
  return [...members, ...hubs].some((k) => equal(k, key));
}

function wantFresh(state: ChainState, ...keys: readonly Bytes[]): void {
  if (keys.some((k) => keyInUse(state, k))) throw refuse('chain: a key is in use already');
}

/** Admits a person or, with exactly the keys of a member, restates him. */
function addMember(state: ChainState, b: BodyOf<'member'>, seq: number): Map<string, Member> {
  const kid = kidOf(b.ed);
  const old = state.members.get(hex(kid));
  const restated = old !== undefined && equal(old.x, b.x) && equal(old.recovery, b.recovery) ? old : null;
  if (restated === null) wantFresh(state, b.ed, b.x, b.recovery);
  if (equal(b.ed, b.recovery)) throw refuse('chain: the recovery key is the signing key');
  if (b.tracks !== 'all') wantDeclared(state, ...b.tracks);
  if (restated?.role === 'admin' && b.role !== 'admin' && admins(state) === 1) throw refuse('chain: the last admin stays one');
  return new Map(state.members).set(hex(kid), {
    kid, ed: b.ed, x: b.x, recovery: b.recovery, role: b.role, share: b.share, tracks: b.tracks,
    past: restated?.past ?? [], pastEd: restated?.pastEd ?? [], seq,
  });
}

export function admins(state: ChainState): number {
  return [...state.members.values()].filter((m) => m.role === 'admin').length;
}

function removeMember(state: ChainState, kid: Bytes, by: Bytes): ChainState {
  const m = state.members.get(hex(kid));
  if (m === undefined) throw refuse('chain: removes someone who is not a member');
  if (equal(kid, by)) throw refuse('chain: nobody removes himself');
  if (m.role === 'admin' && admins(state) === 1) throw refuse('chain: removes the last admin');
  return without(state, m);
}

/** Without a member. Grants to him end: admitted again, he would have to be given them again. */
export function without(state: ChainState, m: Member): ChainState {
  const members = new Map(state.members);
  members.delete(hex(m.kid));
  const grants = new Map(state.grants);
  for (const [id, g] of grants) {
    if (g.kind === 'member' && kidsOf(m).some((k) => equal(k, g.to))) grants.set(id, { ...g, revoked: true });
  }
  return { ...state, members, grants };
}

/** Without a hub. */
export function withoutHub(state: ChainState, kid: Bytes): ChainState {
  const hubs = new Map(state.hubs);
  if (!hubs.delete(hex(kid))) throw refuse('chain: removes a hub that is not there');
  return { ...state, hubs };
}

/** With one grant ended. */
export function withRevoked(state: ChainState, g: Grant): ChainState {
  return { ...state, grants: new Map(state.grants).set(hex(g.grant), { ...g, revoked: true }) };
}

function rekey(state: ChainState, b: Rekey): ChainState {
  const members = new Map(state.members);
  const old = members.get(hex(b.kid));
  if (old === undefined) throw refuse('chain: rekey of someone who is not a member');
  wantFresh(state, ...[b.ed, b.x, b.recovery].filter((k) => k !== null));
  const ed = b.ed ?? old.ed;
  const recovery = b.recovery ?? old.recovery;
  if (equal(ed, recovery)) throw refuse('chain: the recovery key is the signing key');
  members.delete(hex(b.kid));
  const kid = kidOf(ed);
  const past = b.x === null ? old.past : [...old.past, kidOf(old.x)];
  const pastEd = b.ed === null ? old.pastEd : [...old.pastEd, old.kid];
  members.set(hex(kid), { ...old, kid, ed, x: b.x ?? old.x, recovery, past, pastEd });
  const grants = new Map([...state.grants].map(([id, g]) => [id, equal(g.by, b.kid) ? { ...g, by: kid } : g] as const));
  return { ...state, members, grants };
}

function addGrant(state: ChainState, b: GrantBody, h: Head): ChainState {
  const issuer = state.members.get(hex(h.by));
  if (state.grants.has(hex(b.grant))) throw refuse('chain: a grant that was given before');
  wantDeclared(state, ...b.tracks.map((t) => t.track));
  if (issuer === undefined || b.tracks.some((t) => !maySee(issuer.tracks, t.track))) throw refuse('chain: a grant of what the issuer cannot see');
  checkGrantee(state, b);
  if (b.standing) checkStanding(state, b, h.time);
  const { grant, to, kind, key, tracks, until, capsule, standing, release, mask } = b;
  return { ...state, grants: new Map(state.grants).set(hex(grant), { grant, by: h.by, to, kind, key, tracks, until, capsule, standing, release, mask, seq: h.seq, revoked: false }) };
}

function revoke(state: ChainState, grant: Bytes, by: Bytes): ChainState {
  const g = state.grants.get(hex(grant));
  if (g === undefined || g.revoked) throw refuse('chain: revokes no grant, or one that ended already');
  if (state.members.get(hex(by))?.role !== 'admin' && !equal(g.by, by)) throw refuse('chain: revoked by neither the issuer nor an admin');
  return withRevoked(state, g);
}

function addHub(state: ChainState, b: BodyOf<'hub'>, h: Head): Map<string, HubKeys> {
  wantFresh(state, b.ed, b.x);
  const kid = kidOf(b.ed);
  return new Map(state.hubs).set(hex(kid), { kid, ed: b.ed, x: b.x, since: h.time, seq: h.seq });
}

/** Declares a camera or adds tracks to one: a track never changes kind or camera, and none goes. */
function addCamera(state: ChainState, camera: Bytes, tracks: readonly TrackDecl[], since: number): Map<string, CameraDecl> {
  for (const t of tracks) {
    const was = trackOf(state, t.track);
    if (was !== null && (!equal(was.camera.camera, camera) || was.decl.kind !== t.kind)) {
      throw refuse('chain: a track that is declared otherwise');
    }
  }
  const before = state.cameras.get(hex(camera));
  for (const t of before?.tracks ?? []) {
    if (!tracks.some((x) => equal(x.track, t.track))) throw refuse('chain: leaves out a track of the camera');
  }
  return new Map(state.cameras).set(hex(camera), { camera, tracks, since: before?.since ?? since });
}

/** The chain as this client holds it: every position, for epochs that name an old one. */
export class Chain {
  readonly #states: ChainState[] = [];
  readonly #notes: Bytes[] = [];

  /** The newest state; throws when nothing has been added yet. */
  get head(): ChainState {
    const s = this.#states[this.#states.length - 1];
    if (s === undefined) throw refuse('chain: empty');
    return s;
  }

  get length(): number {
    return this.#states.length;
  }

  /** The notes as received, for the store. */
  get notes(): readonly Bytes[] {
    return this.#notes;
  }

  /** The state right after statement seq; null when this client does not have it yet. */
  at(seq: number): ChainState | null {
    return this.#states[seq] ?? null;
  }

  /**
   * When (unix seconds) the household, after statement seq, first had no such hub
   * (hex); null when it always had. A removed hub could for ever name a place from
   * before its removal.
   */
  hubGoneAt(hub: string, seq: number): number | null {
    return this.#states.slice(seq).find((s) => !s.hubs.has(hub))?.time ?? null;
  }

  /** Adds one statement, or throws and stays as it was: only what extends the chain is taken. */
  async add(raw: Bytes, now: number): Promise<ChainState> {
    const next = await apply(this.#states[this.#states.length - 1] ?? null, parseNote(raw), now);
    this.#states.push(next);
    this.#notes.push(raw);
    return next;
  }
}

/** Applies notes from genesis on. */
export async function replay(notes: readonly Bytes[], now: number): Promise<Chain> {
  const chain = new Chain();
  for (const raw of notes) await chain.add(raw, now);
  return chain;
}

/**
 * Holds the kids an epoch that begins at start is sealed to against those its chain position
 * prescribes. Fewer are accepted, because a hub that knows of a removal seals to
 * fewer than the chain yet says; returned are those left out, sorted. A kid that
 * is not prescribed, or one twice, throws Failure 'verify'.
 */
export function recipientsFit(got: readonly Bytes[], state: ChainState, start: number): Bytes[] {
  const want = recipients(state, start).map((r) => r.kid);
  const seen = new Set(got.map(hex));
  if (seen.size !== got.length || got.some((k) => !want.some((w) => equal(w, k)))) {
    throw refuse('chain: sealed to other people than the household says');
  }
  return want.filter((k) => !seen.has(hex(k)));
}

/** The member whose sealing key has, or once had, this kid: whom a capsule is for. Null: nobody. */
export function holderOf(state: ChainState, kid: Bytes): Member | null {
  return [...state.members.values()].find((m) => kidsOf(m).some((k) => equal(k, kid))) ?? null;
}

/** Whether rights include a track. */
export function maySee(rights: Rights, track: Bytes): boolean {
  return rights === 'all' || rights.some((t) => equal(t, track));
}

/** H(capsule) lines as the epoch note's `seals` hashes them. */
export interface SealLine {
  readonly kid: Bytes;
  readonly hash: Bytes;
}

/** The camera and kind of a track at this position; null when it is not declared. */
export function trackOf(state: ChainState, track: Bytes): { camera: CameraDecl; decl: TrackDecl } | null {
  for (const camera of state.cameras.values()) {
    const decl = camera.tracks.find((t) => equal(t.track, track));
    if (decl !== undefined) return { camera, decl };
  }
  return null;
}

/** What an id pair is keyed by: epoch ‖ track. */
export function pair(epoch: Bytes, track: Bytes): Bytes {
  return concat(epoch, track);
}
