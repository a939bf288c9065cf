import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { href, linkCode, parseRoute, pastedInvitation, TABS, type Route } from './route';
import type { CameraId, Kid } from './types';

const cameraId = fc.stringMatching(/^[0-9a-f]{32}$/).map((id) => id as CameraId);
const anyRoute: fc.Arbitrary<Route> = fc.oneof(
  fc.constantFrom<Route>({ page: 'home' }, { page: 'review' }, { page: 'help' }, { page: 'access' }, { page: 'add-hub' }, { page: 'add-camera' }, { page: 'people' }, { page: 'invite' }, { page: 'new-code' }, { page: 'new-keys' }),
  fc.constantFrom(...TABS).map((tab): Route => ({ page: 'settings', tab })),
  fc.nat({ max: 999_999_999 }).map((seq): Route => ({ page: 'access', seq })),
  fc.nat({ max: 999_999_999 }).map((ticket): Route => ({ page: 'help', ticket })),
  cameraId.map((id): Route => ({ page: 'person', kid: id as string as Kid })),
  cameraId.map((camera): Route => ({ page: 'camera', camera })),
  cameraId.map((change): Route => ({ page: 'add-camera', change })),
  fc.tuple(cameraId, fc.nat({ max: 4e12 })).map(([camera, at]): Route => ({ page: 'camera', camera, at })),
);

describe('routes', () => {
  it('survive their own address', () => {
    fc.assert(fc.property(anyRoute, (route) => { expect(parseRoute(href(route))).toEqual(route); }));
  });

  it('are home for anything unknown, and nothing throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseRoute('#' + text)));
    for (const hash of ['', '#', '#/', '#/nonsense', '#/camera/xyz', '#/camera/', '#recover=ABC', '#join=ABC']) expect(parseRoute(hash)).toEqual({ page: 'home' });
    expect(parseRoute('#/settings/bogus')).toEqual({ page: 'settings', tab: 'cameras' });
  });

  it('drop a time that is none', () => {
    const id = 'a'.repeat(32);
    expect(parseRoute(`#/camera/${id}?at=12x`)).toEqual({ page: 'camera', camera: id });
  });
});

describe('linkCode', () => {
  it('reads the code of a link, encoded or not', () => {
    expect(linkCode('#recover=ABCD-EFGH')).toEqual({ kind: 'recover', code: 'ABCD-EFGH' });
    expect(linkCode('#join=AB%20CD')).toEqual({ kind: 'join', code: 'AB CD' });
    expect(linkCode('#recover=%E0%A4%A')?.code).toBe('%E0%A4%A');
  });
  it('is null elsewhere', () => {
    for (const hash of ['', '#', '#/recover', '#recover=', '#join=', '#x#recover=1', '#/people?join=1']) expect(linkCode(hash)).toBeNull();
  });
});

describe('pastedInvitation', () => {
  it('takes the link or the code alone', () => {
    expect(pastedInvitation(' https://cam.example/#join=ABCD-EFGH\n')).toBe('ABCD-EFGH');
    expect(pastedInvitation(' abcd efgh ')).toBe('abcd efgh');
    expect(pastedInvitation('https://cam.example/#/people')).toBe('https://cam.example/#/people');
  });
});
