/** One jump of a camera's page to a moment of the past, as its own links do it. */
import type { Page } from 'playwright-core';

export interface Jump {
  /** Unix milliseconds that were asked for. */
  readonly at: number;
  /** From asking to the picture of that moment. */
  readonly ms: number;
  /** What the clock in that picture is ahead of what was asked, within the minute. */
  readonly off: number;
  /** Pictures of other moments that were shown in between. */
  readonly wrong: number;
}

/**
 * Asks the camera's page for `at` and waits for its picture, at most 20 s (then
 * `ms` is NaN and `off` a whole minute). `at` must be at another second of its
 * minute than what is shown: the clock in the picture tells no more.
 */
export async function jumpTo(page: Page, camera: string, at: number): Promise<Jump> {
  const got = await page.evaluate(
    ({ hash, target }) => {
      const began = performance.now();
      location.hash = hash;
      const video = document.querySelector('video');
      if (video === null) throw new Error('the page shows no camera');
      return new Promise<{ ms: number; off: number; wrong: number }>((resolve) => {
        let [wrong, emptied] = [0, false];
        video.addEventListener('emptied', () => (emptied = true), { once: true });
        const limit = setTimeout(() => resolve({ ms: NaN, off: 60_000, wrong }), 20_000);
        const each = (): void => {
          const now = performance.now();
          const clock = readClock(video, video.videoWidth) ?? -30_000;
          const off = ((((clock - target) % 60_000) + 90_000) % 60_000) - 30_000;
          if (Math.abs(off) <= 500) {
            clearTimeout(limit);
            resolve({ ms: now - began, off, wrong });
            return;
          }
          if (emptied) wrong++;
          video.requestVideoFrameCallback(each);
        };
        video.requestVideoFrameCallback(each);
      });
    },
    { hash: `#/camera/${camera}?at=${at}`, target: at },
  );
  await page.waitForTimeout(300);
  return { at, ...got };
}
