/** Taking up an invitation to the staff (spec/keys, "Staff"): new keys, and a note to the staff root that only the invited can have written. */
import { type Bytes, parseB64 } from '../crypto/bytes';
import { isKind } from '../crypto/failure';
import { H, kdf } from '../crypto/hash';
import { signNote } from '../crypto/note';
import { applicantText } from '../crypto/opening';
import { nowSeconds } from '../crypto/signin';
import { Policy } from '../ledger/policy';
import { type DeskApi, DeskProblem } from './deskapi';
import { type Agent, newAgent } from './keep';

export interface Invitation {
  readonly secret: Bytes;
  readonly role: string;
}

/** Reads `#LKI1.<secret>.<role>` in its one form; null when it is anything else. */
export function parseInvitation(fragment: string): Invitation | null {
  const [, text, role] = /^#?LKI1\.([A-Za-z0-9_-]{43})\.([a-z]{1,20})$/.exec(fragment) ?? [];
  const secret = text === undefined ? null : parseB64(`${text.replaceAll('-', '+').replaceAll('_', '/')}=`, 32);
  return secret === null || role === undefined ? null : { secret, role };
}

/** 1 to 64 of a–z, 0–9 and -, not at the ends. */
export const isStaffName = (id: string): boolean => /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/.test(id);

/** Makes keys, applies, and keeps them. Whoever calls has had the training confirmed. */
export async function joinStaff(api: DeskApi, origin: string, fragment: string, id: string): Promise<Agent> {
  const invitation = parseInvitation(fragment);
  if (invitation === null) throw new DeskProblem('link');
  if (!isStaffName(id)) throw new DeskProblem('name');
  const policy = await api.policy();
  if (rootsOf(policy) === 0) throw new DeskProblem('server');
  const { agent, keep } = await newAgent(id, invitation.role, origin, policy);
  const now = nowSeconds();
  const text = applicantText({ id, role: invitation.role, ed: agent.sign.publicKey, x: agent.sealing.publicKey, trained: now, time: now });
  await api.staff.apply({ note: await signNote(text, agent.sign), mac: kdf(invitation.secret, 'staff invite', H(text)) });
  await keep();
  invitation.secret.fill(0);
  return agent;
}

function rootsOf(policy: string): number {
  try {
    return new Policy(policy).staffRoots.size;
  } catch (err) {
    if (isKind(err, 'verify')) throw new DeskProblem('server', '', err);
    throw err;
  }
}
