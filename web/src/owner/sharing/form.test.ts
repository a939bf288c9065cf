import { describe, expect, it } from 'vitest';
import type { CameraId, Person } from '../types';
import { hindrance, seesByRight, servedUntil, stretchAhead, wholeSeconds } from './form';

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

describe('what is shared ahead', () => {
  it('begins now, ends after the length, and is served for 30 days more', () => {
    expect(stretchAhead('threeDays', 5_400)).toEqual({ from: 5_000, to: 5_000 + 3 * 86_400_000, served: 5_000 + 33 * 86_400_000 });
  });

  it('is for who does not see the camera anyway', () => {
    const person = (rights: Person['rights']): Person => ({ kid: 'k' as Person['kid'], name: 'Sam', role: 'viewer', rights, me: false, removable: true, newKeys: null });
    const of = (id: string): boolean => seesByRight(person({ all: false, cameras: [{ camera: 'a' as CameraId, sound: true }] }), id as CameraId);
    expect([of('a'), of('b'), seesByRight(person({ all: true }), 'b' as CameraId)]).toEqual([true, false, true]);
  });
});
