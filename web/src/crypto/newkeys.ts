/** What the chain says of replaced keys: an admin could not forge it, and whoever found a recovery code cannot hide it. */
import { equal, hex } from './bytes';
import type { Chain } from './chain';
import { kidOf } from './hash';
import { parseNote } from './note';
import { parseStatement } from './statement';

/** The last replacement of one member's keys. */
export interface NewKeys {
  /** of the statement */
  readonly seq: number;
  /** unix seconds, by the clock of who signed */
  readonly time: number;
  readonly byCode: boolean;
}

/**
 * By the member's kid of now, in hex. Counted is what somebody else could have
 * done who has a device or a code: a new signing key, and anything the recovery
 * key signed. A member's own new code, or his own new sealing key, is his routine.
 */
export function newKeys(chain: Chain): ReadonlyMap<string, NewKeys> {
  const found = new Map<string, NewKeys>();
  for (let seq = 1; seq < chain.length; seq++) {
    const raw = chain.notes[seq];
    if (raw === undefined) break;
    const { head, body } = parseStatement(parseNote(raw));
    if (body.type !== 'rekey') continue;
    const byCode = !equal(head.by, body.kid);
    const before = found.get(hex(body.kid));
    const now = byCode || body.ed !== null ? { seq, time: head.time, byCode } : before;
    found.delete(hex(body.kid));
    if (now !== undefined) found.set(hex(body.ed === null ? body.kid : kidOf(body.ed)), now);
  }
  return found;
}

/** The statement that first had one of these kids (hex) as a member: what is older, he was told when he joined. */
export function admitted(chain: Chain, kids: readonly string[]): number {
  for (let seq = 0; seq < chain.length; seq++) {
    const state = chain.at(seq);
    if (state !== null && kids.some((kid) => state.members.has(kid))) return seq;
  }
  return chain.length;
}
