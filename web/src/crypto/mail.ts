/** The mailbox of a pairing (spec/keys, "Pairing"): up to ten offers, one answer, a quarter of an hour. */
import { MailSlot } from '../api/latchkey/v1/latchkey_pb';
import type { Api } from './api';
import { type Bytes, own } from './bytes';
import type { Code } from './code';
import { Failure, isKind } from './failure';
import { type Offer, openOffer } from './pairing';
import { type AppWords, worded } from './words';

export const codeLifeMs = 15 * 60_000;
const waitSeconds = 20;
/** Offers that a box takes; with so many made by another code, this one is dead. */
const mostOffers = 10;
const retryMs = 1000;

const dead: AppWords = { safe: 'The code is dead; nobody was added.' };

/** Waits for the first offer that was made with this code. Throws in words when the code dies. */
export async function takeOffer(api: Api, code: Code, signal: AbortSignal, nobody: AppWords): Promise<Offer> {
  const until = Date.now() + codeLifeMs;
  for (let index = 0; index < mostOffers; index++) {
    const mail = await wait(api, code, MailSlot.OFFER, index, until, signal);
    if (mail === null) throw worded('wrong-code', { ...dead, ...nobody });
    try {
      return openOffer(code, mail);
    } catch (err) {
      if (!isKind(err, 'verify')) throw err;
      // Somebody who does not have the code: the next one may.
    }
  }
  throw worded('wrong-code', { ...dead, what: 'Ten others answered without knowing the code.', next: 'Make a new one, and hand it over another way.' });
}

/** Waits for the answer to an offer; null when none came in time. */
export function takeAnswer(api: Api, code: Code, until: number, signal: AbortSignal): Promise<Bytes | null> {
  return wait(api, code, MailSlot.ANSWER, 0, until, signal);
}

/** The answer that lies in the box now; null when there is none. */
export async function lookForAnswer(api: Api, code: Code): Promise<Bytes | null> {
  try {
    const { body } = await api.pairing.getMail({ rendezvous: code.rendezvous(), slot: MailSlot.ANSWER, waitSeconds: 0 });
    return own(body);
  } catch (err) {
    if (isKind(err, 'not-found')) return null;
    throw err;
  }
}

export async function sendOffer(api: Api, code: Code, body: Bytes): Promise<void> {
  await api.pairing.putMail({ rendezvous: code.rendezvous(), slot: MailSlot.OFFER, body });
}

/** Sends the answer; one that lies there already is as good: nobody but us can make one. */
export async function sendAnswer(api: Api, code: Code, body: Bytes): Promise<void> {
  await api.pairing.putMail({ rendezvous: code.rendezvous(), slot: MailSlot.ANSWER, body });
}

async function wait(api: Api, code: Code, slot: MailSlot, index: number, until: number, signal: AbortSignal): Promise<Bytes | null> {
  while (Date.now() < until && !signal.aborted) {
    try {
      const { body } = await api.pairing.getMail({ rendezvous: code.rendezvous(), slot, waitSeconds, index }, { signal });
      return own(body);
    } catch (err) {
      if (signal.aborted) break;
      if (!(err instanceof Failure)) throw err;
      // Without a network for a moment: the code lives on, so does the waiting.
      if (err.kind !== 'not-found') await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
  if (signal.aborted) throw new Failure('network', 'mail: cancelled');
  return null;
}
