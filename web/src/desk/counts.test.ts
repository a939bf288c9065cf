import { describe, expect, it } from 'vitest';
import { by, byHour, byRule } from './figures';
import { diagnose, readHealth, trackWords } from './health';
import { columns, findMark, lines, pattern, strength, surely } from './hidden';
import { isStaffName, parseInvitation } from './join';
import { markPlace, markText, rows } from './mark';
import type { Decision } from './messages';
import { fieldOf, firstMinute, timeIn, withinGrant } from './span';

const now = 1_790_000_000_000;

describe('a hub’s report', () => {
  const camera = { camera: 'c'.repeat(32), mode: 'always', status: 'recording', error: '', since: 0, lost: 0, tracks: [] };
  const hub = { at: now / 1000, version: 'devel', started: 1, clock: 'synced', uplink: 'connected', spool_parts: 0, spool_bytes: 0, spool_limit: 100, backlog_from: 0, backlog_to: 0, cameras: [camera] };
  const found = (change: object, at = now): string[] => diagnose(readHealth(JSON.stringify({ ...hub, ...change }))!, at, now).map((d) => `${d.kind}${d.camera === '' ? '' : ' c'}`);

  it.each<[string, object, string[]]>([
    ['nothing', {}, []],
    ['a clock at the limit', { clock_off: -10 }, []],
    ['a clock beyond it', { clock_off: -11 }, ['clock']],
    ['footage that waits', { backlog_from: 1000, backlog_to: 1091 }, ['line']],
    ['a full store', { spool_bytes: 81 }, ['disk']],
    ['a camera that is away', { cameras: [{ ...camera, error: 'unreachable' }] }, ['offline c']],
    ['a wrong password', { cameras: [{ ...camera, error: 'wrong-password' }] }, ['password c']],
    ['no stream', { cameras: [{ ...camera, error: 'no-media' }] }, ['codec c']],
    ['no picture', { cameras: [{ ...camera, error: 'no-picture' }] }, ['picture c']],
    ['an error that is new', { cameras: [{ ...camera, error: 'constructor' }] }, []],
    ['packets', { cameras: [{ ...camera, lost: 101 }] }, ['loss c']],
    ['H.265', { cameras: [{ ...camera, tracks: [{ kind: 'video', codec: 'hvc1.1', kbps: 4 }] }] }, ['codec c']],
  ])('points to: %s', (_, change, want) => {
    expect(found(change)).toEqual(want);
  });

  it('points to silence, and reads nothing that is no report', () => {
    expect(found({}, now - 121_000)).toEqual(['silent']);
    expect([readHealth('no JSON'), readHealth('null'), readHealth('4')]).toEqual([null, null, null]);
    expect(readHealth('{"cameras":[3,{"tracks":"x"}]}')?.cameras).toHaveLength(1);
    expect(trackWords({ kind: 'video', codec: 'avc1', width: 1280, height: 720, fps: 25.2, kbps: 900 })).toBe('video avc1 1280×720 25/s 900 kbit/s');
  });
});

describe('what an auditor counts', () => {
  const one = (minutesAgo: number, staff: string, allowed: boolean, rules = 'r'): Decision => ({ at: now - minutesAgo * 60_000, staff, role: 'support', action: 'watch', ticket: 1, allowed, rules });
  const all = [one(1, 'sam', true), one(2, 'sam', false, 'granted own-ticket'), one(70, 'tim', true), one(80, 'tim', false, '')];

  it('adds up to what there is', () => {
    const bars = byHour(all, now, 3, String);
    expect(bars).toHaveLength(3);
    expect(bars.reduce((n, b) => n + b.allowed + b.refused, 0)).toBe(4);
    expect(by(all, (d) => d.staff)).toEqual([{ label: 'sam', allowed: 1, refused: 1 }, { label: 'tim', allowed: 1, refused: 1 }]);
    expect(byRule(all).map((b) => b.label)).toEqual(['granted', 'nothing permits it', 'own-ticket']);
  });
});

describe('an invitation', () => {
  const secret = 'A'.repeat(43);
  it.each([[`#LKI1.${secret}.support`, true], [`LKI1.${secret}.support`, true], [`#LKI1.${secret}`, false], [`#LKI1.${'A'.repeat(42)}B.support`, false], [`#LKI1.${secret}.Support`, false], [`#LK1.${secret}.support`, false], ['', false]])('%s: %s', (text, whole) => {
    expect(parseInvitation(text) !== null).toBe(whole);
  });
  it('names are as the log has them', () => {
    expect(['sam', 's', 'sam-41', 'a'.repeat(64)].every(isStaffName)).toBe(true);
    expect(['', '-sam', 'sam-', 'Sam', 's m', 'a'.repeat(65)].some(isStaffName)).toBe(false);
  });
});

describe('the mark', () => {
  it('names who, which ticket and when, and comes to every part of the picture', () => {
    expect(markText('tim', 7, now)).toBe('tim · ticket 7 · 2026-09-21T14:13:20Z');
    const cells = new Set<string>();
    for (let s = 0; s < 120; s++) {
      const { x, y } = markPlace(now + s * 1000);
      expect(x >= 0 && x <= 0.5 && y >= 0 && y <= 0.95).toBe(true);
      cells.add(`${Math.floor(x * 4)} ${Math.floor(y * 4)}`);
    }
    expect(cells.size).toBe(8);
    expect(rows).toHaveLength(12);
  });
});

describe('which seconds', () => {
  const grant = { from: now, until: now + 300_000 };
  it('are a minute at first, and never beyond the grant', () => {
    expect(firstMinute(grant)).toEqual([now, now + 60_000]);
    expect(timeIn(fieldOf(now))).toBe(now);
    expect(withinGrant(now - 5000, now + 900_000, grant)).toEqual([now, now + 300_000]);
    expect([withinGrant(null, now, grant), withinGrant(now, now, grant), withinGrant(now + 400_000, now + 500_000, grant), timeIn('')]).toEqual([null, null, null, null]);
  });
});

describe('the hidden mark', () => {
  const flat = (level: number, key: string | null): { width: number; height: number; data: Uint8Array } => {
    const [width, height] = [640, 360];
    const cells = key === null ? null : pattern(key);
    const data = Uint8Array.from({ length: width * height }, (_, i) => {
      const [x, y] = [i % width, Math.floor(i / width)];
      // A scene: a slope, a wall, some grain.
      const scene = level + x / 20 + (y > 200 ? 60 : 0) + ((x * 7919 + y * 104729) % 5);
      const side = cells === null ? 0 : (cells[Math.floor(y / 10) * columns + Math.floor(x / 10)] ?? 0);
      return Math.round(side > 0 ? scene + strength * (255 - scene) : side < 0 ? scene * (1 - strength) : scene);
    });
    return { width, height, data };
  };

  it('has as much light as dark', () => {
    const cells = pattern('tim 7');
    expect(cells.length).toBe(columns * lines);
    expect(cells.reduce((n, c) => n + c, 0)).toBe(0);
    expect(pattern('tim 7')).toEqual(cells);
    expect(pattern('tim 8')).not.toEqual(cells);
  });

  it('is found where it is, and nowhere else', () => {
    const others = Array.from({ length: 50 }, (_, i) => `sam ${i}`);
    const [best, next] = findMark(flat(80, 'tim 7'), [...others, 'tim 7']);
    expect([best!.key, best!.score > surely, next!.score < surely]).toEqual(['tim 7', true, true]);
    expect(findMark(flat(80, null), [...others, 'tim 7'])[0]!.score).toBeLessThan(surely);
  });
});
