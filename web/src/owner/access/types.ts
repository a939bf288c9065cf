/**
 * What the pages are told of the public log and of everything the household has
 * decided: a part of the contract in {@link Home}. Times are Unix milliseconds.
 */
import type { CameraId, Kid, Result, Role, TrackKind } from '../types';

/**
 * What is wrong with the log: `policy`, the server names other keys or watchers;
 * `fork`, the log or the chain is another than was shown before; `kept-back`, the
 * log has statements that the server does not show; `gap`, the server shows what
 * the log does not have; `stale-witness`, no witness has seen the log for a day;
 * `garbled`, its files do not fit what it has signed.
 */
export type BreachKind = 'policy' | 'fork' | 'kept-back' | 'gap' | 'stale-witness' | 'garbled';

export interface Breach {
  readonly kind: BreachKind;
  /** when this browser found it */
  readonly at: number;
  /** the statement that it is about; null: the log itself */
  readonly seq: number | null;
}

/** How far this browser has verified the household's statements against the public log. */
export interface LogState {
  /** `checking`: nothing is known yet. `stale`: the newest proof is older than a day, or the log does not answer. */
  readonly state: 'checking' | 'complete' | 'stale' | 'broken';
  /** Nothing is missing and nothing was kept back up to then; null: there is no proof yet. */
  readonly until: number | null;
  readonly breach: Breach | null;
  /** The log did not answer when this browser asked last. */
  readonly away: boolean;
  /** Statements of the household, those found in the log, and those the newest proof covers. */
  readonly total: number;
  readonly proven: number;
  readonly covered: number;
  /** Who watches the log; null while that is not known. */
  readonly watch: Watch | null;
}

export interface Watch {
  readonly log: string;
  /** entries, when this browser looked last; 0 before */
  readonly size: number;
  readonly witnesses: number;
  /** Whether any of them must vouch for the log. */
  readonly witnessed: boolean;
  readonly auditors: number;
}

/** Somebody who has, or had, a place in the household. */
export interface Party {
  readonly kid: Kid;
  /** Empty while unknown. */
  readonly name: string;
  readonly me: boolean;
}

export interface NamedCamera {
  readonly camera: CameraId;
  /** Empty while unknown. */
  readonly name: string;
}

/** A camera that somebody may see. */
export interface SeenCamera extends NamedCamera {
  readonly sound: boolean;
}

/** Footage of one camera that was given away. */
export interface GivenFootage extends SeenCamera {
  readonly from: number;
  readonly until: number;
}

export type GranteeKind = 'member' | 'contact' | 'link' | 'staff' | 'project';

export interface Given {
  readonly kind: GranteeKind;
  /** The member it was given to; null: somebody outside. */
  readonly to: Party | null;
  readonly footage: readonly GivenFootage[];
  /** token or token:token, such as history or support:48213 */
  readonly purpose: string;
  /** New footage as it is recorded, too. */
  readonly standing: boolean;
  /** When the operator stops serving it. */
  readonly until: number;
  /** When it was ended, null while it was not. */
  readonly ended: number | null;
}

/** What one statement decided. */
export type Decision =
  | { readonly type: 'founded' }
  /** `before`: what he might see until then; null: he came with it. */
  | { readonly type: 'member'; readonly person: Party; readonly role: Role; readonly share: boolean; readonly sees: Sees; readonly before: Sees | null }
  | { readonly type: 'removed'; readonly person: Party }
  /** `signing`: who may act in his name is new; else only what footage is locked for, or his code. */
  | { readonly type: 'keys'; readonly person: Party; readonly byCode: boolean; readonly signing: boolean; readonly code: boolean }
  | { readonly type: 'hub' | 'unhub'; readonly hub: Party }
  | { readonly type: 'camera'; readonly camera: NamedCamera; readonly kinds: readonly TrackKind[]; readonly first: boolean }
  /** null: all that have no rule of their own */
  | { readonly type: 'retain'; readonly camera: NamedCamera | null; readonly seconds: number }
  | { readonly type: 'erase'; readonly camera: NamedCamera | null; readonly from: number; readonly until: number }
  | { readonly type: 'seal'; readonly hub: Party; readonly epochs: number }
  | { readonly type: 'given'; readonly given: Given }
  /** `seq`: of what was ended. */
  | { readonly type: 'ended'; readonly given: Given; readonly seq: number }
  /** The operator's staff opens some of what it was given; `seq`: of that. */
  | { readonly type: 'opened'; readonly given: Given; readonly seq: number; readonly keys: number }
  /** What the operator's staff did otherwise; `action` is a token of theirs. */
  | { readonly type: 'notice'; readonly action: string; readonly object: string };

export type Sees = 'all' | readonly SeenCamera[];

/** One statement of the household. */
export interface AccessRow {
  readonly seq: number;
  readonly at: number;
  readonly by: Party;
  readonly what: Decision;
  /** base64 of the hash that stands in the log */
  readonly hash: string;
  /** Its entry in the log; null while it is on its way there. */
  readonly leaf: number | null;
  /** The newest proof of completeness covers it: additions count from then on. */
  readonly covered: boolean;
}

/** Who vouches that one statement stands in the log. */
export interface StatementProof {
  /** c2sp.org/tlog-proof */
  readonly file: string;
  readonly leaf: number;
  readonly log: string;
  /** entries the log had */
  readonly size: number;
  readonly witnesses: readonly { readonly name: string; readonly at: number }[];
}

/** What a page can find out about its own program: what it was given, held against what stands in the public log. */
export type PageRelease =
  /** All `files` are those of the release. */
  | { readonly state: 'released'; readonly version: string; readonly source: string; readonly entry: number; readonly files: number }
  /** `path` is missing, or another file than the release's. */
  | { readonly state: 'differs'; readonly version: string; readonly source: string; readonly entry: number; readonly path: string }
  /** The server has published none. */
  | { readonly state: 'unreleased' }
  /** It gives out one that two of the pinned releasers did not sign, or that the log does not have. */
  | { readonly state: 'unproven' };

/** The public log and the household's statements. */
export interface HomeAccess {
  /** What was verified so far; answers at once. */
  log(): Promise<Result<LogState>>;
  /** Newest first. */
  rows(): Promise<Result<AccessRow[]>>;
  /** Of one statement, made and checked now. */
  proof(seq: number): Promise<Result<StatementProof>>;
  /** The newest proof that nothing is missing: a file that is checked offline. */
  completeness(): Promise<Result<{ readonly file: string; readonly until: number }>>;
  /** Looks again, after whatever was wrong has been cleared up; `acceptPolicy`: with the keys and watchers that the server names now. */
  again(a: { acceptPolicy: boolean }): Promise<Result<LogState>>;
  /** Footage given or no longer given by somebody else, that the reader has not read about here. */
  news(): Promise<Result<AccessRow[]>>;
  /** The reader has read everything up to this statement. */
  seen(seq: number): Promise<Result<void>>;
  /** The program of this page against the release in the log. */
  page(): Promise<Result<PageRelease>>;
}
