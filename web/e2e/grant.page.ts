/** What grant.e2e.ts measures, in the browser: one hour of one track out of 30 days, as the share page gives it. */
import { random } from '../src/crypto/cipher';
import type { OpenEpoch } from '../src/crypto/epoch';
import { entriesOf, inOrder, sealEntries } from '../src/crypto/giving';
import { hex } from '../src/crypto/bytes';
import { newSealingKey } from '../src/crypto/hpke';
import { HeldTree } from '../src/crypto/tree';

const day = 86_400;
const days = 30;

/** Times of so many grants in milliseconds, and what the last capsule was. */
export async function grants(n: number): Promise<{ readonly ms: number[]; readonly bytes: number; readonly nodes: number }> {
  const [household, track, to] = [random(16), random(16), await newSealingKey()];
  const epochs = Array.from({ length: days }, (_, i): OpenEpoch => {
    const note = { start: i * day, epoch: random(16) };
    return { note, trees: new Map([[hex(track), new HeldTree([{ level: 0, index: 0, key: random(32) }])]]) } as unknown as OpenEpoch;
  });
  const ms: number[] = [];
  let [bytes, nodes] = [0, 0];
  for (let i = 0; i < n; i++) {
    // Another hour each time, so that no tree has its nodes from the one before.
    const from = Math.floor(Math.random() * (days * day - 3600));
    const began = performance.now();
    const entries = inOrder(epochs.flatMap((e) => entriesOf(e, [{ track, from, until: from + 3600 }])));
    const capsule = await sealEntries(household, random(16), to.publicKey, entries);
    ms.push(performance.now() - began);
    [bytes, nodes] = [capsule.length, entries.length];
  }
  return { ms, bytes, nodes };
}
