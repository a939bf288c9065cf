/** Who of the operator's staff a household deals with: believed only as the public log proves it (claim C14). */
import type { StaffEntry } from '../api/latchkey/v1/desk_pb';
import { Policy } from '../ledger/policy';
import { provenStaff, type Staff } from '../ledger/staff';
import { own } from './bytes';
import { Failure, isKind, refuse } from './failure';
import { worded } from './words';

/** Nobody has the ticket now. */
export class NobodyThere extends Failure {
  constructor() {
    super('not-found', 'agent: nobody of support has it now');
  }
}

/** His note is on its way into the log. */
export class AgentWaits extends Failure {
  constructor() {
    super('network', 'agent: not in the public log yet');
  }
}

/** How long a training counts, in seconds. */
const trainingLife = 365 * 86_400;

type Entry = Pick<StaffEntry, 'note' | 'proof'>;

/**
 * Holds a staff note against the pinned policy: signed by its staff root, in the
 * log, of support, trained, for now (unix seconds). Throws Failure 'verify',
 * NobodyThere or AgentWaits.
 */
export async function provenAgent(entry: Entry | undefined, policy: string | null, now: number): Promise<Staff> {
  if (entry === undefined || entry.note.length === 0) throw new NobodyThere();
  if (policy === null) throw new AgentWaits();
  if (entry.proof.length === 0) throw new AgentWaits();
  const s = await provenStaff(own(entry.note), own(entry.proof), new Policy(policy), now);
  if (s.role !== 'support') throw refuse(`agent: ${s.id} is staff, and not of support`);
  if (now - s.trained > trainingLife) throw refuse(`agent: ${s.id} was not trained within a year`);
  return s;
}

/** The same failure in the words of the interface. */
export function agentTrouble(err: unknown): unknown {
  const safe = 'Nothing was sent to that person, and nothing was shown.';
  if (err instanceof NobodyThere) return worded('not-found', { what: 'Nobody of support has this ticket right now.', safe, next: 'Try again later, or write: whoever takes it can ask you to write once more.' }, err);
  if (err instanceof AgentWaits) return worded('network', { what: 'Who is to help is not in the public log yet.', safe, next: 'Try again in a few seconds.' }, err);
  if (!isKind(err, 'verify')) return err;
  return worded('verify', {
    what: 'The server names somebody whom the public log does not prove to be of support.',
    safe, next: 'Do not write to this person. Tell the others of your home, and whoever runs the server.',
  }, err);
}
