/**
 * The committed dist is what these sources build: byte for byte, so that the
 * embedded app can be checked by whoever has the repository.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';

const WEB = join(import.meta.dirname, '..');
let fresh: string;

beforeAll(async () => {
  fresh = await mkdtemp(join(tmpdir(), 'latchkey-dist-'));
  // vitest runs with NODE_ENV=test; a build for people is made for production.
  const mode = process.env['NODE_ENV'];
  process.env['NODE_ENV'] = 'production';
  await build({ root: WEB, configFile: join(WEB, 'vite.config.ts'), logLevel: 'error', mode: 'production', build: { outDir: fresh, emptyOutDir: true } });
  if (mode !== undefined) process.env['NODE_ENV'] = mode;
});
afterAll(() => rm(fresh, { recursive: true, force: true }));

async function digests(dir: string): Promise<Record<string, string>> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pairs = await Promise.all(files.map(async (file) => [relative(dir, file), createHash('sha256').update(await readFile(file)).digest('hex')] as const));
  return Object.fromEntries(pairs.sort());
}

it('builds to exactly what is committed', async () => {
  const [built, committed] = await Promise.all([digests(fresh), digests(join(WEB, 'dist'))]);
  expect(Object.keys(built).length).toBeGreaterThan(10);
  expect(committed).toEqual(built);
});

/** What a browser needs before it can show anything but pictures: the page, its worker, and all that either loads at once. */
async function firstLoad(dir: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  const take = async (name: string): Promise<void> => {
    if (sizes.has(name)) return;
    const content = await readFile(join(dir, name));
    sizes.set(name, gzipSync(content, { level: 9 }).length);
    if (!name.endsWith('.js')) return;
    for (const [, file = ''] of content.toString().matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) await take(`assets/${file}`);
  };
  await take('index.html');
  const page = await readFile(join(dir, 'index.html'), 'utf8');
  for (const [, file = ''] of page.matchAll(/(?:src|href)="\/(assets\/[^"]+\.(?:js|css))"/g)) await take(file);
  const worker = (await readdir(join(dir, 'assets'))).find((name) => /^worker-.*\.js$/.test(name));
  expect(worker).toBeDefined();
  await take(`assets/${worker ?? ''}`);
  return sizes;
}

it('loads at most 150 kB, compressed, before the player', async () => {
  const sizes = await firstLoad(fresh);
  expect(sizes.size).toBeGreaterThan(5);
  const player = [...sizes.keys()].filter((name) => /^assets\/player-.*\.js$/.test(name));
  expect(player).toHaveLength(1);
  player.forEach((name) => sizes.delete(name));
  expect([...sizes.values()].reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(150_000);
});
