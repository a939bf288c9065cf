import { describe, expect, it } from 'vitest';
import type { LogState } from './access/types';
import { stateLine, type StateLine } from './state-line';
import type { Camera, CameraId, CameraStatus, Hub, Kid, Trust, TrustState } from './types';
import { clock, moment } from './when';

const now = new Date(2026, 10, 23, 12, 4, 30).getTime();
const upTo = clock(now - 10_000);

const camera = (name: string, status: CameraStatus, rest: Partial<Camera> = {}): Camera => ({
  id: name as CameraId, name, mode: 'continuous', status, error: '', tracks: {}, lastSeen: now, hub: null, granted: [], ...rest,
});
const hub = (online: boolean, lastSeen: number | null = now): Hub => ({
  kid: 'k' as Kid, name: '', online, lastSeen, spoolParts: 0, spoolBytes: 0, spoolLimit: 1, uplink: 'connected', version: '', doubled: null, headsAgeSeconds: 1,
});
const trust = (state: TrustState, since: number | null = now - 10_000): Trust => ({ state, since, words: '', problems: [] });

describe('stateLine', () => {
  it('is calm when all record and all is verified', () => {
    const line = stateLine([camera('Porch', 'recording')], [hub(true)], trust('verified'), now);
    expect(line).toEqual({ tone: 'ok', words: `All recording. Verified up to ${upTo}.` });
  });

  it('says watching when every camera only records events', () => {
    const line = stateLine([camera('Porch', 'waiting', { mode: 'events' })], [hub(true)], trust('verified'), now);
    expect(line.words).toMatch(/^All watching for events\./);
    expect(line.tone).toBe('ok');
  });

  it('names the one camera that is down, with the hub’s own words', () => {
    const line = stateLine([camera('Porch', 'refused', { error: 'The password is wrong.' }), camera('Gate', 'recording')], [hub(true)], trust('verified'), now);
    expect(line.words).toContain('Porch: The password is wrong.');
    expect(line.tone).toBe('warn');
  });

  it('counts several, leaving out what was switched off', () => {
    const cameras = [camera('A', 'offline'), camera('B', 'error'), camera('C', 'recording'), camera('D', 'off')];
    expect(stateLine(cameras, [hub(true)], trust('verified'), now).words).toContain('2 of 3 cameras are not recording.');
  });

  it('is loud about a hub whose key two machines use, by its name or without', () => {
    const [named, nameless] = ['Cupboard', ''].map((name) => stateLine([camera('A', 'recording')], [{ ...hub(true), name, doubled: now }], trust('verified'), now));
    expect(named).toEqual({ tone: 'alarm', words: 'Two machines use the key of Cupboard. See Settings, Hubs.' });
    expect(nameless?.words).toContain('the key of Hub.');
  });

  it('does not call a camera recording when its hub is silent', () => {
    const line = stateLine([camera('Porch', 'recording')], [hub(false, now - 60_000)], trust('verified'), now);
    expect(line.words).toContain(`silent since ${clock(now - 60_000)}`);
    expect(line.words).not.toContain('All recording');
    expect(line.tone).toBe('warn');
  });

  it('claims nothing verified before it is, or when it no longer is', () => {
    for (const [given, tone] of [[null, 'busy'], [trust('verifying'), 'busy'], [trust('stale'), 'warn']] as const) {
      const line = stateLine([camera('Porch', 'recording')], [hub(true)], given, now);
      expect(line.words).not.toMatch(/Verified/);
      expect(line.tone).toBe(tone);
    }
  });

  it('is loud above all when something does not verify', () => {
    const line = stateLine([camera('Porch', 'offline')], [hub(false)], trust('broken'), now);
    expect(line.tone).toBe('alarm');
    expect(line.words).toMatch(/does not verify/);
  });

  const log = (state: LogState['state'], until: number | null = now - 5000): LogState => ({ state, until, breach: null, away: false, total: 1, proven: 1, covered: 1, watch: null });
  const ok = (l: LogState | null): StateLine => stateLine([camera('Porch', 'recording')], [hub(true)], trust('verified'), now, l);

  it('claims that nothing is missing only as far as footage and log are both checked', () => {
    const earlier = new Date(now - 3600_000).getTime();
    expect(ok(log('complete', earlier)).words).toBe(`All recording. Complete and verified up to ${moment(earlier, now)}.`);
    expect(ok(log('complete')).words).toBe(`All recording. Complete and verified up to ${moment(now - 10_000, now)}.`);
    expect(ok(log('checking', null)).words).toBe(`All recording. Verified up to ${moment(now - 10_000, now)}.`);
    expect(ok(log('stale', earlier))).toEqual({ tone: 'warn', words: `All recording. Verified up to ${moment(now - 10_000, now)}. Not checked against the public log since ${moment(earlier, now)}.` });
    expect(ok(log('stale', null)).words).toContain('Not checked against the public log.');
  });

  it('puts a broken log before everything', () => {
    expect(stateLine([camera('Porch', 'recording')], [hub(true)], trust('broken'), now, log('broken'))).toEqual({ tone: 'alarm', words: 'The public log does not fit what this server shows.' });
  });
});
