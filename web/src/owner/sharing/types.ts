/** What the pages are told of footage given away: a part of the contract in {@link Home}. Times are Unix milliseconds. */
import type { CameraId, Kid, Result } from '../types';

/** A stretch of one camera, for whoever has the link or for a member. */
export interface ShareAsk {
  readonly camera: CameraId;
  /** whole seconds, half open; for a member it may be still to come, of a camera that is not his by right */
  readonly from: number;
  readonly to: number;
  readonly sound: boolean;
  /** when the operator stops serving it */
  readonly until: number;
  /** read by whoever opens the link; empty for a member */
  readonly note: string;
  readonly for: { readonly kind: 'link' } | { readonly kind: 'member'; readonly kid: Kid };
}

/** `written` in the household's chain, `logged` by the server's word, `witnessed`: proven to stand in the public log, `done`: handed over. */
export type ShareStep = 'written' | 'logged' | 'witnessed' | 'done';

export type ShareNews =
  | { readonly kind: 'step'; readonly step: ShareStep }
  /** the public log does not answer: the share waits */
  | { readonly kind: 'away'; readonly on: boolean };

/** Footage that was given away and is still served. */
export interface Shared {
  /** the grant's id in hex */
  readonly id: string;
  /** `contact`: a person of another household, by a link that only his keys open */
  readonly kind: 'link' | 'member' | 'contact';
  /** The member it was given to; empty for others, or while his name is unknown. */
  readonly to: string;
  readonly by: { readonly name: string; readonly me: boolean };
  readonly camera: CameraId | null;
  readonly cameraName: string;
  readonly from: number;
  readonly until: number;
  readonly sound: boolean;
  /** What of it is still to come is his as it is recorded. */
  readonly standing: boolean;
  readonly given: number;
  /** when the operator stops serving it */
  readonly served: number;
  /** how often it was opened, and when last, by the server's count; null: not counted */
  readonly views: number | null;
  readonly lastView: number | null;
  /** Not handed over yet: its statement is on its way into the public log. */
  readonly waiting: boolean;
  /** The link itself: only the browser that made it has it. */
  readonly link: { readonly url: string; readonly qr: boolean[][] | null } | null;
}

export interface HomeSharing {
  /** Asks for a touch, waits for the public log, hands over. Closing the page before its end loses nothing: it goes on at the next visit. */
  share(ask: ShareAsk, news: (n: ShareNews) => void, cancel?: AbortSignal): Promise<Result<Shared>>;
  /** Newest first. */
  shared(): Promise<Result<Shared[]>>;
  /** Asks for a touch; from then on it is not served any more. */
  endShare(id: string): Promise<Result<void>>;
}
