/** What travels between the stranger's page and the worker that holds the link's keys. Times are Unix milliseconds. */
import type { Download, DownloadProgress } from '../owner/types';

/** A link that was opened and checked. */
export interface LinkView {
  /** what the sharer wrote; each may be empty */
  readonly from: string;
  readonly camera: string;
  readonly note: string;
  /** his time zone; empty when he gave none */
  readonly zone: string;
  readonly begin: number;
  readonly end: number;
  /** the first moment that can be shown */
  readonly shows: number;
  /** when the server stops serving it */
  readonly served: number;
  readonly sound: boolean;
  readonly log: { readonly name: string; readonly size: number; readonly witnesses: number; readonly since: number | null };
  /** hubs whose signatures were checked */
  readonly hubs: number;
  /** keys outside of what the link says: dropped */
  readonly stray: number;
}

/**
 * Why nothing is shown: the address is no whole link; it is to one person's
 * keys, which this page never has; it is not served (any
 * more); its time is over; the line is down; a check did not hold; there is no
 * picture in it.
 */
export type LinkProblem =
  | { readonly kind: 'wrong' | 'person' | 'gone' | 'away' | 'empty' | 'internal' }
  | { readonly kind: 'over'; readonly until: number }
  | { readonly kind: 'refused'; readonly check: 'mac' | 'words' | 'policy' | 'grant' | 'proof' | 'capsule' | 'epoch' };

export type ToLinkWorker =
  | { readonly kind: 'open'; readonly fragment: string }
  | { readonly kind: 'player'; readonly port: MessagePort }
  | { readonly kind: 'download' }
  | { readonly kind: 'cancel' };

export type FromLinkWorker =
  | { readonly kind: 'opened'; readonly view: LinkView }
  | { readonly kind: 'failed'; readonly problem: LinkProblem }
  /** the picture was read to its end, which is here */
  | { readonly kind: 'whole'; readonly until: number }
  | { readonly kind: 'progress'; readonly progress: DownloadProgress }
  | { readonly kind: 'downloaded'; readonly file: Download }
  | { readonly kind: 'download-failed'; readonly cancelled: boolean };
