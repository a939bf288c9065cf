import { onMount } from 'svelte';
import { useHome, useReach } from './context';
import type { AppError, Home, HomeChange, Result } from './types';

/**
 * One question to the home and its newest answer. Asked one at a time: news
 * that comes meanwhile, however much, asks once more.
 */
export class Asked<T> {
  /** null until the first answer; kept when asking fails. */
  value: T | null = $state.raw(null);
  /** The failure of the newest answer. */
  error: AppError | null = $state.raw(null);

  readonly #question: () => Promise<Result<T>>;
  #busy = false;
  #again = false;

  constructor(question: () => Promise<Result<T>>) {
    this.#question = question;
  }

  async ask(): Promise<void> {
    this.#again = this.#busy;
    if (this.#busy) return;
    this.#busy = true;
    do {
      this.#again = false;
      const answer = await this.#question();
      if (answer.ok) this.value = answer.value;
      this.error = answer.ok ? null : answer.error;
      // Somebody may have asked while the answer was on its way.
    } while (this.#again as boolean);
    this.#busy = false;
  }
}

/** The same for a component: asked when it is mounted, when the home says so, and when the server is back. */
export function asked<T>(kind: HomeChange, question: (home: Home) => Promise<Result<T>>): Asked<T> {
  const home = useHome();
  const reach = useReach();
  const it = new Asked(() => question(home));
  onMount(() => {
    void it.ask();
    const stops = [home.onChange((what) => void (what === kind && it.ask())), reach.onBack(() => void it.ask())];
    return () => {
      for (const stop of stops) stop();
    };
  });
  return it;
}
