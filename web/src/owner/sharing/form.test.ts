import { describe, expect, it } from 'vitest';
import { hindrance, servedUntil, wholeSeconds } from './form';

describe('what is shared of a selection', () => {
  it('are the whole seconds that it touches', () => {
    expect(wholeSeconds({ from: 10_400, to: 20_001 }, 99_000)).toEqual({ from: 10_000, to: 21_000 });
    expect(wholeSeconds({ from: 10_400, to: 20_001 }, 20_500)).toEqual({ from: 10_000, to: 20_000 });
    expect(wholeSeconds({ from: 10_000, to: 20_000 }, 99_000)).toEqual({ from: 10_000, to: 20_000 });
  });

  it('is something, and at most a day', () => {
    expect(hindrance({ from: 0, to: 86_400_000 })).toBeNull();
    expect(hindrance({ from: 0, to: 86_401_000 })).toBe('too-long');
    expect(hindrance({ from: 5000, to: 5000 })).toBe('nothing');
  });

  it('works for an hour, a day, or not quite a week', () => {
    expect([servedUntil('hour', 0), servedUntil('day', 0)]).toEqual([3_600_000, 86_400_000]);
    expect(servedUntil('week', 0)).toBeLessThan(7 * 86_400_000);
  });
});
