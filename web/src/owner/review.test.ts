import { describe, expect, it } from 'vitest';
import { byReason, review } from './review';
import type { Camera, CameraId, Gap, Timeline } from './types';

const camera = (id: string): Camera => ({ id: id as CameraId, name: id, mode: 'continuous', status: 'recording', error: '', tracks: {}, lastSeen: null, hub: null, granted: [] });
const gap = (from: number, to: number, rest: Partial<Gap> = {}): Gap => ({ from, to, why: 'hub-off', words: '', alarm: false, ...rest });
const timeline = (rest: Partial<Timeline>): Timeline => ({ ranges: [], gaps: [], events: [], ...rest });

describe('review', () => {
  it('puts all cameras in one list, newest first', () => {
    const items = review([
      { camera: camera('a'), timeline: timeline({ events: [{ id: '1', from: 100, to: 110, label: 'motion' }, { id: '2', from: 300, to: null, label: 'parcel' }] }) },
      { camera: camera('b'), timeline: timeline({ gaps: [gap(200, 250)] }) },
    ], 0);
    expect(items.map((item) => [item.camera.id, item.from, item.words])).toEqual([['a', 300, 'parcel'], ['b', 200, 'The hub was off'], ['a', 100, 'Motion']]);
  });

  it('leaves out quiet stretches between events, unless something is wrong with them', () => {
    const quiet = gap(0, 10, { why: 'not-recording' });
    expect(review([{ camera: camera('a'), timeline: timeline({ gaps: [quiet] }) }], 0)).toEqual([]);
    expect(review([{ camera: camera('a'), timeline: timeline({ gaps: [{ ...quiet, alarm: true }] }) }], 0)).toHaveLength(1);
  });

  it('leaves out what is not shared: it was no event, and will not be one', () => {
    expect(review([{ camera: camera('a'), timeline: timeline({ gaps: [gap(0, 10, { why: 'not-shared' })] }) }], 0)).toEqual([]);
  });

  it('keeps what reaches into the day and drops what ended before', () => {
    const gaps = [gap(50, 90), gap(95, 120)];
    expect(review([{ camera: camera('a'), timeline: timeline({ gaps }) }], 100).map((item) => item.from)).toEqual([95]);
  });
});

describe('byReason', () => {
  it('says what concerns several cameras once', () => {
    const gone = { kind: 'network', what: 'gone', safe: '', next: '' } as const;
    const lied = { kind: 'verify', what: 'lied', safe: '', next: '' } as const;
    const failures = [{ camera: camera('a'), error: gone }, { camera: camera('b'), error: lied }, { camera: camera('c'), error: gone }];
    expect(byReason(failures)).toEqual([{ error: gone, names: ['a', 'c'] }, { error: lied, names: ['b'] }]);
  });
});
