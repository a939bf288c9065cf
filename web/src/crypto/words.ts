/** Failures in the words of the interface: what happened, what is safe, what to do. */
import type { AppError, AppErrorKind } from '../owner/types';
import { Failure } from './failure';

const words: Readonly<Record<AppErrorKind, Omit<AppError, 'kind'>>> = {
  network: {
    what: 'The server cannot be reached right now.',
    safe: 'Your hub goes on recording and sends everything later.',
    next: 'Check this device’s connection; we try again by ourselves.',
  },
  refused: {
    what: 'The server did not accept this sign-in.',
    safe: 'Nothing was changed.',
    next: 'Sign in again with your recovery code.',
  },
  verify: {
    what: 'Something the server sent does not verify.',
    safe: 'It was thrown away: nothing unverified was shown or used.',
    next: 'Try again. If it stays, ask whoever runs the server, and trust your hub’s own copy.',
  },
  conflict: {
    what: 'Somebody else changed the household at the same moment.',
    safe: 'Their change is kept, yours was not made.',
    next: 'Try once more.',
  },
  'not-found': {
    what: 'There is nothing here.',
    safe: 'Nothing was changed.',
    next: 'Choose another moment or another camera.',
  },
  'wrong-code': {
    what: 'That code is not right.',
    safe: 'Nothing was changed.',
    next: 'Look at each group of four again and retype it.',
  },
  'hub-offline': {
    what: 'The hub is not connected.',
    safe: 'It keeps recording at home if it has power.',
    next: 'Check its power and network, then try again.',
  },
  storage: {
    what: 'This browser did not let the page store anything.',
    safe: 'Your household and its footage are not affected.',
    next: 'Allow storage for this site, or leave private browsing, and try again.',
  },
  unsupported: {
    what: 'This browser cannot show this.',
    safe: 'The footage is there.',
    next: 'Use another browser, or download the clip.',
  },
  internal: {
    what: 'Something went wrong in this page.',
    safe: 'Recording goes on; nothing is lost.',
    next: 'Reload the page.',
  },
};

/** Sentences said better for the occasion than those of their kind. */
export type AppWords = Partial<Omit<AppError, 'kind'>>;

/** Words of one kind, with any of the sentences said better. */
export function appError(kind: AppErrorKind, better: AppWords = {}): AppError {
  return { kind, ...words[kind], ...better };
}

/** A failure with the sentences for its occasion already chosen. */
export class WordedFailure extends Failure {
  constructor(readonly error: AppError, cause?: unknown) {
    super(error.kind, error.what, cause === undefined ? undefined : { cause });
  }
}

/** A failure of this kind, in words for the occasion. */
export function worded(kind: AppErrorKind, better: AppWords, cause?: unknown): WordedFailure {
  return new WordedFailure(appError(kind, better), cause);
}

/** Anything thrown, as an AppError. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof WordedFailure) return thrown.error;
  if (thrown instanceof Failure) return appError(thrown.kind);
  return appError('internal');
}
