/** What travels between the page that checks evidence and its worker. */
import type { Report } from '../evidence/report';

/** `policy`: whose signatures of the public log count; empty: the file's own. */
export interface ToVerifyWorker {
  readonly kind: 'check';
  readonly file: Blob;
  readonly policy: string;
}

export type FromVerifyWorker =
  /** the worker is there: from here on the page needs no server */
  | { readonly kind: 'ready' }
  | { readonly kind: 'progress'; readonly done: number }
  | { readonly kind: 'report'; readonly report: Report }
  /** no whole file of evidence, or one that was changed */
  | { readonly kind: 'none'; readonly detail: string }
  /** the page itself failed */
  | { readonly kind: 'broken' };
