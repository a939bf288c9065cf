import { describe, expect, it } from 'vitest';
import { between, length, moment, otherZone } from './when';

const noon = Date.UTC(2026, 10, 3, 12, 0, 9);
const here = Intl.DateTimeFormat().resolvedOptions().timeZone;

describe('times for somebody who may be elsewhere', () => {
  it('name the camera’s zone only where it shows other times', () => {
    expect(otherZone(here, noon)).toBeNull();
    expect(otherZone('', noon)).toBeNull();
    expect(otherZone('Nowhere/Land', noon)).toBeNull();
    const far = ['Asia/Tokyo', 'America/Lima'].filter((zone) => between(noon, noon, zone) !== between(noon, noon));
    expect(far.length).toBeGreaterThan(0);
    for (const zone of far) expect(otherZone(zone, noon)).toBe(zone);
  });

  it('are to the second, with both days where they differ', () => {
    expect(between(noon, noon + 51_000, 'UTC')).toMatch(/12:00:09 – 12:01:00$/);
    expect(between(noon, noon + 86_400_000, 'UTC').split('–').every((side) => side.includes('2026'))).toBe(true);
    expect(moment(noon)).toMatch(/2026, \d\d:\d\d$/);
  });

  it('say how long', () => {
    expect([0, 6000, 60_000, 63_000, 3_600_000, 5_400_000].map(length)).toEqual(['0 s', '6 s', '1 min', '1 min 3 s', '1 h', '1 h 30 min']);
  });
});
