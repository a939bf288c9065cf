import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gap, Timeline, TimeRange } from '../types';
import { EMPTY, freshen } from './merge';

const gap = (from: number, to: number, words = 'w'): Gap => ({ from, to, why: 'hub-off', words, alarm: false });

/** Membership of each second 0..99, the plain way. */
const seconds = (ranges: readonly TimeRange[]): boolean[] => Array.from({ length: 100 }, (_, s) => ranges.some((r) => r.from <= s && s < r.to));
const disjoint = fc.uniqueArray(fc.nat({ max: 99 }), { maxLength: 12 }).map((points) => {
  const sorted = points.sort((a, b) => a - b);
  return Array.from({ length: Math.floor(sorted.length / 2) }, (_, i) => ({ from: sorted[2 * i]!, to: sorted[2 * i + 1]! }));
});

describe('freshen', () => {
  it('says inside the window what is fresh and outside what was known', () => {
    fc.assert(fc.property(disjoint, disjoint, fc.nat({ max: 99 }), fc.nat({ max: 99 }), (old, fresh, a, b) => {
      const window = { from: Math.min(a, b), to: Math.max(a, b) };
      const merged = freshen({ ...EMPTY, ranges: old }, { ...EMPTY, ranges: fresh }, window);
      const [was, is, got] = [seconds(old), seconds(fresh), seconds(merged.ranges)];
      got.forEach((value, s) => expect(value).toBe(window.from <= s && s < window.to ? is[s] : was[s]));
      for (const [i, range] of merged.ranges.entries()) {
        if (i > 0) expect(range.from).toBeGreaterThan(merged.ranges[i - 1]!.to);
      }
    }));
  });

  it('lengthens what goes on, without a seam', () => {
    const old: Timeline = { ranges: [{ from: 0, to: 50 }], gaps: [], events: [] };
    expect(freshen(old, { ...EMPTY, ranges: [{ from: 0, to: 60 }] }, { from: 40, to: 60 }).ranges).toEqual([{ from: 0, to: 60 }]);
  });

  it('replaces an unexplained gap when its reason arrives, and joins only equal ones', () => {
    const old: Timeline = { ...EMPTY, gaps: [gap(0, 20, 'a'), { ...gap(30, 40), why: 'missing', alarm: true }] };
    const merged = freshen(old, { ...EMPTY, gaps: [gap(20, 25, 'a'), gap(30, 40, 'b')] }, { from: 20, to: 50 });
    expect(merged.gaps).toEqual([gap(0, 25, 'a'), gap(30, 40, 'b')]);
  });

  it('ends an event that was still going on', () => {
    const old: Timeline = { ...EMPTY, events: [{ id: 'x', from: 10, to: null, label: 'motion' }] };
    const merged = freshen(old, { ...EMPTY, events: [{ id: 'x', from: 10, to: 30, label: 'motion' }] }, { from: 20, to: 50 });
    expect(merged.events).toEqual([{ id: 'x', from: 10, to: 30, label: 'motion' }]);
  });
});
