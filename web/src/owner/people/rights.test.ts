import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Camera, CameraId, Rights } from '../types';
import { leftOf, toHistory } from './invite-form';
import { empty, rightsWords, sameRights, sight, sightWords, toForm, toRights } from './rights';

const id = (n: number): CameraId => n.toString(16).padStart(32, '0') as CameraId;
const camera = (n: number, name: string, sound = true): Camera => ({
  id: id(n), name, mode: 'continuous', status: 'recording', error: '', lastSeen: null, hub: null, granted: [],
  tracks: sound ? { audio: { track: 't' as never, codec: '', width: 0, height: 0, fps: 0, kbps: 0 } } : {},
});
const porch = camera(1, 'Porch');
const gate = camera(2, 'Gate', false);
const anyRights: fc.Arbitrary<Rights> = fc.oneof(
  fc.constant<Rights>({ all: true }),
  fc.uniqueArray(fc.record({ camera: fc.nat({ max: 9 }).map(id), sound: fc.boolean() }), { selector: (c) => c.camera }).map((cameras): Rights => ({ all: false, cameras })),
);

describe('rights', () => {
  it('survive their form', () => {
    fc.assert(fc.property(anyRights, (rights) => { expect(sameRights(toRights(toForm(rights)), rights)).toBe(true); }));
  });

  it('are the same in any order, and not by chance', () => {
    const a: Rights = { all: false, cameras: [{ camera: id(1), sound: true }, { camera: id(2), sound: false }] };
    expect(sameRights(a, { all: false, cameras: [...a.cameras].reverse() })).toBe(true);
    expect(sameRights(a, { all: false, cameras: [{ camera: id(1), sound: false }, { camera: id(2), sound: false }] })).toBe(false);
    expect(sameRights(a, { all: true })).toBe(false);
    expect(sameRights({ all: false, cameras: [] }, { all: true })).toBe(false);
  });

  it('are told in words: sound only where there is some', () => {
    const some: Rights = { all: false, cameras: [{ camera: id(1), sound: false }, { camera: id(2), sound: true }] };
    expect([sight(some, id(1)), sight(some, id(2)), sight(some, id(3)), sight({ all: true }, id(3))]).toEqual(['picture', 'both', 'none', 'both']);
    expect([sightWords(some, porch), sightWords(some, gate), sightWords({ all: true }, porch)]).toEqual(['Picture only', 'Picture', 'Picture and sound']);
    expect(rightsWords(some, [porch, gate])).toBe('Porch, Gate');
    expect(rightsWords({ all: true }, [porch])).toBe('All cameras, also those added later');
    expect(rightsWords({ all: false, cameras: [] }, [porch])).toBe('Sees no camera');
  });

  it('are empty when nothing that can be seen is ticked', () => {
    expect(empty({ all: false, chosen: { [id(9)]: true } }, [porch])).toBe(true);
    expect(empty({ all: false, chosen: { [id(1)]: false } }, [porch])).toBe(false);
    expect(empty({ all: true, chosen: {} }, [])).toBe(false);
  });
});

describe('an invitation’s form', () => {
  it('reads how far back', () => {
    expect((['none', '7', '30', 'all'] as const).map(toHistory)).toEqual(['none', { days: 7 }, { days: 30 }, 'all']);
  });

  it('counts down to nothing', () => {
    expect([900_000, 899_001, 61_000, 59_999, 1, 0, -5].map(leftOf)).toEqual(['15:00', '15:00', '1:01', '1:00', '0:01', '0:00', '0:00']);
  });
});
