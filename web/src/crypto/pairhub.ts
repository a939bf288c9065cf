/** The admin's side of adding a hub: show a code, read the offer, sign, answer (protocol 2.10). */
import type { InviteStep, Kid } from '../owner/types';
import { type Bytes, equal, hex } from './bytes';
import type { Code } from './code';
import { Failure } from './failure';
import { kidOf } from './hash';
import { sendAnswer, takeOffer } from './mail';
import type { Member, Placed } from './member';
import { sealAnswer } from './pairing';

const nobody = { what: 'No hub used this code within 15 minutes.', next: 'Start again and enter the new code on the hub.' };

/** The statement that has this hub already: one whose answer never reached it comes again with the same keys. */
function standing(member: Member, offer: { readonly ed: Bytes; readonly x: Bytes }): Placed | null {
  const { chain } = member;
  const hub = chain.head.hubs.get(hex(kidOf(offer.ed)));
  const at = hub === undefined ? null : chain.at(hub.seq);
  return hub !== undefined && at !== null && equal(hub.x, offer.x) ? { seq: hub.seq, hash: at.hash } : null;
}

/** Waits for the hub, signs it in, and tells it so. Throws when the code dies or the page cancels. */
export async function pairHub(member: Member, code: Code, step: (s: InviteStep) => void, signal: AbortSignal): Promise<Kid> {
  step('waiting');
  const offer = await takeOffer(member.api, code, signal, nobody);
  step('found');
  if (offer.role !== 'hub') throw new Failure('verify', 'pairing: somebody other than a hub answered');
  step('checked');
  await member.sync();
  const { seq, hash } = standing(member, offer) ?? (await member.append({ type: 'hub', ed: offer.ed, x: offer.x }));
  step('signed');
  await sendAnswer(member.api, code, sealAnswer(code, offer, member.household, seq, hash));
  step('paired');
  return hex(kidOf(offer.ed)) as Kid;
}
