/** The words of a ticket against a server that puts in what it likes: nothing is shown that is not signed by who says so. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { GetTicketResponse } from '../api/latchkey/v1/desk_pb';
import { type Bytes, hex, utf8 } from '../crypto/bytes';
import { random, type Signer, signer } from '../crypto/cipher';
import { kidOf } from '../crypto/hash';
import { newSealingKey, type SealingKey } from '../crypto/hpke';
import { openLetter, sealLetter } from '../crypto/letter';
import { parseNote, signNote, verifyNote } from '../crypto/note';
import { healthText, messageText, parseMessage } from '../crypto/opening';
import { readConversation, sealReply } from './conversation';
import type { Agent } from './keep';

const household = random(16);
const time = 1_790_000_000;
let agent: Agent;
let ann: { sign: Signer; sealing: SealingKey };
let eve: Signer;

const person = async (): Promise<{ sign: Signer; sealing: SealingKey }> => ({ sign: await signer(random(32)), sealing: await newSealingKey() });

interface Said { readonly by?: Signer; readonly signedBy?: Signer; readonly ticket?: number; readonly household?: Bytes; readonly to?: Bytes; readonly about?: string }

async function letter(words: string, s: Said = {}): Promise<Bytes> {
  const by = s.by ?? ann.sign;
  const text = messageText({ household: s.household ?? household, ticket: s.ticket ?? 7, by: kidOf(by.publicKey), time, nonce: random(16), words, about: s.about ?? null });
  return sealLetter(household, s.to ?? agent.sealing.publicKey, await signNote(text, s.signedBy ?? by));
}

async function report(change: { ticket?: number; to?: Bytes } = {}): Promise<Bytes> {
  const text = healthText({ household, hub: random(16), ticket: change.ticket ?? 7, to: change.to ?? agent.sealing.kid, time, report: '{}' });
  return sealLetter(household, agent.sealing.publicKey, await signNote(text, await signer(random(32))));
}

const answer = (letters: Bytes[], health: Bytes[] = []): GetTicketResponse => ({
  ticket: { ticket: 7n, household }, letters, health, readers: [{ kid: kidOf(ann.sign.publicKey), x: ann.sealing.publicKey, ed: ann.sign.publicKey }],
}) as unknown as GetTicketResponse;

beforeAll(async () => {
  ann = await person();
  eve = await signer(random(32));
  const { sign, sealing } = await person();
  agent = { id: 'tim', role: 'support', server: '', policy: '', sign, sealing, kid: kidOf(sign.publicKey) };
});

describe('a conversation', () => {
  it('has what the household and the agent have written, in order, with the names of cameras', async () => {
    const c = await readConversation(agent, 7, answer([
      await letter('dark'), await letter('which minute?', { by: agent.sign }), await letter('this', { about: JSON.stringify({ v: 1, grant: 'ab', camera: 'porch' }) }),
      await letter('mine', { by: agent.sign, about: JSON.stringify({ v: 1, grant: 'cd', camera: 'attic' }) }),
    ]));
    expect(c.letters.map((l) => [l.words, l.mine])).toEqual([['dark', false], ['which minute?', true], ['this', false], ['mine', true]]);
    // A camera's name comes from the household alone.
    expect([...c.cameras]).toEqual([['ab', 'porch']]);
    expect(c.leftOut).toBe(0);
  });

  it.each<[string, () => Promise<Bytes>]>([
    ['by somebody who is not of the household', () => letter('lie', { by: eve })],
    ['under another’s name', () => letter('lie', { signedBy: eve })],
    ['under the agent’s own name', () => letter('lie', { by: agent.sign, signedBy: eve })],
    ['of another ticket', () => letter('lie', { ticket: 8 })],
    ['of another household', () => letter('lie', { household: random(16) })],
    ['to somebody else', () => letter('lie', { to: ann.sealing.publicKey })],
    ['that is none', () => Promise.resolve(utf8('LKS1'))],
  ])('leaves out a letter %s, and counts it', async (_, lie) => {
    const c = await readConversation(agent, 7, answer([await letter('dark'), await lie()]));
    expect([c.letters.map((l) => l.words), c.leftOut]).toEqual([['dark'], 1]);
  });

  it('takes reports for this ticket and this agent alone', async () => {
    const c = await readConversation(agent, 7, answer([], [await report(), await report({ ticket: 8 }), await report({ to: random(16) }), random(2000)]));
    expect(c.hubs.map((h) => [h.at, h.report])).toEqual([[time * 1000, '{}']]);
  });

  it('answers to the members and to himself', async () => {
    const c = await readConversation(agent, 7, answer([]));
    const letters = await sealReply(agent, 7, c, 'Which minute?', true);
    expect(letters.map((l) => hex(l.kid))).toEqual([hex(agent.sealing.kid), hex(ann.sealing.kid)]);
    const note = parseNote(await openLetter(household, [ann.sealing], letters[1]!.body));
    await verifyNote(note, agent.sign.publicKey);
    expect(parseMessage(note)).toMatchObject({ ticket: 7, words: 'Which minute?', about: '{"v":1,"ask":"footage"}' });
  });

  it('is refused whole without a household', async () => {
    await expect(readConversation(agent, 7, { letters: [], health: [], readers: [] } as unknown as GetTicketResponse)).rejects.toMatchObject({ kind: 'verify' });
  });
});
