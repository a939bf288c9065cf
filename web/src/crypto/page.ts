/** What the worker may ask of the page that it works for: only a page can ask a person for a touch. */
import type { Ask, Touched } from '../owner/passkey';

export type { Ask, Touched };

export interface Page {
  /** What this browser calls itself, such as "Chromium on Linux". */
  readonly browser: string;
  /** Throws WordedFailure when nothing was touched. The secret in the answer is the caller's to wipe. */
  touch(ask: Ask): Promise<Touched>;
}
