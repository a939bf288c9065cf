import type { Home, Result } from './types';

/** After a failure: how often the server is asked whether it is there again. */
const PATIENCE = 8000;

/**
 * Whether the server answers. A call that fails for want of a network makes it
 * ask once more, so that one lost call alarms nobody; while there is no answer
 * it goes on asking, so that the banner goes by itself.
 */
export class Reach {
  /** The server does not answer. Whether this device has a line at all is the browser's to say. */
  down = $state(false);

  readonly #probe: () => Promise<Result<unknown>>;
  readonly #listeners = new Set<() => void>();
  #probing = false;
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** probe: a call that always asks the server and changes nothing. */
  constructor(probe: () => Promise<Result<unknown>>) {
    this.#probe = probe;
  }

  /** Something looks as if the server were away. */
  suspect(): void {
    if (!this.#closed && !this.#probing && this.#timer === undefined) void this.#ask();
  }

  /** Calls fn each time the server answers again; returns how to stop. */
  onBack(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    this.#probing = true;
    const answer = await this.#probe();
    this.#probing = false;
    if (this.#closed) return;
    const away = !answer.ok && answer.error.kind === 'network';
    const back = this.down && !away;
    this.down = away;
    // Also after a good answer: a page full of failing calls asks once, not once a call.
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.down) void this.#ask();
    }, PATIENCE);
    if (back) for (const fn of this.#listeners) fn();
  }
}

const isResult = (value: unknown): value is Result<unknown> => typeof value === 'object' && value !== null && 'ok' in value;

/** The same home, with every answer also heard by `heard`. */
export function overheard(home: Home, heard: (answer: Result<unknown>) => void): Home {
  return new Proxy(home, {
    get(target, name): unknown {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]): unknown => {
        const answer: unknown = Reflect.apply(member, target, args);
        if (answer instanceof Promise) void answer.then((value: unknown) => isResult(value) && heard(value), () => undefined);
        return answer;
      };
    },
  });
}
