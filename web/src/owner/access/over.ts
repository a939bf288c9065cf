/** The public log and the household's statements, asked of the worker that owns the keys. */
import type { Result } from '../types';
import type { AccessCalls } from './calls';
import type { HomeAccess } from './types';

/** What of the line to the worker this needs. */
export interface AccessLine {
  ask<K extends keyof AccessCalls>(op: K, args: AccessCalls[K]['args']): Promise<Result<AccessCalls[K]['value']>>;
}

export function accessOver(line: AccessLine): HomeAccess {
  return {
    log: () => line.ask('logState', null),
    rows: () => line.ask('accessRows', null),
    proof: (seq) => line.ask('statementProof', { seq }),
    completeness: () => line.ask('completenessProof', null),
    again: (a) => line.ask('verifyAgain', a),
    news: () => line.ask('accessNews', null),
    page: () => line.ask('checkPage', null),
    seen: (seq) => line.ask('seenAccess', { seq }),
  };
}
