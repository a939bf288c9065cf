/**
 * The failures of this room. A Failure carries one kind of the closed list and
 * a sentence for the log; it never carries a secret. Pages never see it: the
 * worker turns it into an AppError (words.ts).
 */
import type { AppErrorKind } from '../owner/types';

/** What a Failure may bring along. */
export interface FailureOptions extends ErrorOptions {
  /** what the server says has to be done about it (spec/wire, "Reasons") */
  readonly reason?: string;
}

export class Failure extends Error {
  readonly reason: string;

  constructor(
    readonly kind: AppErrorKind,
    message: string,
    options: FailureOptions = {},
  ) {
    super(message, options);
    this.name = 'Failure';
    this.reason = options.reason ?? '';
  }
}

/** Bytes that do not parse, or do not verify: nothing of them may be used. */
export function refuse(message: string, cause?: unknown): Failure {
  return new Failure('verify', message, cause === undefined ? undefined : { cause });
}

/** True for a Failure of this kind. */
export function isKind(err: unknown, kind: AppErrorKind): err is Failure {
  return err instanceof Failure && err.kind === kind;
}
