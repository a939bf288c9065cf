/** What pages ask the worker about the public log and the household's statements; a part of {@link Calls}. */
import type { AccessRow, LogState, PageRelease, StatementProof } from './types';

export interface AccessCalls {
  logState: { args: null; value: LogState; news: never };
  accessRows: { args: null; value: AccessRow[]; news: never };
  statementProof: { args: { readonly seq: number }; value: StatementProof; news: never };
  completenessProof: { args: null; value: { readonly file: string; readonly until: number }; news: never };
  verifyAgain: { args: { readonly acceptPolicy: boolean }; value: LogState; news: never };
  accessNews: { args: null; value: AccessRow[]; news: never };
  checkPage: { args: null; value: PageRelease; news: never };
  seenAccess: { args: { readonly seq: number }; value: undefined; news: never };
}

export type AccessHandlers = {
  readonly [K in keyof AccessCalls]: (args: AccessCalls[K]['args']) => Promise<AccessCalls[K]['value']>;
};
