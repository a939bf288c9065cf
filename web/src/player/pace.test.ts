import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jumpBehind, KeepUp, liveStep, maxRate, overHole, rangeAt } from './pace';

describe('liveStep', () => {
  const one = [{ start: 0, end: 100 }];

  it('jumps when more than a second behind, to just before the edge', () => {
    const step = liveStep(one, 98, 1, false);
    expect(step?.kind).toBe('jump');
    expect(step?.kind === 'jump' && step.to).toBeGreaterThan(99.9);
  });

  it('hurries a little when behind, waits a little when too close, else plays as it is', () => {
    expect(liveStep(one, 99.5, 1, false)).toEqual({ kind: 'rate', rate: maxRate });
    expect(liveStep(one, 99.99, 1, false)).toEqual({ kind: 'rate', rate: 0.95 });
    expect(liveStep(one, 99.925, 1, false)).toEqual({ kind: 'rate', rate: 1 });
  });

  it('gives sound a longer buffer', () => {
    expect(liveStep(one, 99.75, 1, true)).toEqual({ kind: 'rate', rate: 1 });
    expect(liveStep(one, 99.75, 1, false)).not.toEqual({ kind: 'rate', rate: 1 });
  });

  it('ends within the target from any lag, and never asks for more than the highest rate', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.001, max: 30, noNaN: true }), (lag) => {
        let end = 100;
        let at = end - lag;
        let rate = 1;
        for (let i = 0; i < 400; i++) {
          const step = liveStep([{ start: 0, end }], at, rate, false);
          if (step?.kind === 'jump') at = step.to;
          else if (step !== null) rate = step.rate;
          expect(rate).toBeLessThanOrEqual(maxRate);
          end += 0.05;
          at = Math.min(end, at + 0.05 * rate);
        }
        expect(end - at).toBeLessThanOrEqual(0.11);
        expect(end - at).toBeLessThan(jumpBehind);
      }),
    );
  });

  it('does nothing without a buffer', () => {
    expect(liveStep([], 0, 1, false)).toBeNull();
  });
});

describe('holes', () => {
  const two = [{ start: 0, end: 10 }, { start: 12, end: 20 }];

  it('finds the range that plays, not the last one', () => {
    expect(rangeAt(two, 5)).toEqual(two[0]);
    expect(rangeAt(two, 11)).toBeNull();
  });

  it('goes on after a hole, from its edge or from inside it', () => {
    expect(overHole(two, 9.95)).toEqual(two[1]);
    expect(overHole(two, 11)).toEqual(two[1]);
  });

  it('waits where there is something left, or nothing more', () => {
    expect(overHole(two, 5)).toBeNull();
    expect(overHole(two, 19.9)).toBeNull();
  });
});

describe('KeepUp', () => {
  function fed(lags: readonly number[], droppedEach: number): KeepUp {
    const k = new KeepUp();
    lags.forEach((l, i) => { k.shown(l, i + 1, Math.floor(i * droppedEach)); });
    return k;
  }
  const steady = Array.from({ length: 80 }, () => 20);

  it('is content with a steady decoder, also when its burst was dropped', () => {
    const k = fed(steady, 0);
    expect([k.measured, k.good, k.median]).toEqual([true, true, 20]);
    const burst = new KeepUp();
    steady.forEach((l, i) => { burst.shown(l, i + 60, 55); });
    expect(burst.good).toBe(true);
  });

  it('notices a growing lag and dropped pictures', () => {
    expect(fed(steady.map((l, i) => l + i * 20), 0).good).toBe(false);
    expect(fed(steady, 0.5).good).toBe(false);
  });
});
