// @vitest-environment node
/** Letting in a hub, also one whose first answer got lost. */
import { beforeEach, describe, expect, it } from 'vitest';
import { type Bytes, concat, hex, utf8 } from './bytes';
import { random, signer } from './cipher';
import { Code } from './code';
import { beginFounding, found } from './founding';
import { newSealingKey } from './hpke';
import { sendOffer, takeAnswer } from './mail';
import type { Member } from './member';
import { type Offer, openAnswer, sealOffer } from './pairing';
import { pairHub } from './pairhub';
import { TestServer } from './testserver';

const never = new AbortController().signal;
let server: TestServer;
let ann: Member;

beforeEach(async () => {
  server = new TestServer();
  ann = await found(server.browser(), await beginFounding(server.browser().api, 'Elm Street 4', 'Ann'));
});

const hubOffer = (ed: Bytes, x: Bytes): Offer => ({
  role: 'hub', ed, x, recovery: null, bytes: concat(utf8('LKO1'), new Uint8Array([1]), ed, x, new Uint8Array(32), random(16)),
});

async function offered(): Promise<Offer> {
  return hubOffer((await signer(random(32))).publicKey, (await newSealingKey()).publicKey);
}

/** The hub's side of one code, and the admin's. */
async function pairs(offer: Offer, code = Code.fresh()): Promise<{ seq: number; kid: string; steps: string[] }> {
  const { api } = server.browser();
  const steps: string[] = [];
  await sendOffer(api, code, sealOffer(code, offer));
  const kid = await pairHub(ann, code, (s) => void steps.push(s), never);
  const mail = await takeAnswer(api, code, Date.now() + 1000, never);
  if (mail === null) throw new Error('no answer');
  const answer = openAnswer(code, offer, mail);
  expect(hex(answer.household)).toBe(hex(ann.household));
  expect(hex(answer.hash)).toBe(hex(ann.chain.at(answer.seq)!.hash));
  return { seq: answer.seq, kid, steps };
}

describe('a hub', () => {
  it('is signed in, and told where', async () => {
    const offer = await offered();
    const { seq, kid, steps } = await pairs(offer);
    expect(seq).toBe(1);
    expect(steps).toEqual(['waiting', 'found', 'checked', 'signed', 'paired']);
    expect([...ann.chain.head.hubs.keys()]).toEqual([kid]);
  });

  it('that comes again with the same keys is shown the statement that stands', async () => {
    const offer = await offered();
    const first = await pairs(offer);
    await pairs(await offered());
    const again = await pairs(hubOffer(offer.ed, offer.x));
    expect([again.seq, again.kid]).toEqual([first.seq, first.kid]);
    expect(ann.chain.length).toBe(3);
  });

  it('with the identity of one and another sealing key is not let in', async () => {
    const offer = await offered();
    await pairs(offer);
    await expect(pairs(hubOffer(offer.ed, (await newSealingKey()).publicKey))).rejects.toMatchObject({ kind: 'verify' });
    expect(ann.chain.length).toBe(2);
  });
});
