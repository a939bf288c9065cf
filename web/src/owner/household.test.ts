import { describe, expect, it } from 'vitest';
import { FakeHome } from './fake';
import { Household } from './household.svelte';
import type { Camera, Result, Session } from './types';

async function household(home: FakeHome): Promise<Household> {
  const session = await home.session();
  if (!session.ok || session.value === null) throw new Error('nobody is signed in');
  return new Household(home, session.value satisfies Session);
}

describe('Household', () => {
  it('asks once at a time, and once more for any news that came meanwhile', async () => {
    const home = new FakeHome('home');
    const it = await household(home);
    const waiting: ((answer: Result<Camera[]>) => void)[] = [];
    home.cameras = () => new Promise((settle) => waiting.push(settle));
    const first = it.refresh('cameras');
    for (let i = 0; i < 5; i++) void it.refresh('cameras');
    expect(waiting).toHaveLength(1);
    waiting[0]!({ ok: true, value: [] });
    await new Promise((resolve) => setTimeout(resolve));
    expect(waiting).toHaveLength(2);
    const answer = await new FakeHome('home').cameras();
    waiting[1]!(answer);
    await first;
    expect(waiting).toHaveLength(2);
    expect(it.cameras).toHaveLength(3);
  });

  it('keeps what it knew when asking fails, says so, and forgets that after a success', async () => {
    const home = new FakeHome('home');
    const it = await household(home);
    await it.refresh('hubs');
    const { hubs } = home;
    home.hubs = () => Promise.resolve({ ok: false, error: { kind: 'network', what: 'No line.', safe: '', next: '' } });
    await it.refresh('hubs');
    expect(it.hubs).toHaveLength(1);
    expect(it.error?.what).toBe('No line.');
    home.hubs = hubs;
    await it.refresh('hubs');
    expect(it.error).toBeNull();
  });
});
