/** What the pages are told of the operator's help: a part of the contract in {@link Home}. Times are Unix milliseconds. */
import type { CameraId, Result, TimeRange } from '../types';

/** What a ticket may be about before anybody may read its words: the operator sees this. */
export const TOPICS = ['offline', 'clock', 'line', 'password', 'codec', 'footage', 'other'] as const;
export type Topic = (typeof TOPICS)[number];

/** One conversation with the operator's support, as the server lists it. */
export interface Ticket {
  readonly n: number;
  readonly topic: Topic;
  readonly open: boolean;
  /** id of who has it, by the server's word; empty: nobody */
  readonly agent: string;
  readonly opened: number;
  readonly updated: number;
  readonly messages: number;
}

/** One message, opened and verified. */
export interface HelpLetter {
  /** name of a member, or id of staff; empty while unknown */
  readonly by: string;
  readonly staff: boolean;
  readonly mine: boolean;
  readonly at: number;
  readonly words: string;
  /** somebody of support asks for footage */
  readonly asks: boolean;
}

/** What was opened at one time: said in the household's chain before it could happen. */
export interface Opened {
  /** statement of the chain */
  readonly seq: number;
  readonly at: number;
  /** minutes of footage */
  readonly spans: readonly TimeRange[];
}

/** Footage that somebody of support was let see for a ticket. */
export interface LetSee {
  /** the grant's id in hex */
  readonly id: string;
  readonly ticket: number;
  /** id of staff; empty while unknown */
  readonly agent: string;
  readonly camera: string;
  /** of footage */
  readonly from: number;
  readonly to: number;
  readonly sound: boolean;
  /** when it is over by itself */
  readonly until: number;
  readonly given: number;
  /** reached into the future when it was given */
  readonly live: boolean;
  readonly state: 'runs' | 'ended' | 'over';
  /** not handed over yet: its statement is on its way into the public log */
  readonly waiting: boolean;
  /** The reader has given it, or is an admin. */
  readonly mayStop: boolean;
  /** oldest first */
  readonly opened: readonly Opened[];
}

/** A ticket with all that was written and let see for it. */
export interface TicketView extends Ticket {
  /** id of who has it, as the public log proves it; empty: nobody, or not proven */
  readonly agent: string;
  /** Whoever has it is proven to be of support; `waits`: on the way into the log. */
  readonly proven: 'yes' | 'nobody' | 'waits' | 'no';
  readonly letters: readonly HelpLetter[];
  /** messages that did not open, or whose signature does not hold */
  readonly left: number;
  /** hubs were told to report to whoever has it */
  readonly health: boolean;
  /** Whoever has it took it over, and cannot read what was written before. */
  readonly behind: boolean;
  readonly see: readonly LetSee[];
}

export interface NewTicket {
  readonly topic: Topic;
  readonly words: string;
  readonly health: boolean;
}

/** A stretch of one camera for whoever has the ticket. */
export interface SeeAsk {
  readonly ticket: number;
  /** id of the staff that the reader was told of: nobody else is let see */
  readonly agent: string;
  readonly camera: CameraId;
  /** whole seconds, half open; at most 15 minutes ahead */
  readonly from: number;
  readonly to: number;
  readonly sound: boolean;
  /** when it is over by itself */
  readonly until: number;
}

export type SeeStep = 'written' | 'logged' | 'witnessed' | 'done';
export type SeeNews =
  | { readonly kind: 'step'; readonly step: SeeStep }
  /** the public log does not answer: it waits */
  | { readonly kind: 'away'; readonly on: boolean };

export interface HomeHelp {
  /** Newest first. */
  tickets(): Promise<Result<Ticket[]>>;
  open(a: NewTicket): Promise<Result<TicketView>>;
  ticket(n: number): Promise<Result<TicketView>>;
  reply(a: { ticket: number; words: string }): Promise<Result<void>>;
  /** Lets hubs report to whoever has the ticket, or no more. */
  health(a: { ticket: number; agent: string; on: boolean }): Promise<Result<void>>;
  /** Lets whoever has the ticket now read what was written before. */
  passOn(a: { ticket: number; agent: string }): Promise<Result<void>>;
  /** Ends the ticket, reports for it, and all that was let see for it. */
  close(n: number): Promise<Result<void>>;
  /** Asks for a touch, waits for the public log, hands over. A page that is closed meanwhile goes on at the next visit. */
  see(ask: SeeAsk, news: (n: SeeNews) => void): Promise<Result<LetSee>>;
  /** Ends what was let see. */
  stop(id: string): Promise<Result<void>>;
  /** Open tickets with messages that this browser has not shown. */
  news(): Promise<Result<Ticket[]>>;
  /** What somebody of support can see now, by the chain. */
  now(): Promise<Result<LetSee[]>>;
}
