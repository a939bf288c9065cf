/** Who is staff of the operator, as its staff root has signed it (docs/spec/log.md, "Staff"). */
import { b64, type Bytes, parseB64 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { decimal, encodeEntry } from './leaf';
import type { Policy } from './policy';
import { checkProof, parseProof } from './proof';

export const staffRoles = ['support', 'annotator', 'moderator', 'auditor', 'legal', 'engineer', 'admin'] as const;
export type StaffRole = (typeof staffRoles)[number];

/** The longest that a staff note may hold, in seconds. */
const staffLife = 7 * 24 * 3600;

export interface Staff {
  /** 1 to 64 of a–z, 0–9 and - */
  readonly id: string;
  readonly role: StaffRole;
  /** Ed25519: signs sign-ins and openings */
  readonly ed: Bytes;
  /** X-Wing: grants are to it */
  readonly x: Bytes;
  /** unix seconds: when the person confirmed the training */
  readonly trained: number;
  /** unix seconds, half open */
  readonly from: number;
  readonly until: number;
}

/** Reads the text of a staff note strictly. Throws Failure 'verify'. */
export function staffOf(text: string): Staff {
  const [, id, role, ed64, x64, ...times] =
    /^latchkey\/v1 staff\nid ([a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)\nrole ([a-z]+)\ned (.*)\nx (.*)\ntrained (.*)\nfrom (.*)\nuntil (.*)\n$/.exec(text) ?? [];
  const [trained, from, until] = times.map((t) => decimal(t));
  const known = staffRoles.find((r) => r === role);
  const [ed, x] = [parseB64(ed64 ?? '', 32), parseB64(x64 ?? '', 1216)];
  if (id === undefined || known === undefined || ed === null || x === null || b64(ed) !== ed64 || b64(x) !== x64) throw refuse('ledger: no staff note');
  if (trained === null || trained === undefined || from === null || from === undefined || until === null || until === undefined) throw refuse('ledger: no staff note');
  if (trained > from || from >= until || until - from > staffLife) throw refuse('ledger: a staff note for longer than a week, or before the training');
  return { id, role: known, ed, x, trained, from, until };
}

/** A staff note that stands in the log and holds at now (unix seconds). Throws Failure 'verify'. */
export async function provenStaff(note: Bytes, proof: Uint8Array, policy: Policy, now: number): Promise<Staff> {
  const s = await policy.staff(note);
  await checkProof(parseProof(proof), policy, encodeEntry({ kind: 'public', note }));
  if (now < s.from || now >= s.until) throw refuse(`ledger: ${s.id} is not staff now`);
  return s;
}
