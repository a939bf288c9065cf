/** How long a page takes from opening its live socket to its first picture. */
import type { Page, Worker } from 'playwright-core';

/** Unix milliseconds of one load of a camera's page. */
export interface Join {
  /** the navigation began */
  readonly began: number;
  /** the worker called for a socket; NaN when it was faster than our looking */
  readonly socket: number;
  /** the first picture was there */
  readonly first: number;
}

/** Reloads `place` so many times. */
export async function watchJoins(page: Page, place: string, times: number): Promise<Join[]> {
  await page.addInitScript(noteFirstPicture);
  const joins: Join[] = [];
  for (let i = 0; i < times; i++) {
    // Elsewhere first: a hash alone would not load the page again.
    await page.goto('about:blank');
    const began = Date.now();
    const worker = page.waitForEvent('worker').then(async (w) => (await w.evaluate(noteSocket), w));
    await page.goto(place);
    const first = await page.evaluate(() => (globalThis as unknown as { firstPicture: Promise<number> }).firstPicture);
    joins.push({ began, socket: await socketOf(await worker), first });
    // Another phase of the camera's groups of pictures each time.
    await page.waitForTimeout(370);
  }
  return joins;
}

const socketOf = (worker: Worker): Promise<number> =>
  worker.evaluate(() => (globalThis as unknown as { socketAt?: number }).socketAt ?? NaN);

/** In the worker: when the first socket was asked for. */
function noteSocket(): void {
  const scope = globalThis as unknown as { socketAt?: number; WebSocket: typeof WebSocket };
  scope.WebSocket = new Proxy(scope.WebSocket, {
    construct: (target, args: ConstructorParameters<typeof WebSocket>) => {
      scope.socketAt ??= performance.timeOrigin + performance.now();
      return new target(...args);
    },
  });
}

/** In the page, before its scripts: a promise of the time of the first picture in a video element. */
function noteFirstPicture(): void {
  (globalThis as unknown as { firstPicture: Promise<number> }).firstPicture = new Promise((resolve) => {
    const seek = (): void => {
      const video = document.querySelector('video');
      if (video === null) requestAnimationFrame(seek);
      else video.requestVideoFrameCallback(() => resolve(performance.timeOrigin + performance.now()));
    };
    seek();
  });
}
