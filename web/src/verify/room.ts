/** The page's side of the worker that checks a file. */
import type { FromVerifyWorker, ToVerifyWorker } from './messages';

/** What the page needs of its worker; a test brings another. */
export interface VerifyRoom {
  /** Whether this browser has what checking takes. */
  readonly able: boolean;
  on(fn: (m: FromVerifyWorker) => void): void;
  check(file: Blob, policy: string): void;
}

export function connectVerify(): VerifyRoom {
  const able = isSecureContext && 'Worker' in window;
  let hear: (m: FromVerifyWorker) => void = () => undefined;
  // At once: what the page needs is here before a file is.
  const worker = able ? new Worker(new URL('./verifyworker.ts', import.meta.url), { type: 'module' }) : null;
  if (worker !== null) {
    worker.onmessage = (e: MessageEvent<FromVerifyWorker>) => { hear(e.data); };
    worker.onerror = () => { hear({ kind: 'broken' }); };
  }
  return {
    able,
    on: (fn) => { hear = fn; },
    check: (file, policy) => {
      const m: ToVerifyWorker = { kind: 'check', file, policy };
      worker?.postMessage(m);
    },
  };
}
