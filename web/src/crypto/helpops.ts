/** The worker's part of the operator's help: one operation each. */
import type { HelpHandlers } from '../owner/help/calls';
import type { TicketView } from '../owner/help/types';
import { type GiveRooms, StaffGrants } from './givestaff';
import { running, Tickets } from './ticket';

export interface Help extends HelpHandlers {
  resume(): Promise<void>;
  end(): void;
}

export function helpOps(rooms: GiveRooms): Help {
  const tickets = new Tickets(rooms);
  const grants = new StaffGrants(rooms, tickets);
  const view = async (n: number): Promise<TicketView> => {
    const [ticket, see] = await Promise.all([tickets.read(n), grants.list()]);
    return { ...ticket, see: see.filter((s) => s.ticket === n) };
  };
  return {
    resume: () => grants.resume(),
    end: () => { grants.close(); },
    tickets: () => tickets.list(),
    openTicket: async (a) => view(await tickets.open(a)),
    ticket: ({ n }) => view(n),
    replyTicket: async ({ ticket, words }) => {
      await tickets.reply(ticket, words);
      return undefined;
    },
    ticketHealth: async ({ ticket, agent, on }) => {
      await tickets.health(ticket, agent, on);
      return undefined;
    },
    passTicketOn: async ({ ticket, agent }) => {
      await tickets.passOn(ticket, agent);
      return undefined;
    },
    closeTicket: async ({ n }) => {
      await rooms.member.sync();
      // First: a ticket that is closed ends nothing by itself.
      for (const one of running(await grants.list())) if (one.ticket === n && one.mayStop) await grants.end(one.id);
      await tickets.close(n);
      return undefined;
    },
    letSee: (ask, news) => grants.give(ask, news),
    stopSee: async ({ id }) => {
      await grants.end(id);
      return undefined;
    },
    ticketNews: () => tickets.news(),
    seenNow: async () => {
      await rooms.member.sync();
      return running(await grants.list());
    },
  };
}
