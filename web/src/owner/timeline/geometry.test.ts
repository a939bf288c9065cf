import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TimeRange } from '../types';
import { ANCHOR, bars, DAY, drag, endOf, holding, HOUR, MAX_SPAN, MIN_SPAN, near, neighbour, SECOND, startOf, timeAt, xAt, zoom, type View } from './geometry';
import { ticks } from './ticks';

const T0 = Date.UTC(2026, 10, 23, 12);
const anyView: fc.Arbitrary<View> = fc.record({
  at: fc.integer({ min: T0 - 3 * 365 * DAY, max: T0 }),
  span: fc.double({ min: MIN_SPAN, max: MAX_SPAN, noNaN: true }),
  width: fc.integer({ min: 200, max: 3000 }),
});

/** Sorted, disjoint ranges around the view. */
const rangesIn = (view: View): fc.Arbitrary<TimeRange[]> =>
  fc.array(fc.double({ min: startOf(view) - view.span, max: endOf(view) + view.span, noNaN: true }), { maxLength: 60 }).map((points) => {
    const sorted = [...new Set(points)].sort((a, b) => a - b);
    return Array.from({ length: Math.floor(sorted.length / 2) }, (_, i) => ({ from: sorted[2 * i]!, to: sorted[2 * i + 1]! }));
  });
const viewWithRanges = anyView.chain((view) => rangesIn(view).map((ranges) => ({ view, ranges })));

describe('the view', () => {
  it('puts the time shown at the anchor', () => {
    fc.assert(fc.property(anyView, (view) => { expect(xAt(view, view.at)).toBeCloseTo(view.width * ANCHOR, 2); }));
  });

  it('takes a time to a pixel and back', () => {
    fc.assert(fc.property(anyView, fc.double({ min: 0, max: 1, noNaN: true }), (view, part) => {
      const x = part * view.width;
      // Unix milliseconds leave a double about a thousandth of a millisecond.
      expect(Math.abs(xAt(view, timeAt(view, x)) - x)).toBeLessThan((0.002 / view.span) * view.width + 1e-6);
    }));
  });

  it('zooms about the anchor and stays between a second and a year', () => {
    fc.assert(fc.property(anyView, fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (view, factor) => {
      const zoomed = zoom(view, factor);
      expect(zoomed.at).toBe(view.at);
      expect(zoomed.span).toBeGreaterThanOrEqual(MIN_SPAN);
      expect(zoomed.span).toBeLessThanOrEqual(MAX_SPAN);
    }));
  });

  it('drags there and back, and never past the latest', () => {
    fc.assert(fc.property(anyView, fc.integer({ min: 0, max: 4000 }), (view, dx) => {
      const there = drag(view, dx, T0);
      expect(there.at).toBeLessThanOrEqual(view.at);
      expect(Math.abs(drag(there, -dx, T0).at - view.at)).toBeLessThan(0.01);
      expect(drag(view, -dx - 1e6, T0).at).toBeLessThanOrEqual(T0);
    }));
  });
});

describe('bars', () => {
  it('stay inside, apart and in order, and are no more than pixels', () => {
    fc.assert(fc.property(viewWithRanges, ({ view, ranges }) => {
      const drawn = bars(view, ranges);
      expect(drawn.length).toBeLessThanOrEqual(2 * view.width + 1);
      let end = -Infinity;
      for (const bar of drawn) {
        expect(bar.x).toBeGreaterThanOrEqual(0);
        expect(bar.x).toBeLessThanOrEqual(view.width);
        expect(bar.width).toBeGreaterThanOrEqual(1);
        expect(bar.x).toBeGreaterThan(end);
        end = bar.x;
      }
    }));
  });

  it('cover every range in view', () => {
    fc.assert(fc.property(viewWithRanges, ({ view, ranges }) => {
      const drawn = bars(view, ranges);
      for (const range of ranges) {
        const middle = (Math.max(range.from, startOf(view)) + Math.min(range.to, endOf(view))) / 2;
        if (range.to <= startOf(view) || range.from >= endOf(view)) continue;
        const x = xAt(view, middle);
        expect(drawn.some((bar) => bar.x - 1e-6 <= x && x <= bar.x + bar.width + 1e-6)).toBe(true);
      }
    }));
  });

  it('draw a year of minutes as few rectangles', () => {
    const minutes = Array.from({ length: 50_000 }, (_, i) => ({ from: T0 - i * 600_000, to: T0 - i * 600_000 + 60_000 })).reverse();
    expect(bars({ at: T0, span: MAX_SPAN, width: 1400 }, minutes).length).toBeLessThan(1400);
  });
});

describe('ticks', () => {
  it('are in view, in order, apart, and never crowd', () => {
    fc.assert(fc.property(anyView, (view) => {
      const drawn = ticks(view);
      expect(drawn.length).toBeLessThanOrEqual(view.width / 30 + 2);
      for (const [i, tick] of drawn.entries()) {
        expect(tick.time).toBeGreaterThanOrEqual(startOf(view));
        expect(tick.time).toBeLessThanOrEqual(endOf(view));
        expect(tick.label).not.toBe('');
        if (i > 0) expect(tick.time).toBeGreaterThan(drawn[i - 1]!.time);
      }
    }), { numRuns: 300 });
  });

  it('are there at every zoom', () => {
    for (let span = MIN_SPAN; span <= MAX_SPAN; span *= 1.7) expect(ticks({ at: T0, span, width: 1000 }).length).toBeGreaterThan(1);
  });

  it('begin days at the reader’s midnight', () => {
    for (const tick of ticks({ at: T0, span: 10 * DAY, width: 1000 })) {
      const date = new Date(tick.time);
      expect([date.getHours(), date.getMinutes(), date.getSeconds()]).toEqual([0, 0, 0]);
    }
  });
});

describe('finding', () => {
  const ranges = [{ from: 0, to: 10 * SECOND }, { from: 20 * SECOND, to: 21 * SECOND }];

  it('holds from its start to before its end', () => {
    expect(holding(ranges, 0)).toBe(ranges[0]);
    expect(holding(ranges, 10 * SECOND)).toBeUndefined();
  });

  it('meets a thin gap a few pixels off, not a far one', () => {
    const view: View = { at: 20 * SECOND, span: HOUR, width: 1000 };
    expect(near(view, ranges, xAt(view, 20 * SECOND) + 4)).toBeDefined();
    expect(near(view, ranges, xAt(view, 20 * SECOND) + 80)).toBeUndefined();
  });

  it('goes to the next and the previous event, not to the one just started', () => {
    const events = [{ from: 1000 }, { from: 60_000 }, { from: 120_000 }];
    expect(neighbour(events, 60_000, 1)).toBe(120_000);
    expect(neighbour(events, 60_000, -1)).toBe(1000);
    expect(neighbour(events, 61_000, -1)).toBe(1000);
    expect(neighbour(events, 130_000, 1)).toBeNull();
    expect(neighbour([], 5, -1)).toBeNull();
  });
});
