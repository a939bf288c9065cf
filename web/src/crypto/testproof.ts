/** For tests only: proofs of statements, as a browser gets them from the log of the server in memory. */
import type { Bytes } from './bytes';
import { LogBook } from './logbook';
import { provenInLog } from './logproof';
import type { Member } from './member';
import type { TestServer } from './testserver';

/** This browser looks at the log, and has its policy pinned from then on. */
export async function looksAtLog(member: Member): Promise<void> {
  const log = new LogBook(member, () => undefined);
  await log.look();
  log.close();
}

/** For what is not about waiting: everything that the chain will ever add is proven. */
export function provenAll(member: Member): Member {
  member.cover.raise(Number.MAX_SAFE_INTEGER);
  return member;
}

/** The log takes all statements there are; the proof of this one. */
export async function provenAt(server: TestServer, member: Member, seq: number, signal: AbortSignal): Promise<Bytes> {
  await server.proves();
  const log = new LogBook(member, () => undefined);
  try {
    return await provenInLog({ log, api: member.api }, seq, { step: () => undefined, away: () => undefined }, signal);
  } finally {
    log.close();
  }
}
