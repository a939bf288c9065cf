/** The worker's way to its page: questions that only a person can answer, by number. */
import type { Result } from '../owner/types';
import type { Ask, Page, Touched } from './page';
import { WordedFailure } from './words';

export class AskingPage implements Page {
  browser = '';
  readonly #post: (id: number, ask: Ask) => void;
  readonly #waiting = new Map<number, (result: Result<Touched>) => void>();
  #next = 1;

  constructor(post: (id: number, ask: Ask) => void) {
    this.#post = post;
  }

  async touch(ask: Ask): Promise<Touched> {
    const id = this.#next++;
    const result = await new Promise<Result<Touched>>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#post(id, ask);
    });
    if (!result.ok) throw new WordedFailure(result.error);
    return result.value;
  }

  answer(id: number, result: Result<Touched>): void {
    this.#waiting.get(id)?.(result);
    this.#waiting.delete(id);
  }
}
