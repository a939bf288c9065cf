// @vitest-environment node
import { expect, it } from 'vitest';
import { Failure } from '../crypto/failure';
import { TileCache } from './tilecache';

function counted(): { asked: string[]; cache: TileCache; fail: { on: boolean } } {
  const asked: string[] = [];
  const fail = { on: false };
  const cache = new TileCache((path) => {
    asked.push(path);
    return fail.on ? Promise.reject(new Failure('network', path)) : Promise.resolve(new Uint8Array([asked.length]));
  });
  return { asked, cache, fail };
}

it('asks once for what never changes, and each time for the checkpoint', async () => {
  const { asked, cache } = counted();
  const [a, b] = await Promise.all([cache.fetch('tile/0/000'), cache.fetch('tile/0/000')]);
  expect(a).toBe(b);
  await cache.fetch('checkpoint');
  await cache.fetch('checkpoint');
  expect(asked).toEqual(['tile/0/000', 'checkpoint', 'checkpoint']);
  cache.forget();
  await cache.fetch('tile/0/000');
  expect(asked).toHaveLength(4);
});

it('keeps no failure', async () => {
  const { asked, cache, fail } = counted();
  fail.on = true;
  await expect(cache.fetch('tile/0/000')).rejects.toMatchObject({ kind: 'network' });
  fail.on = false;
  await cache.fetch('tile/0/000');
  expect(asked).toHaveLength(2);
});

it('keeps those used last, and only so many', async () => {
  const { asked, cache } = counted();
  for (let i = 0; i < 512; i++) await cache.fetch(`tile/0/${i}`);
  await cache.fetch('tile/0/0');
  await cache.fetch('tile/0/512');
  await cache.fetch('tile/0/0');
  expect(asked).toHaveLength(513);
  await cache.fetch('tile/0/1');
  expect(asked).toHaveLength(514);
});
