/**
 * Log, then release (protocol 2.8): nothing that a statement gives away leaves
 * this browser before its tlog-proof under the pinned policy is in hand. And the
 * other end of it: a grantee checks that proof again.
 */
import type { LogState, StatementProof } from '../owner/access/types';
import { encodeEntry, tagOf } from '../ledger/leaf';
import { type Checkpoint, Policy } from '../ledger/policy';
import { checkProof, parseProof } from '../ledger/proof';
import type { Api } from './api';
import { type Bytes, equal, own, utf8 } from './bytes';
import { Failure, isKind, refuse } from './failure';
import { H } from './hash';
import type { Member } from './member';
import { worded } from './words';

/** How far a statement has come: in the chain, in the log by the server's word, and proven to be there. */
export type ProofStep = 'written' | 'logged' | 'witnessed';

/** What of a log book this needs. */
export interface ProofLog {
  look(): Promise<void>;
  state(): LogState;
  proof(seq: number): Promise<StatementProof>;
}

export interface ProofWait {
  step(s: ProofStep): void;
  /** the public log does not answer, or does again */
  away(on: boolean): void;
}

/** Said while the log does not answer. */
export const logAwayWords = 'The public log cannot be reached; your share waits.';

const againMs = 1500;

/**
 * The tlog-proof of statement seq, with its tag as `extra`; waits as long as it
 * takes. Throws in words when the log is not as it must be, Failure 'network'
 * when it was cancelled.
 */
export async function provenInLog(room: { readonly log: ProofLog; readonly api: Pick<Api, 'chain'> }, seq: number, wait: ProofWait, signal: AbortSignal): Promise<Bytes> {
  wait.step('written');
  for (let logged = false; ; ) {
    if (signal.aborted) throw new Failure('network', 'log: cancelled');
    await room.log.look();
    const state = room.log.state();
    if (state.state === 'broken') throw broken();
    wait.away(state.away);
    const proof = await room.log.proof(seq).catch(notYet);
    if (proof !== null) {
      wait.step('witnessed');
      return utf8(proof.file);
    }
    if (!logged && (await isLogged(room.api, seq))) {
      logged = true;
      wait.step('logged');
    }
    await pause(againMs, signal);
  }
}

/** On its way, or the line is down: both pass. */
function notYet(err: unknown): null {
  if (isKind(err, 'not-found') || isKind(err, 'network')) return null;
  throw err;
}

async function isLogged(api: Pick<Api, 'chain'>, seq: number): Promise<boolean> {
  try {
    return (await api.chain.getLeaves({ fromSeq: BigInt(seq) })).leaves.length > 0;
  } catch (err) {
    return notYet(err) !== null;
  }
}

function broken(): Failure {
  return worded('verify', {
    what: 'The public log is not as it must be.',
    safe: 'Nothing was handed over.',
    next: 'See “Access” for what is wrong. What you wanted to share waits until that is cleared up.',
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done, { once: true });
  });
}

/** The policy of the public log that this browser or the vault has pinned; null when neither has. */
export async function pinnedPolicy(member: Member): Promise<Policy | null> {
  const text = (await member.place.store.load())?.log?.policy ?? member.safe.vault.policy;
  return text === null ? null : new Policy(text);
}

/** The key that finds the household in the log. Throws Failure 'verify' on another than the chain names. */
export async function logTagKey(member: Member): Promise<Bytes> {
  const key = member.safe.vault.ktag ?? own((await member.api.chain.getLogTagKey({})).key);
  if (!equal(H(key), member.chain.head.ktag)) throw refuse('log: the tag key is another than the household’s');
  return key;
}

/** Checks that raw proves the statement with this hash. Its `extra` is the tag: the household, who knows it, says which. Throws Failure 'verify'. */
export async function checkStatementProof(raw: Bytes, policy: Policy, hash: Bytes, known: { readonly key: Bytes; readonly seq: number } | null): Promise<Checkpoint> {
  const proof = parseProof(raw);
  if (proof.extra.length !== 32) throw refuse('log: a proof that names no tag');
  if (known !== null && !equal(proof.extra, tagOf(known.key, known.seq))) throw refuse('log: a proof of another statement');
  return checkProof(proof, policy, encodeEntry({ kind: 'household', tag: proof.extra, value: hash }));
}
