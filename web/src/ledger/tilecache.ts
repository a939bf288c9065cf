/** Remembers a log's files in memory: what never changes is asked for once. */
import type { Fetch } from './reader';

/** Files kept; a whole tile has 8 kB. */
const most = 512;

/**
 * A Fetch over another that keeps its answers, the ones used last. A checkpoint
 * changes and is asked for each time. Answers are not checked here: whoever
 * finds that one was wrong forgets all of them.
 */
export class TileCache {
  readonly #fetch: Fetch;
  readonly #kept = new Map<string, Promise<Uint8Array>>();

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
  }

  readonly fetch: Fetch = (path) => {
    if (path === 'checkpoint') return this.#fetch(path);
    const answer = this.#kept.get(path) ?? this.#fetch(path);
    // The newest stand last.
    this.#kept.delete(path);
    this.#kept.set(path, answer);
    answer.catch(() => this.#kept.delete(path));
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= most) break;
      this.#kept.delete(oldest);
    }
    return answer;
  };

  forget(): void {
    this.#kept.clear();
  }
}
