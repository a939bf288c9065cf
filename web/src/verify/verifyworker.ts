/** The worker of the page that checks evidence: it reads the file where it lies, keeps nothing and asks nobody. */
import { isKind } from '../crypto/failure';
import { verifyEvidence } from '../evidence/check';
import type { FromVerifyWorker, ToVerifyWorker } from './messages';

const scope = self as unknown as DedicatedWorkerGlobalScope;
const post = (m: FromVerifyWorker): void => { scope.postMessage(m); };

async function check({ file, policy }: ToVerifyWorker): Promise<void> {
  try {
    post({ kind: 'report', report: await verifyEvidence(file, { policy, progress: (done) => { post({ kind: 'progress', done }); } }) });
  } catch (err) {
    post(isKind(err, 'verify') ? { kind: 'none', detail: err.message } : { kind: 'broken' });
  }
}

scope.onmessage = (e: MessageEvent<ToVerifyWorker>) => { void check(e.data); };
post({ kind: 'ready' });
