import { describe, expect, it } from 'vitest';
import type { CameraId, Home, Preview, Result } from '../types';
import { PreviewQueue } from './preview';

const CAMERA = 'c' as CameraId;

/** A home whose previews are answered by hand; it counts how many run at once. */
function home(): { home: Home; asked: number[]; answer: (ok?: boolean) => Promise<void>; closed: number[] } {
  const asked: number[] = [];
  const closed: number[] = [];
  const open: { at: number; settle: (answer: Result<Preview>) => void }[] = [];
  const preview = (_camera: CameraId, at: number): Promise<Result<Preview>> => {
    asked.push(at);
    if (open.length > 0) throw new Error('two previews at once');
    return new Promise((settle) => open.push({ at, settle }));
  };
  const answer = async (ok = true): Promise<void> => {
    const next = open.shift();
    if (next === undefined) throw new Error('nothing was asked');
    const image = { width: 1, height: 1, close: () => closed.push(next.at) } as ImageBitmap;
    next.settle(ok ? { ok: true, value: { image, at: next.at } } : { ok: false, error: { kind: 'not-found', what: '', safe: '', next: '' } });
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { home: { preview } as unknown as Home, asked, answer, closed };
}

describe('PreviewQueue', () => {
  it('asks one at a time and skips to the newest', async () => {
    const { home: fake, asked, answer } = home();
    const shown: number[] = [];
    const queue = new PreviewQueue(fake, CAMERA, (_image, at) => shown.push(at));
    for (const at of [1, 2, 3, 4]) queue.ask(at);
    expect(asked).toEqual([1]);
    await answer();
    expect(asked).toEqual([1, 4]);
    await answer();
    expect(shown).toEqual([1, 4]);
  });

  it('closes every picture and goes on after a failure', async () => {
    const { home: fake, answer, closed } = home();
    const shown: number[] = [];
    const queue = new PreviewQueue(fake, CAMERA, (_image, at) => shown.push(at));
    queue.ask(1);
    queue.ask(2);
    await answer(false);
    await answer();
    expect([shown, closed]).toEqual([[2], [2]]);
  });

  it('shows nothing after close, and still frees what comes', async () => {
    const { home: fake, answer, closed } = home();
    const shown: number[] = [];
    const queue = new PreviewQueue(fake, CAMERA, (_image, at) => shown.push(at));
    queue.ask(1);
    queue.close();
    await answer();
    expect([shown, closed]).toEqual([[], [1]]);
  });
});
