/**
 * One look at the public log (protocol 2.11): its policy is the pinned one, it
 * has only grown, every statement stands in it, and it has none that the server
 * does not show. What the server says is only where to look.
 */
import type { BreachKind } from '../owner/access/types';
import { checkCompleteness, type Complete } from '../ledger/completeness';
import { encodeEntry, tagOf } from '../ledger/leaf';
import { NotWitnessed, Policy } from '../ledger/policy';
import { checkProof, encodeProof, type Proof } from '../ledger/proof';
import { checkReleased, type Released } from '../ledger/release';
import { type Fetch, Log, type SignedCheckpoint } from '../ledger/reader';
import { type Bytes, equal, fromUtf8 } from './bytes';
import type { Chain } from './chain';
import { Failure, isKind } from './failure';
import type { KeptLog } from './store';

/** How old a proof, and the witnesses' word, may be (protocol 2.11). */
export const staleAfterMs = 24 * 3600_000;
/** A statement that a set of so much later does not have was left out: clocks may differ by ten minutes. */
const leftOutSeconds = 1800;
/** How long the log may grow without a statement that this browser waits for. */
const overdueMs = 600_000;

/** The log, or what the server says of it, is not as it must be. */
export class LogBreach extends Failure {
  constructor(readonly breach: BreachKind, message: string, readonly seq: number | null = null, cause?: unknown) {
    super('verify', message, cause === undefined ? undefined : { cause });
    this.name = 'LogBreach';
  }
}

/** Where a look gets its answers from; none of them is believed. */
export interface LogSource {
  readonly chain: Chain;
  /** finds the household in the log */
  readonly key: Bytes;
  policy(): Promise<Bytes>;
  /** a file below the log's address */
  readonly file: (policy: Policy) => Fetch;
  leaves(from: number): Promise<{ readonly log: string; readonly leaves: readonly bigint[] }>;
  /** null: there is none yet */
  completeness(): Promise<Bytes | null>;
  /** unix milliseconds */
  now(): number;
}

/** Since when this page waits for a statement that is not in the log, and how large the log was then. */
export interface Waiting {
  readonly seq: number;
  readonly since: number;
  readonly size: number;
}

/** A look that ended well. */
export interface Looked {
  readonly kept: KeptLog;
  readonly complete: Complete | null;
  readonly waiting: Waiting | null;
}

/** Runs a check; what does not verify there is this kind of breach. */
async function as<T>(kind: BreachKind, run: () => T | Promise<T>, seq: number | null = null): Promise<T> {
  try {
    return await run();
  } catch (err) {
    if (err instanceof LogBreach || err instanceof NotWitnessed || !isKind(err, 'verify')) throw err;
    throw new LogBreach(kind, err.message, seq, err);
  }
}

/** The policy that the server names, held against the founding statement and against the one pinned. */
export async function policyOf(source: LogSource, pinned: string | null): Promise<Policy> {
  const text = await as('policy', async () => fromUtf8(await source.policy()));
  if (pinned !== null && text !== pinned) throw new LogBreach('policy', 'log: the server names other keys or watchers than before');
  const policy = await as('policy', () => new Policy(text));
  const { operator, log } = source.chain.head;
  if (operator !== null && operator !== policy.operator) throw new LogBreach('policy', 'log: the operator’s key is another than at founding');
  if (log !== null && log !== policy.origin) throw new LogBreach('policy', 'log: it is another log than at founding');
  return policy;
}

export class LogCheck {
  readonly #source: LogSource;
  readonly #policy: Policy;
  readonly #log: Log;
  #kept: KeptLog;

  constructor(source: LogSource, policy: Policy, kept: KeptLog) {
    this.#source = source;
    this.#policy = policy;
    this.#log = new Log(policy, source.file(policy));
    this.#kept = kept;
  }

