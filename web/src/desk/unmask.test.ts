import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Bytes, hex, unhex, view } from '../crypto/bytes';
import { sealingKey } from '../crypto/hpke';
import { entryName, Masked } from './unmask';

interface Vectors {
  readonly household: string;
  readonly grant: string;
  readonly agent_x: string;
  readonly seeds: Readonly<Record<string, string>>;
  readonly entries: readonly { readonly name: string; readonly mask: string; readonly key: string; readonly masked: string }[];
  readonly released: string;
  readonly released_must_not_open: readonly { readonly name: string; readonly bytes: string }[];
}
const v = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../../testkit/vectors/desk.json'), 'utf8')) as Vectors;

function entryOf(name: string, key: string): { epoch: Bytes; track: Bytes; level: number; index: number; key: Bytes } {
  const b = unhex(name);
  const place = view(b).getUint32(32);
  return { epoch: b.slice(0, 16), track: b.slice(16, 32), level: place >>> 24, index: place & 0xffffff, key: unhex(key) };
}
async function masked(entries = v.entries): Promise<Masked> {
  return new Masked(unhex(v.household), unhex(v.grant), await sealingKey(unhex(v.seeds['agent x']!)), entries.map((e) => entryOf(e.name, e.masked)));
}

describe('a two-key grant', () => {
  it('gives the keys that a hub has released, and no other', async () => {
    const { entries, stray } = await (await masked()).unmask(unhex(v.released));
    expect(entries.map((e) => [hex(entryName(e)), hex(e.key)])).toEqual(v.entries.map((e) => [e.name, e.key]));
    expect(stray).toBe(0);
  });

  it('drops what is not of the grant, and counts it', async () => {
    const { entries, stray } = await (await masked(v.entries.slice(1))).unmask(unhex(v.released));
    expect([entries.length, stray]).toEqual([v.entries.length - 1, 1]);
  });

  it.each(v.released_must_not_open)('does not open: $name', async ({ bytes }) => {
    await expect((await masked()).unmask(unhex(bytes))).rejects.toMatchObject({ kind: 'verify' });
  });

  it('asks for the entries that meet the seconds, and for none of an epoch that is not known', async () => {
    const m = await masked();
    const all = m.within(() => 0, 0, 2 ** 18);
    expect(all.map((e) => hex(entryName(e)))).toEqual(v.entries.map((e) => e.name).sort());
    expect(m.within(() => null, 0, 2 ** 18)).toEqual([]);
    expect(m.within(() => 2 ** 18, 0, 2 ** 18)).toEqual([]);
    m.close();
    expect(all.every((e) => e.key.every((x) => x === 0))).toBe(true);
  });
});
