// @vitest-environment node
/** The second key of two-key grants: the values that Go is held to, and the width of what is covered. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { concat, hex, unhex } from './bytes';
import { random, verifier, signer } from './cipher';
import type { OpenEpoch } from './epoch';
import { openObject, purpose, sealingKey } from './hpke';
import { Mask, maskedEntries } from './mask';
import { child, depth, HeldTree, slotsOf } from './tree';

interface Vectors {
  household: string;
  grant: string;
  seeds: Record<string, string>;
  hub_x: string;
  m: string;
  entries: { name: string; mask: string; key: string; masked: string }[];
  mask_info: string;
  sealed_mask: string;
  mask_must_not_open: { name: string; bytes: string }[];
}
const v = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../../testkit/vectors/desk.json'), 'utf8')) as Vectors;
const info = purpose('release', unhex(v.household), unhex(v.grant));

describe('a mask', () => {
  const mask = (): Mask => new Mask(unhex(v.m));

  it('covers keys as everybody else does, and uncovers them', () => {
    expect(v.entries.length).toBeGreaterThan(1);
    for (const e of v.entries) {
      expect(hex(mask().cover(unhex(e.key), unhex(e.name)))).toBe(e.masked);
      expect(hex(mask().cover(unhex(e.masked), unhex(e.name)))).toBe(e.key);
      expect(hex(mask().cover(new Uint8Array(32), unhex(e.name)))).toBe(e.mask);
    }
  });

  it('is sealed to the hub for one grant', async () => {
    const hub = await sealingKey(unhex(v.seeds['hub x']!));
    expect(hex(hub.publicKey)).toBe(v.hub_x);
    expect(hex(concat(info, hub.kid))).toBe(v.mask_info);
    expect(hex(await openObject('LKM1', [hub], info, unhex(v.sealed_mask)))).toBe(v.m);
    const mine = await mask().seal(unhex(v.household), unhex(v.grant), hub.publicKey);
    expect(mine.length).toBe(unhex(v.sealed_mask).length);
    expect(hex(await openObject('LKM1', [hub], info, mine))).toBe(v.m);
    expect(v.mask_must_not_open.length).toBeGreaterThan(3);
    for (const bad of v.mask_must_not_open) await expect(openObject('LKM1', [hub], info, unhex(bad.bytes)), bad.name).rejects.toThrow();
  });
});

describe('what is covered', () => {
  it('is no wider than 512 seconds, and all of the stretch and nothing else', async () => {
    const [track, id, root] = [random(16), random(16), random(32)];
    const tree = new HeldTree([{ level: 0, index: 0, key: root }]);
    const epoch = { note: { epoch: id, start: 1000 }, trees: new Map([[hex(track), tree]]), verify: await verifier((await signer(random(32))).publicKey) } as unknown as OpenEpoch;
    const mask = new Mask();
    const got = maskedEntries(epoch, [{ track, from: 1000 + 700, until: 1000 + 5000 }], mask);
    const places = got.map((e) => ({ level: e.name[32]!, index: (e.name[33]! << 16) | (e.name[34]! << 8) | e.name[35]!, key: mask.cover(e.key, e.name) }));
    expect(Math.min(...places.map((p) => p.level))).toBe(8);
    const seconds = places.flatMap((p) => { const s = slotsOf(p); return Array.from({ length: s.until - s.from }, (_, i) => s.from + i); });
    expect(seconds).toEqual(Array.from({ length: 4300 }, (_, i) => 700 + i));
    for (const p of places) {
      let key = root;
      for (let level = 1; level <= p.level; level++) key = child(key, ((p.index >>> (p.level - level)) & 1) as 0 | 1);
      expect(hex(p.key)).toBe(hex(key));
      expect(hex(new HeldTree([p]).leaf(slotsOf(p).from))).toBe(hex(tree.leaf(slotsOf(p).from)));
    }
    expect(depth).toBe(17);
    expect(maskedEntries(epoch, [{ track, from: 0, until: 1000 }], mask)).toEqual([]);
    expect(maskedEntries(epoch, [{ track: random(16), from: 1700, until: 1800 }], mask)).toEqual([]);
  });
});