  /** Throws LogBreach, NotWitnessed, or the failure of the line. `progress` hears what was proven so far. */
  async look(waiting: Waiting | null, progress: (kept: KeptLog) => void): Promise<Looked> {
    // In this order: the checkpoint is at least as new as the proof.
    const proof = await this.#source.completeness();
    const now = await this.#newest();
    const complete = await this.#complete(proof, now);
    progress(this.#kept);
    await this.#statements(now, progress);
    return { kept: this.#kept, complete, waiting: this.#gap(now, complete, waiting) };
  }

  /** The proof that was kept; null when there is none. */
  async before(): Promise<Complete | null> {
    return this.#kept.proof === null ? null : this.#proven(this.#kept.proof);
  }

  /** The newest proof of how far the chain goes; an older one than had proves less, and nothing wrong. */
  async #complete(raw: Bytes | null, now: SignedCheckpoint): Promise<Complete | null> {
    const before = await this.before();
    if (raw === null) return before;
    const done = await this.#proven(raw);
    await as('fork', () => this.#log.extends(done.checkpoint, now));
    if (before !== null && done.set.size < before.set.size) return before;
    this.#kept = { ...this.#kept, proof: raw };
    return done;
  }

  async #proven(raw: Bytes): Promise<Complete> {
    const { chain, key } = this.#source;
    const done = await as('garbled', () => checkCompleteness(raw, this.#policy, key));
    const shown = chain.at(done.seq);
    if (shown === null) throw new LogBreach('kept-back', `log: it has statement ${done.seq}, and the server shows up to ${chain.length - 1}`, done.seq);
    if (!equal(shown.hash, done.head)) throw new LogBreach('fork', `log: it has another statement ${done.seq} than the server shows`, done.seq);
    return done;
  }

  /** The newest checkpoint, if the log has only grown since the one that was accepted before. */
  async #newest(): Promise<SignedCheckpoint> {
    const now = await as('garbled', () => this.#log.checkpoint());
    const before = await this.pinned();
    if (before !== null) await as('fork', () => this.#log.extends(before, now));
    if (now.witnessed !== null && this.#source.now() - now.witnessed * 1000 > staleAfterMs) {
      throw new LogBreach('stale-witness', 'log: no quorum of witnesses has seen it for a day');
    }
    this.#kept = { ...this.#kept, checkpoint: now.raw, size: now.size };
    return now;
  }

  /** Checks a release file: signed as the policy says, and in the log that was accepted. */
  async released(file: Bytes): Promise<Released> {
    const found = await checkReleased(file, this.#policy);
    const before = await this.pinned();
    if (before === null) return found;
    const [older, newer] = found.checkpoint.size <= before.size ? [found.checkpoint, before] : [before, found.checkpoint];
    await as('fork', () => this.#log.extends(older, newer));
    return found;
  }

  /** The newest checkpoint that was accepted; null before the first. */
  async pinned(): Promise<SignedCheckpoint | null> {
    const raw = this.#kept.checkpoint;
    return raw === null ? null : { ...(await this.#policy.checkpoint(raw)), raw };
  }

  /** Proves the statements that were not proven before; what was, is in every log that has only grown since. */
  async #statements(now: SignedCheckpoint, progress: (kept: KeptLog) => void): Promise<void> {
    const { chain } = this.#source;
    while (this.#kept.leaves.length < chain.length) {
      const from = this.#kept.leaves.length;
      const { log, leaves } = await this.#source.leaves(from);
      if (leaves.length > 0 && log !== this.#policy.origin) throw new LogBreach('fork', 'log: the statements are said to be in another one');
      for (const leaf of leaves.slice(0, chain.length - from)) {
        if (leaf >= BigInt(now.size)) return;
        await this.prove(now, this.#kept.leaves.length, Number(leaf));
        this.#kept = { ...this.#kept, leaves: [...this.#kept.leaves, Number(leaf)] };
        progress(this.#kept);
      }
      if (leaves.length === 0) return;
    }
  }

  /** Proves that statement seq is the entry at leaf. */
  async prove(now: SignedCheckpoint, seq: number, leaf: number): Promise<Proof> {
    const state = this.#source.chain.at(seq);
    if (state === null) throw new Failure('not-found', `log: no statement ${seq}`);
    const tag = tagOf(this.#source.key, seq);
    const proof = { ...(await as('garbled', () => this.#log.prove(now, leaf))), extra: tag };
    await as('gap', () => checkProof(proof, this.#policy, encodeEntry({ kind: 'household', tag, value: state.hash })), seq);
    return proof;
  }

  /** The oldest statement that is not in the log yet, unless it should be there by now. */
  #gap(now: SignedCheckpoint, complete: Complete | null, waiting: Waiting | null): Waiting | null {
    const seq = this.#kept.leaves.length;
    const state = this.#source.chain.at(seq);
    if (state === null) return null;
    const since = waiting?.seq === seq ? waiting : { seq, since: this.#source.now(), size: now.size };
    const leftOut = complete !== null && complete.seq < seq && complete.set.time > state.time + leftOutSeconds;
    const overdue = this.#source.now() - since.since > overdueMs && now.size > since.size;
    if (leftOut || overdue) throw new LogBreach('gap', `log: statement ${seq} is not in it`, seq);
    return since;
  }
}

/** The file of a proof, as c2sp.org/tlog-proof has it. */
export function proofFile(proof: Proof): string {
  return fromUtf8(encodeProof(proof));
}
