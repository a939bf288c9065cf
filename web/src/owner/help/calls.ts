/** What pages ask the worker about the operator's help; a part of {@link Calls}. */
import type { LetSee, NewTicket, SeeAsk, SeeNews, Ticket, TicketView } from './types';

export interface HelpCalls {
  tickets: { args: null; value: Ticket[]; news: never };
  openTicket: { args: NewTicket; value: TicketView; news: never };
  ticket: { args: { readonly n: number }; value: TicketView; news: never };
  replyTicket: { args: { readonly ticket: number; readonly words: string }; value: undefined; news: never };
  ticketHealth: { args: { readonly ticket: number; readonly agent: string; readonly on: boolean }; value: undefined; news: never };
  passTicketOn: { args: { readonly ticket: number; readonly agent: string }; value: undefined; news: never };
  closeTicket: { args: { readonly n: number }; value: undefined; news: never };
  letSee: { args: SeeAsk; value: LetSee; news: SeeNews };
  stopSee: { args: { readonly id: string }; value: undefined; news: never };
  ticketNews: { args: null; value: Ticket[]; news: never };
  seenNow: { args: null; value: LetSee[]; news: never };
}

export type HelpHandlers = {
  readonly [K in keyof HelpCalls]: (args: HelpCalls[K]['args'], news: (n: HelpCalls[K]['news']) => void) => Promise<HelpCalls[K]['value']>;
};
