// @vitest-environment node
/** A link's secret, fragment, MAC and words: the values and refusals that Go is held to. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { hex, unhex, utf8 } from './bytes';
import { H } from './hash';
import { isToPerson, Link } from './link';

interface Vectors {
  readonly fragment: string;
  readonly person_fragment: string;
  readonly reject_fragments: readonly { name: string; fragment: string }[];
  readonly kid: string;
  readonly x: string;
  readonly text: string;
  readonly mac: string;
  readonly words: readonly { from: string; camera: string; note: string; zone: string; policy: string; sealed: string }[];
  readonly reject: readonly { name: string; sealed: string }[];
}

const v = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../../testkit/vectors/link.json'), 'utf8')) as Vectors;

describe('link', () => {
  it('has the key, the MAC and the fragment of its secret', async () => {
    const link = await Link.parse(v.fragment);
    expect(link.reveal()).toBe(v.fragment);
    expect([v.fragment, v.person_fragment, ...v.reject_fragments.map((r) => r.fragment)].filter(isToPerson)).toEqual([v.person_fragment]);
    expect(hex(link.kid)).toBe(v.kid);
    expect(hex(link.sealing.publicKey)).toBe(v.x);
    expect(hex(link.mac(H(utf8(v.text))))).toBe(v.mac);
  });

  it.each(v.reject_fragments)('refuses the fragment: $name', async ({ fragment }) => {
    await expect(Link.parse(fragment)).rejects.toMatchObject({ kind: 'verify' });
  });

  it('reads the words, and none in another form', async () => {
    const link = await Link.parse(v.fragment);
    expect(v.words.length).toBeGreaterThan(2);
    for (const w of v.words) {
      const policy = unhex(w.policy);
      const words = { from: w.from, camera: w.camera, note: w.note, zone: w.zone, policy };
      expect(await link.openWords(unhex(w.sealed))).toEqual(words);
      expect(await link.openWords(await link.sealWords(words))).toEqual(words);
    }
  });

  it.each(v.reject)('refuses the words: $name', async ({ sealed }) => {
    const link = await Link.parse(v.fragment);
    await expect(link.openWords(unhex(sealed))).rejects.toMatchObject({ kind: 'verify' });
  });

  it('is drawn anew each time, and nobody else reads its words', async () => {
    const [one, other] = [await Link.fresh(), await Link.fresh()];
    expect(one.reveal()).not.toBe(other.reveal());
    const sealed = await one.sealWords({ from: 'Ann', camera: 'Porch', note: '', zone: 'UTC', policy: H() });
    await expect(other.openWords(sealed)).rejects.toMatchObject({ kind: 'verify' });
    await expect(one.sealWords({ from: 'Ann', camera: 'Porch', note: 'x'.repeat(5000), zone: 'UTC', policy: H() })).rejects.toMatchObject({ kind: 'verify' });
  });
});
