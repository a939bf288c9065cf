/** The operator's help, asked of the worker that owns the keys. */
import type { Result } from '../types';
import type { HelpCalls } from './calls';
import type { HomeHelp } from './types';

/** What of the line to the worker this needs. */
export interface HelpLine {
  ask<K extends keyof HelpCalls>(op: K, args: HelpCalls[K]['args']): Promise<Result<HelpCalls[K]['value']>>;
  until<K extends keyof HelpCalls>(op: K, args: HelpCalls[K]['args'], news: (n: HelpCalls[K]['news']) => void): Promise<Result<HelpCalls[K]['value']>>;
}

export function helpOver(line: HelpLine): HomeHelp {
  return {
    tickets: () => line.ask('tickets', null),
    open: (a) => line.ask('openTicket', a),
    ticket: (n) => line.ask('ticket', { n }),
    reply: (a) => line.ask('replyTicket', a),
    health: (a) => line.ask('ticketHealth', a),
    passOn: (a) => line.ask('passTicketOn', a),
    close: (n) => line.ask('closeTicket', { n }),
    see: (ask, news) => line.until('letSee', ask, news),
    stop: (id) => line.ask('stopSee', { id }),
    news: () => line.ask('ticketNews', null),
    now: () => line.ask('seenNow', null),
  };
}
