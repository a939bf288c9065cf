/** Sharing, asked of the worker that owns the keys. */
import type { Result } from '../types';
import type { ShareCalls } from './calls';
import type { HomeSharing } from './types';

/** What of the line to the worker this needs. */
export interface ShareLine {
  ask<K extends keyof ShareCalls>(op: K, args: ShareCalls[K]['args']): Promise<Result<ShareCalls[K]['value']>>;
  until<K extends keyof ShareCalls>(op: K, args: ShareCalls[K]['args'], news: (n: ShareCalls[K]['news']) => void, cancel?: AbortSignal): Promise<Result<ShareCalls[K]['value']>>;
}

export function sharingOver(line: ShareLine): HomeSharing {
  return {
    share: (ask, news, cancel) => line.until('share', ask, news, cancel),
    shared: () => line.ask('shared', null),
    endShare: (id) => line.ask('endShare', { id }),
  };
}
