/** The worker's part of the public log and the access page: one operation each. */
import type { AccessHandlers } from '../owner/access/calls';
import type { AccessRow } from '../owner/access/types';
import { accessNews, accessRows } from './access';
import { fromUtf8, hex } from './bytes';
import type { LogBook } from './logbook';
import type { Member } from './member';
import { checkPage } from './pagecheck';

/** What the operations work with, once a household is open. */
export interface AccessRooms {
  readonly member: Member;
  readonly log: LogBook;
  person(kid: string): string;
  hub(kid: string): string;
  camera(id: string): string;
}

export function accessOps(rooms: AccessRooms): AccessHandlers {
  const { member, log } = rooms;
  const rows = async (): Promise<AccessRow[]> => {
    await log.ready;
    return accessRows(member.chain, { ...names(rooms), me: member.keys.kid, leaf: (seq) => log.leaf(seq), covered: (seq) => log.covers(seq) });
  };
  return {
    logState: async () => {
      await log.ready;
      return log.state();
    },
    accessRows: () => rows(),
    statementProof: ({ seq }) => log.proof(seq),
    completenessProof: async () => {
      const { file, until } = await log.completeness();
      return { file: fromUtf8(file), until };
    },
    verifyAgain: ({ acceptPolicy }) => log.again(acceptPolicy),
    accessNews: async () => {
      if (member.chain.head.members.get(hex(member.keys.kid))?.role !== 'admin') return [];
      const seen = (await member.place.store.load())?.accessSeen ?? -1;
      return accessNews(await rows(), seen, Date.now());
    },
    checkPage: () => checkPage({ released: () => log.released(), manifest: () => member.api.logFile('release/web/manifest'), file: (path) => member.api.pageFile(path) }),
    seenAccess: async ({ seq }) => {
      await member.keep((a) => ({ ...a, accessSeen: Math.max(seq, a.accessSeen ?? -1) }));
      return undefined;
    },
  };
}

function names(rooms: AccessRooms): Pick<AccessRooms, 'person' | 'hub' | 'camera'> {
  return { person: (kid) => rooms.person(kid), hub: (kid) => rooms.hub(kid), camera: (id) => rooms.camera(id) };
}
