/**
 * How long a browser takes to make the capsule of one hour out of 30 days of
 * footage: real Chromium, its WebCrypto. Prints times and asserts none; what must
 * hold is the size that the specification gives.
 *
 *   LATCHKEY_BENCH=1 npx vitest run --config e2e/vitest.config.ts grant
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'playwright-core';
import { build, type Rollup } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBrowser } from './browser';
import { summary } from './latency.clock';

const GRANTS = process.env['LATCHKEY_BENCH'] !== undefined ? 200 : 5;

let browser: Browser;
/** crypto.subtle wants an origin of its own: an empty page on the loopback. */
const server = createServer((_, res) => res.setHeader('Content-Type', 'text/html').end('<!doctype html><title>grant</title>'));

beforeAll(async () => {
  browser = await startBrowser();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await browser?.close();
  server.close();
});

async function script(): Promise<string> {
  const entry = new URL('grant.page.ts', import.meta.url).pathname;
  const made = (await build({
    configFile: false, logLevel: 'error',
    build: { write: false, minify: false, target: 'esnext', lib: { entry, formats: ['iife'], name: 'measured' } },
  })) as Rollup.RollupOutput[];
  return made[0]?.output[0].code ?? '';
}

it('gives an hour of one track out of 30 days', async () => {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.addScriptTag({ content: await script() });
  const { ms, bytes, nodes } = await page.evaluate<{ ms: number[]; bytes: number; nodes: number }>(`measured.grants(${GRANTS})`);
  expect(nodes).toBeGreaterThan(0);
  expect(bytes).toBe(1158 + 68 * nodes);
  console.log(`${summary('an hour out of 30 days', ms)}; the last: ${nodes} nodes, ${bytes} bytes`);
}, 120_000);
