/** What is found out about a file of evidence. Times are unix seconds, ids lower-case hex. */

/** What is checked, in this order; a step that fails is named. */
export const steps = ['facts', 'chain', 'log', 'epochs', 'keys', 'footage', 'time'] as const;
export type Step = (typeof steps)[number];

export interface Problem {
  readonly step: Step;
  /** for the curious; no words for people */
  readonly detail: string;
}

/** One side of when footage was recorded, which does not rest on the hub's clock. */
export interface Bound {
  readonly at: number;
  /** of the public log: the set, or the anchor */
  readonly entry: number;
}

/** `deleted`: an admin had it deleted, says the chain; `missing` is an alarm. */
export interface EvidenceGap {
  readonly from: number;
  readonly to: number;
  readonly why: 'missing' | 'deleted' | 'no-footage';
}

export interface LoggedHub {
  readonly hub: string;
  readonly entry: number;
  /** since when the log's witnesses vouch; null: nobody but its operator does */
  readonly witnessed: number | null;
}

export interface Report {
  household: string;
  statements: number;
  /** kids of the hubs that recorded it */
  hubs: string[];
  from: number;
  until: number;
  sound: boolean;
  parts: number;
  bytes: number;
  pictures: number;
  gaps: EvidenceGap[];
  /** name of the public log whose proofs were checked; null: none */
  log: string | null;
  /** whose signatures of the log count came from the file itself */
  ownPolicy: boolean;
  logged: LoggedHub[];
  after: Bound | null;
  before: Bound | null;
  /** without any the file is what it says */
  problems: Problem[];
  /** made anew of the recorded parts */
  movie: Blob | null;
}
