/** What travels between the desk's page and the worker that holds an agent's keys. Times are Unix milliseconds. */

/** Who is at this desk. */
export interface Who {
  readonly id: string;
  readonly role: string;
  /** hex, of the Ed25519 key */
  readonly kid: string;
  /** the staff root has signed, and the log has it: he may come in */
  readonly staff: boolean;
}

export interface TicketRow {
  readonly ticket: number;
  readonly topic: string;
  readonly state: string;
  /** id of staff; empty: nobody */
  readonly agent: string;
  readonly opened: number;
  readonly updated: number;
  readonly messages: number;
}

export interface Letter {
  /** id of staff, or empty for the household */
  readonly by: string;
  readonly mine: boolean;
  readonly at: number;
  readonly words: string;
}

/** A hub's report as it came (docs/spec/meta.md, "Health"): not read yet. */
export interface HubReport {
  readonly hub: string;
  readonly at: number;
  readonly report: string;
}

export interface GrantRow {
  /** hex */
  readonly grant: string;
  /** its name, as the household told it in the ticket; empty when it did not */
  readonly camera: string;
  readonly from: number;
  readonly until: number;
  /** when the operator stops serving it */
  readonly served: number;
}

export interface TicketView {
  readonly row: TicketRow;
  readonly letters: readonly Letter[];
  /** letters that did not open, or were written by nobody who may */
  readonly leftOut: number;
  readonly hubs: readonly HubReport[];
  readonly grants: readonly GrantRow[];
}

/** How far an opening is: the household's chain says so; the public log proves it; the hub has given its key. */
export type Step = 'written' | 'proven' | 'released';

export interface OpenedView {
  readonly grant: string;
  readonly from: number;
  readonly until: number;
  /** the first moment that can be shown */
  readonly shows: number;
  readonly sound: boolean;
  /** seconds that were released, which can be more than were asked for */
  readonly log: { readonly name: string; readonly size: number };
  readonly hubs: number;
  /** keys outside of what was granted: dropped */
  readonly stray: number;
}

export interface Situation {
  readonly role: string;
  readonly action: string;
  readonly open: boolean;
  readonly assigned: boolean;
  readonly granted: boolean;
  readonly trained: boolean;
  readonly strength: 'key' | 'passkey' | 'sso';
}

export interface Explanation {
  readonly allowed: boolean;
  readonly rules: readonly { readonly name: string; readonly words: string }[];
  /** hash of the rules in force, in hex */
  readonly version: string;
}

export interface Decision {
  readonly at: number;
  readonly staff: string;
  readonly role: string;
  readonly action: string;
  /** 0: none */
  readonly ticket: number;
  readonly allowed: boolean;
  /** names, with spaces between */
  readonly rules: string;
}

/** What one has asked oneself, and the rules in force. */
export interface Mine {
  readonly decisions: readonly Decision[];
  readonly rules: Explanation['rules'];
  readonly version: string;
}

export interface Finding {
  readonly staff: string;
  readonly kind: string;
  readonly count: number;
  readonly limit: number;
}

export interface Report {
  readonly decisions: readonly Decision[];
  readonly findings: readonly Finding[];
  readonly suspended: readonly string[];
}

/**
 * Why something did not happen: no whole invitation; a name that is none;
 * somebody lives here already; not staff now; a rule said no (`words` are its);
 * not there (any more); the line or the hub is away; a check did not hold.
 */
export interface Problem {
  readonly kind: 'link' | 'name' | 'taken' | 'staff' | 'refused' | 'gone' | 'away' | 'check' | 'clock' | 'server' | 'empty' | 'internal';
  /** what the server said, for people; empty where it said nothing of its own */
  readonly words: string;
}

/** What the page may ask of the worker. */
export interface Calls {
  who(): Promise<Who | null>;
  join(fragment: string, id: string): Promise<Who>;
  /** Forgets this browser's keys. */
  forget(): Promise<void>;
  tickets(): Promise<readonly TicketRow[]>;
  take(ticket: number): Promise<void>;
  ticket(ticket: number): Promise<TicketView>;
  /** ask: for footage, with the reason in the words */
  reply(ticket: number, words: string, ask: boolean): Promise<void>;
  open(ticket: number, grant: string, from: number, until: number): Promise<OpenedView>;
  close(): Promise<void>;
  explain(s: Situation): Promise<Explanation>;
  mine(): Promise<Mine>;
  audit(since: number): Promise<Report>;
  endShift(): Promise<void>;
}

export type CallName = keyof Calls;

export type ToDesk =
  | { readonly kind: 'call'; readonly id: number; readonly name: CallName; readonly args: readonly unknown[] }
  | { readonly kind: 'player'; readonly port: MessagePort };

export type FromDesk =
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly problem: Problem }
  | { readonly kind: 'event'; readonly event: DeskEvent };

export type DeskEvent =
  | { readonly kind: 'step'; readonly step: Step }
  /** what was open is not any more: it ended, or the line to it broke; no key of it is left */
  | { readonly kind: 'ended'; readonly why: 'over' | 'line' }
  | { readonly kind: 'whole'; readonly until: number };
