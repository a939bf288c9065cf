import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytes, day, fromField, lag, span, startOfDay, toField } from './when';

const noon = new Date(2026, 10, 23, 12).getTime();

describe('when', () => {
  it('tells a length in words', () => {
    expect([0, 8400, 60_000, 185_000, 7_800_000, 72 * 3_600_000].map(span)).toEqual(['0 s', '8 s', '1 min', '3 min 5 s', '2 h 10 min', '3 days']);
    expect([0, 120, 9960, 12_000].map(lag)).toEqual(['0.0 s', '0.1 s', '10.0 s', '12 s']);
  });
  it('tells bytes as disks are sold', () => {
    expect([0, 999, 1000, 4_200_000, 812_000_000, 20e9].map(bytes)).toEqual(['0 B', '999 B', '1.0 kB', '4.2 MB', '812 MB', '20.0 GB']);
  });
  it('knows today and yesterday by the reader’s midnight', () => {
    const midnight = startOfDay(noon);
    expect(day(midnight, noon)).toBe('Today');
    expect(day(midnight - 1, noon)).toBe('Yesterday');
    expect(day(startOfDay(midnight - 1) - 1, noon)).not.toMatch(/day$/);
  });
  it('fills a field with a second and reads it back', () => {
    fc.assert(fc.property(fc.integer({ min: 946_684_800, max: 4_102_444_800 }), (seconds) => {
      // An hour that comes twice in the autumn is read as one of the two.
      expect([0, 3600_000]).toContain(Math.abs((fromField(toField(seconds * 1000)) ?? NaN) - seconds * 1000));
    }));
    expect(fromField('')).toBeNull();
    expect(fromField('2026-13-01T')).toBeNull();
  });
});
