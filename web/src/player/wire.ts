/**
 * What travels between a player on the page and its feed in the worker. Every
 * message of a session carries its number: news of an earlier one is dropped.
 */
import type { AppError, CameraId, Gap, TrustState } from '../owner/types';

export type Media = 'video' | 'audio';

export interface LiveRequest {
  readonly kind: 'live';
  readonly session: number;
  readonly camera: CameraId;
  readonly quality: 'main' | 'sub' | 'auto';
  readonly sound: boolean;
  /** where the pictures go first */
  readonly mode: 'mse' | 'webcodecs';
}

export interface SeekRequest {
  readonly kind: 'seek';
  readonly session: number;
  readonly camera: CameraId;
  /** unix milliseconds */
  readonly at: number;
  readonly rate: number;
  readonly sound: boolean;
}

export type ToFeed =
  | LiveRequest
  | SeekRequest
  | { readonly kind: 'canvas'; readonly canvas: OffscreenCanvas }
  /** where the page is: what lies behind is let go, what is ahead is topped up */
  | { readonly kind: 'position'; readonly session: number; readonly currentTime: number; readonly aheadSeconds: number }
  /** starts a decoder beside MSE to measure it, or moves the pictures over */
  | { readonly kind: 'mode'; readonly session: number; readonly mode: 'mse' | 'trial' | 'webcodecs' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'destroy' };

/** One picture or a few, or a tenth of a second of sound, ready to append. */
export interface Piece {
  readonly data: ArrayBuffer;
  /** capture time, unix milliseconds */
  readonly start: number;
  readonly end: number;
}

/** What a decoder in the worker has shown, or would have during a trial. */
export interface Shown {
  readonly capture: number;
  /** unix milliseconds, when it was drawn */
  readonly at: number;
  readonly frames: number;
  readonly dropped: number;
}

export interface TrackNews {
  readonly media: Media;
  readonly mime: string;
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly init: ArrayBuffer;
}

export type FromFeed =
  /** a media source that lives in the worker, to be the element's srcObject */
  | { readonly kind: 'source'; readonly session: number; readonly handle: MediaSourceHandle }
  /** unix seconds that the element's clock calls 0 */
  | { readonly kind: 'base'; readonly session: number; readonly base: number; readonly audio: boolean }
  | ({ readonly kind: 'track'; readonly session: number; readonly local: boolean } & TrackNews)
  /** only when the page owns the media source */
  | { readonly kind: 'pieces'; readonly session: number; readonly media: Media; readonly pieces: readonly Piece[] }
  /** how far pictures reach now: for the live edge and the first picture of a seek */
  | { readonly kind: 'reached'; readonly session: number; readonly from: number; readonly to: number; readonly frameMs: number }
  | { readonly kind: 'shown'; readonly session: number; readonly shown: Shown; readonly trial: boolean }
  /** the decoder in the worker does not keep up, by measurement */
  | { readonly kind: 'slow'; readonly session: number }
  | { readonly kind: 'skip'; readonly session: number; readonly count: number }
  | { readonly kind: 'gap'; readonly session: number; readonly gap: Gap }
  | { readonly kind: 'idle'; readonly session: number; readonly on: boolean }
  | { readonly kind: 'seal'; readonly session: number; readonly seal: TrustState; readonly words: string }
  | { readonly kind: 'notice'; readonly session: number; readonly text: string }
  | { readonly kind: 'end'; readonly session: number }
  | { readonly kind: 'failed'; readonly session: number; readonly error: AppError };
