import { describe, expect, it } from 'vitest';
import type { CameraId, Player, PlayerMetrics, PlayerState } from './types';
import { Watching } from './watching.svelte';

const NOW = 1_800_000_000_000;
const CAMERA = 'c' as CameraId;
const idle: PlayerState = {
  phase: 'idle', live: false, at: null, lagMs: null, mode: null, codec: null, width: 0, height: 0,
  seal: 'verifying', sealWords: '', skipped: 0, gap: null, error: null, notice: null,
};

/** A player that writes down what it is told and can be put in any state. */
class Recorder implements Player {
  readonly calls: unknown[][] = [];
  state = idle;
  readonly metrics: PlayerMetrics = { joinMs: null, frames: 0, dropped: 0, shown: null };
  live(...a: Parameters<Player['live']>): void { this.calls.push(['live', a[1]]); }
  seek(...a: Parameters<Player['seek']>): void { this.calls.push(['seek', a[1], a[2]]); }
  setRate(rate: number): void { this.calls.push(['rate', rate]); }
  setSound(on: boolean): void { this.calls.push(['sound', on]); }
  pause(): void { this.calls.push(['pause']); }
  play(): void { this.calls.push(['play']); }
  step(frames: 1 | -1): void { this.calls.push(['step', frames]); }
  stop(): void { this.calls.push(['stop']); }
  destroy(): void { this.calls.push(['destroy']); }
  on(): () => void { return () => undefined; }
}

function begin(at: number | null): { watching: Watching; player: Recorder; say: (change: Partial<PlayerState>) => void } {
  const watching = new Watching(CAMERA, () => NOW);
  const player = new Recorder();
  let state = idle;
  watching.begin(player, at);
  player.calls.length = 0;
  return { watching, player, say: (change) => watching.heard((state = { ...state, ...change })) };
}

describe('Watching', () => {
  it('begins live, or at a moment', () => {
    const player = new Recorder();
    new Watching(CAMERA, () => NOW).begin(player, null);
    new Watching(CAMERA, () => NOW).begin(player, NOW - 60_000);
    expect(player.calls).toEqual([['live', { quality: 'auto', mode: 'auto', sound: false }], ['seek', NOW - 60_000, { rate: 1, sound: false, paused: false }]]);
  });

  it('goes live instead of seeking to now or later', () => {
    const { watching, player } = begin(NOW - 60_000);
    watching.goTo(NOW + 5000);
    expect(player.calls[0]?.[0]).toBe('live');
  });

  it('plays on from where a live picture was paused, not from now', () => {
    const { watching, player, say } = begin(null);
    say({ phase: 'playing', live: true, at: NOW - 5000 });
    watching.toggle();
    say({ phase: 'paused', live: false });
    watching.toggle();
    expect(player.calls).toEqual([['pause'], ['seek', NOW - 5000, { rate: 1, sound: false, paused: false }]]);
  });

  it('resumes a recorded picture in place', () => {
    const { watching, player, say } = begin(NOW - 60_000);
    say({ phase: 'playing', at: NOW - 50_000 });
    watching.toggle();
    say({ phase: 'paused' });
    watching.toggle();
    expect(player.calls).toEqual([['pause'], ['play']]);
  });

  it('becomes live when playing catches up with now, and not when paused there', () => {
    const { player, say } = begin(NOW - 60_000);
    say({ phase: 'paused', at: NOW - 1000 });
    expect(player.calls).toEqual([]);
    say({ phase: 'playing', at: NOW - 1000 });
    expect(player.calls[0]?.[0]).toBe('live');
  });

  it('walks the speeds with J and L, back where there is nothing slower, never past the ends', () => {
    const { watching, player, say } = begin(NOW - 600_000);
    say({ phase: 'playing', at: NOW - 600_000 });
    for (let i = 0; i < 6; i++) watching.faster();
    expect(watching.rate).toBe(8);
    for (let i = 0; i < 4; i++) watching.slower();
    expect(watching.rate).toBe(0.5);
    player.calls.length = 0;
    watching.slower();
    expect(player.calls).toEqual([['seek', NOW - 610_000, { rate: 0.5, sound: false, paused: false }]]);
  });

  it('cannot outrun live', () => {
    const { watching, player, say } = begin(null);
    say({ phase: 'playing', live: true, at: NOW });
    watching.faster();
    expect(watching.rate).toBe(1);
    expect(player.calls).toEqual([]);
  });

  it('counts what was skipped once', () => {
    const { watching, say } = begin(null);
    say({ phase: 'playing', live: true, skipped: 10 });
    say({ skipped: 60 });
    expect(watching.skippedNow).toBe(50);
    watching.skippedNow = 0;
    say({ skipped: 60 });
    expect(watching.skippedNow).toBe(0);
  });
});
