import { describe, expect, it } from 'vitest';
import type { CameraId, Home, Result, Timeline } from '../types';
import { TimelineData } from './data.svelte';
import { HOUR, MINUTE, type View } from './geometry';
import { EMPTY } from './merge';

const CAMERA = 'c' as CameraId;
const NOW = Date.now();
const view = (rest: Partial<View> = {}): View => ({ at: NOW, span: HOUR, width: 1000, ...rest });

/** A home whose timelines are answered by hand. */
function home(): { home: Home; asked: [number, number][]; answer: (value: Partial<Timeline> | null) => Promise<void> } {
  const asked: [number, number][] = [];
  const open: ((answer: Result<Timeline>) => void)[] = [];
  const timeline = (_camera: CameraId, from: number, to: number): Promise<Result<Timeline>> => {
    asked.push([from, to]);
    return new Promise((settle) => open.push(settle));
  };
  const answer = async (value: Partial<Timeline> | null): Promise<void> => {
    const settle = open.shift();
    if (settle === undefined) throw new Error('nothing was asked');
    settle(value === null ? { ok: false, error: { kind: 'network', what: 'No line.', safe: '', next: '' } } : { ok: true, value: { ...EMPTY, ...value } });
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { home: { timeline } as unknown as Home, asked, answer };
}

describe('TimelineData', () => {
  it('asks wider than the view, never past now, and not again while the view stays inside', async () => {
    const { home: fake, asked, answer } = home();
    const data = new TimelineData(fake, CAMERA);
    data.want(view(), NOW);
    const [from, to] = asked[0] ?? [0, 0];
    expect(to).toBe(NOW);
    expect(from).toBeLessThan(NOW - HOUR);
    await answer({});
    for (let i = 0; i < 20; i++) data.want(view({ at: NOW - i * MINUTE }), NOW);
    expect(asked).toHaveLength(1);
    data.want(view({ at: NOW - 5 * HOUR }), NOW);
    expect(asked).toHaveLength(2);
  });

  it('asks anew when zoomed in on what came without reasons, until they are there', async () => {
    const { home: fake, asked, answer } = home();
    const data = new TimelineData(fake, CAMERA);
    data.want(view({ span: 1000 * HOUR }), NOW);
    await answer({ coarse: true });
    data.want(view({ span: 900 * HOUR }), NOW);
    expect(asked).toHaveLength(1);
    data.want(view({ span: 10 * HOUR }), NOW);
    expect(asked).toHaveLength(2);
    await answer({ coarse: false });
    data.want(view({ span: HOUR }), NOW);
    expect(asked).toHaveLength(2);
  });

  it('asks one at a time, the newest view next', async () => {
    const { home: fake, asked, answer } = home();
    const data = new TimelineData(fake, CAMERA);
    for (const hours of [0, 10, 20, 30]) data.want(view({ at: NOW - hours * HOUR }), NOW);
    expect(asked).toHaveLength(1);
    await answer({});
    expect(asked).toHaveLength(2);
    expect(asked[1]?.[0]).toBeLessThan(NOW - 30 * HOUR);
  });

  it('does not hammer a line that is down, and says so', async () => {
    const { home: fake, asked, answer } = home();
    const data = new TimelineData(fake, CAMERA);
    data.want(view(), NOW);
    await answer(null);
    expect(data.error?.what).toBe('No line.');
    for (let i = 0; i < 50; i++) data.want(view(), Date.now());
    expect(asked).toHaveLength(1);
    data.want(view(), Date.now() + 10_000);
    expect(asked).toHaveLength(2);
    await answer({});
    expect(data.error).toBeNull();
  });

  it('keeps the end fresh', async () => {
    const { home: fake, asked, answer } = home();
    const data = new TimelineData(fake, CAMERA);
    data.want(view(), NOW);
    await answer({ ranges: [{ from: NOW - HOUR, to: NOW }] });
    const later = NOW + 10_000;
    const tail = data.tail(later);
    expect(asked[1]).toEqual([NOW - 3 * MINUTE, later]);
    await answer({ ranges: [{ from: NOW - 3 * MINUTE, to: later }] });
    await tail;
    expect(data.timeline.ranges).toEqual([{ from: NOW - HOUR, to: later }]);
  });
});
