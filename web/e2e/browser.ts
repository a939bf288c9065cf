/** Real Chromium, and what the stories ask of a page. */
import AxeBuilder from '@axe-core/playwright';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { expect } from 'vitest';

const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export function startBrowser(...more: string[]): Promise<Browser> {
  return chromium.launch({ executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium', args: [...ARGS, ...more] });
}

/**
 * A page whose every complaint is kept: script errors, refused loads (the CSP
 * reports there), and requests to anybody but `origin`.
 */
export async function openPage(browser: Browser, origin: string): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`script: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && complaints.push(`console: ${message.text()}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:|^wss?:/.test(url.protocol) && url.host !== new URL(origin).host) complaints.push(`third party: ${url.href}`);
  });
  return { page, complaints };
}

export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)).toEqual([]);
}

/** A coarse picture of what the frame shows: grey values of 32 × 18 cells, from the element in use. */
export function glass(frame: Locator): Promise<number[]> {
  return frame.evaluate((element) => {
    const shown = [...element.querySelectorAll<HTMLVideoElement | HTMLCanvasElement>('video, canvas')].find((e) => e.checkVisibility() && e.clientWidth > 0);
    if (shown === undefined) return [];
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [32, 18];
    const ctx = canvas.getContext('2d', { willReadFrequently: true });
    if (ctx === null) return [];
    ctx.drawImage(shown, 0, 0, 32, 18);
    const { data } = ctx.getImageData(0, 0, 32, 18);
    return Array.from({ length: 32 * 18 }, (_, i) => ((data[4 * i] ?? 0) + (data[4 * i + 1] ?? 0) + (data[4 * i + 2] ?? 0)) / 3);
  });
}

/** The largest change of one cell, 0 to 255; 0 when nothing was shown. */
export function difference(a: readonly number[], b: readonly number[]): number {
  return a.length === 0 || a.length !== b.length ? 0 : Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0))));
}

/** A picture, not one flat colour. */
export const contrast = (cells: readonly number[]): number => (cells.length === 0 ? 0 : Math.max(...cells) - Math.min(...cells));

/** Asserts again until it holds: pictures come when they come. */
export const eventually = (check: () => Promise<void>, timeout = 30_000): Promise<void> =>
  expect.poll(() => check().then(() => 'holds', String), { timeout, interval: 250 }).toBe('holds');

/** The picture in the frame is one, and it moves. */
export async function expectMoving(frame: Locator): Promise<void> {
  await eventually(async () => expect(contrast(await glass(frame))).toBeGreaterThan(30));
  const first = await glass(frame);
  await eventually(async () => expect(difference(first, await glass(frame))).toBeGreaterThan(12));
}
