/**
 * Reads the clock that tools/clockcam burns into its picture off the glass:
 * whatever element of the frame is shown, at the moment it shows something new.
 */
import type { Locator, Page } from 'playwright-core';

/** A picture that was read: when it was drawn, and when the page had it. Unix milliseconds. */
export interface Reading {
  readonly capture: number;
  readonly at: number;
}

export interface Watched {
  readonly readings: readonly Reading[];
  /** Pictures whose clock did not check out. */
  readonly unreadable: number;
}

declare global {
  /** Reads the clock off a picture so many pixels wide; null when it does not check out. */
  var readClock: (source: CanvasImageSource, width: number) => number | null;
}

/** Gives `readClock` to every page that is loaded from now on. */
export const giveClockReader = (page: Page): Promise<unknown> =>
  page.addInitScript(() => {
    const small = new OffscreenCanvas(84, 6).getContext('2d', { willReadFrequently: true });
    // The inverse of clockcam's burn: squares of width/32, 28 a row, two rows,
    // each read at the middle of its three by three pixels here.
    globalThis.readClock = (source, width) => {
      const side = width / 32;
      small?.drawImage(source, 0, 0, 28 * side, 2 * side, 0, 0, 84, 6);
      const data = small?.getImageData(0, 0, 84, 6).data ?? [];
      const bit = (n: number): number => ((data[4 * ((n < 28 ? 1 : 4) * 84 + (n % 28) * 3 + 1)] ?? 0) > 127 ? 1 : 0);
      const bytes = Array.from({ length: 7 }, (_, i) => Array.from({ length: 8 }, (_, j) => bit(8 * i + j)).reduce((value, b) => value * 2 + b, 0));
      const sum = bytes.slice(0, 6).reduce((a, b) => a + b, 0) & 255;
      const time = bytes.slice(0, 6).reduce((value, byte) => value * 256 + byte, 0);
      return sum === bytes[6] && time > 0 ? time : null;
    };
  });

/**
 * Watches `frame` for some seconds. The video element is read in its frame
 * callback, the canvas whenever the browser draws: what a display adds to that
 * is its own. The page needs giveClockReader.
 */
export function watchClock(frame: Locator, seconds: number): Promise<Watched> {
  return frame.evaluate(async (element, ms) => {
    const [video, canvas] = [element.querySelector('video'), element.querySelector('canvas')];
    if (video === null || canvas === null) throw new Error('the frame has no player');
    const readings: { capture: number; at: number }[] = [];
    let unreadable = 0;
    const look = (source: CanvasImageSource, width: number): void => {
      const at = performance.timeOrigin + performance.now();
      const capture = readClock(source, width);
      if (capture === null) unreadable++;
      else if (capture !== readings.at(-1)?.capture) readings.push({ capture, at });
    };
    let over = false;
    const eachVideoFrame = (): void => {
      if (over) return;
      if (!video.hidden) look(video, video.videoWidth);
      video.requestVideoFrameCallback(eachVideoFrame);
    };
    const eachDraw = (): void => {
      if (over) return;
      if (!canvas.hidden && canvas.width > 0) look(canvas, canvas.width);
      requestAnimationFrame(eachDraw);
    };
    video.requestVideoFrameCallback(eachVideoFrame);
    requestAnimationFrame(eachDraw);
    await new Promise((resolve) => setTimeout(resolve, ms));
    over = true;
    return { readings, unreadable };
  }, seconds * 1000);
}

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
};

/** `name: median 20 ms, p95 70 ms, most 81 ms (500 values)` */
export function summary(name: string, values: readonly number[]): string {
  const ms = (q: number): string => `${quantile(values, q).toFixed(0)} ms`;
  return `${name}: median ${ms(0.5)}, p95 ${ms(0.95)}, most ${ms(1)} (${values.length} values)`;
}
