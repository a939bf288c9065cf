// @vitest-environment happy-dom
import { flushSync } from 'svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeHome } from './fake';
import { close, open, said, words } from './fake-page';
import { overheard, Reach } from './reach.svelte';
import type { Result } from './types';

const away: Result<never> = { ok: false, error: { kind: 'network', what: 'No answer.', safe: '', next: '' } };
const there: Result<null> = { ok: true, value: null };

describe('Reach', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('asks once more before it says that the server is away', async () => {
    const reach = new Reach(() => Promise.resolve(there));
    reach.suspect();
    await vi.advanceTimersByTimeAsync(0);
    expect(reach.down).toBe(false);
  });

  it('asks on while there is no answer, tells when there is, then leaves the server alone', async () => {
    let answer: Result<unknown> = away;
    const probe = vi.fn(() => Promise.resolve(answer));
    const back = vi.fn();
    const reach = new Reach(probe);
    reach.onBack(back);
    for (let i = 0; i < 20; i++) reach.suspect();
    await vi.advanceTimersByTimeAsync(0);
    expect(probe).toHaveBeenCalledTimes(1);
    expect(reach.down).toBe(true);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(probe).toHaveBeenCalledTimes(3);
    expect(back).not.toHaveBeenCalled();
    answer = there;
    await vi.advanceTimersByTimeAsync(8000);
    expect(reach.down).toBe(false);
    expect(back).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(probe).toHaveBeenCalledTimes(4);
  });

  it('takes a refusal for an answer: who refuses is there', async () => {
    const reach = new Reach(() => Promise.resolve({ ok: false, error: { kind: 'refused', what: '', safe: '', next: '' } }));
    reach.suspect();
    await vi.advanceTimersByTimeAsync(0);
    expect(reach.down).toBe(false);
  });

  it('asks nothing after it was closed', async () => {
    const probe = vi.fn(() => Promise.resolve(away));
    const reach = new Reach(probe);
    reach.suspect();
    reach.close();
    await vi.advanceTimersByTimeAsync(60_000);
    reach.suspect();
    expect(probe).toHaveBeenCalledTimes(1);
    expect(reach.down).toBe(false);
  });
});

describe('overheard', () => {
  it('hears every answer and changes none', async () => {
    const home = new FakeHome('home');
    const heard: boolean[] = [];
    const over = overheard(home, (answer) => heard.push(answer.ok));
    expect((await over.cameras()).ok).toBe(true);
    home.down = true;
    expect((await over.devices()).ok).toBe(false);
    // What is no answer is not heard: this one tells what passkeys can do.
    expect(await over.passkeySupport()).toBe('yes');
    expect(heard).toEqual([true, false]);
  });
});

describe('a server that is away while this device is online', () => {
  afterEach(close);

  it('is told calmly, with what still works, and forgotten by itself', async () => {
    const home = open('home', '#/people');
    await said('Mina');
    home.down = true;
    location.hash = '#/settings/devices';
    await said('The server does not answer.');
    await said('Your hub keeps recording at home');
    // Said once: the page itself only waits.
    expect(words()).not.toContain('The server cannot be reached right now.');
    await said('Waiting for the server');
    home.down = false;
    await vi.waitFor(() => {
      flushSync();
      expect(words()).not.toContain('The server does not answer.');
    }, 12_000);
    await said('Chrome on Android');
  });

  it('is not told for one call that failed', async () => {
    const home = open('home');
    await said('Garden gate');
    home.timeline = () => Promise.resolve(away);
    location.hash = '#/review';
    await said('No answer.');
    expect(words()).not.toContain('The server does not answer.');
  });
});
