/**
 * The public log as this browser knows it: what it has pinned, how far the
 * household's statements are verified, and what is wrong. It looks by itself as
 * long as the household is open.
 */
import type { Breach, BreachKind, LogState, StatementProof } from '../owner/access/types';
import type { Complete } from '../ledger/completeness';
import { NotWitnessed, Policy } from '../ledger/policy';
import { encodeProof } from '../ledger/proof';
import { Log } from '../ledger/reader';
import type { Released } from '../ledger/release';
import { TileCache } from '../ledger/tilecache';
import type { Tree } from '../ledger/tree';
import { type Bytes, equal, own } from './bytes';
import { Failure, isKind, refuse } from './failure';
import { H } from './hash';
import { LogBreach, LogCheck, type LogSource, policyOf, proofFile, staleAfterMs, type Waiting } from './logcheck';
import type { Member } from './member';
import type { KeptLog } from './store';

const lookEveryMs = 240_000;
/** While something new waits for its proof: a server makes one within seconds. */
const hurryEveryMs = 4000;
const hurryForMs = 180_000;
/** How long a household may have no proof until that is worth a word. */
const firstProofMs = 120_000;
const tellEveryMs = 250;
/** What shows that the server said two things; it does not heal by the server's saying the first again. */
const lasting: readonly BreachKind[] = ['fork', 'kept-back'];

/** Nothing is known of the log but its policy. */
function pin(policy: Policy): KeptLog {
  return { policy: policy.text, since: Date.now(), checkpoint: null, size: 0, proof: null, leaves: [], breach: null };
}

export class LogBook {
  readonly #member: Member;
  readonly #changed: () => void;
  readonly #tiles = new Map<string, TileCache>();
  readonly #loaded: Promise<void>;
  #kept: KeptLog | null = null;
  #complete: Complete | null = null;
  #waiting: Waiting | null = null;
  #away = false;
  #looking: Promise<void> | null = null;
  #hurryUntil = Date.now() + hurryForMs;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #told = '';
  #toldAt = 0;
  readonly #began = Date.now();

  constructor(member: Member, changed: () => void) {
    this.#member = member;
    this.#changed = changed;
    this.#loaded = this.#load();
  }

  /** What this browser kept: the proof in it is checked again. */
  async #load(): Promise<void> {
    try {
      this.#kept = (await this.#member.place.store.load())?.log ?? null;
      if (this.#kept === null) return;
      this.#complete = await new LogCheck(await this.#source(), new Policy(this.#kept.policy), this.#kept).before();
    } catch (err) {
      await this.#note(err);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** There are new statements: they wait for a proof. */
  grown(): void {
    this.#hurryUntil = Date.now() + hurryForMs;
    void this.look();
  }

  /** What was kept on this browser has been read. */
  get ready(): Promise<void> {
    return this.#loaded;
  }

  /** Looks now, and from then on by itself. */
  look(): Promise<void> {
    this.#looking ??= this.#lookAndPlan().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #lookAndPlan(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#loaded;
    try {
      await this.#attempt();
      this.#away = false;
      await this.#heal();
    } catch (err) {
      await this.#note(err);
    }
    this.#tell();
    if (this.#closed) return;
    const hurry = this.#pending && Date.now() < this.#hurryUntil;
    this.#timer = setTimeout(() => void this.look(), hurry ? hurryEveryMs : lookEveryMs);
  }

  /** A look that ended well solves what says no more than that the log is not as it must be now. */
  async #heal(): Promise<void> {
    const kept = this.#kept;
    if (kept === null || kept.breach === null || lasting.includes(kept.breach.kind)) return;
    await this.#keep({ ...kept, breach: null });
  }

  get #pending(): boolean {
    return this.#complete === null || this.#complete.seq + 1 < this.#member.chain.length;
  }

  /** What does not verify is looked at twice: a statement may have come between two answers, a file may have been damaged on its way. */
  async #attempt(): Promise<void> {
    try {
      await this.#once();
    } catch (err) {
      if (!isKind(err, 'verify') || err instanceof NotWitnessed) throw err;
      for (const cache of this.#tiles.values()) cache.forget();
      await this.#member.sync();
      await this.#once();
    }
  }

  async #once(): Promise<void> {
    const source = await this.#source();
    const policy = await policyOf(source, this.#kept?.policy ?? this.#member.safe.vault.policy);
    const kept = this.#kept ?? pin(policy);
    // Pinned before anything rests on it.
    if (this.#kept === null) await this.#keep(kept);
    const looked = await new LogCheck(source, policy, kept).look(this.#waiting, (now) => {
      this.#kept = now;
      this.#tell(tellEveryMs);
    });
    this.#complete = looked.complete;
    this.#waiting = looked.waiting;
    await this.#keep(looked.kept);
    await this.#cover(looked.complete);
  }

  /** Additions count from here on (protocol 2.11): under a proof of today, and while nothing is wrong that does not heal. */
  async #cover(complete: Complete | null): Promise<void> {
    const breach = this.#kept?.breach ?? null;
    if (complete === null || Date.now() - complete.at * 1000 > staleAfterMs || (breach !== null && lasting.includes(breach.kind))) return;
    // On disk first: what was acted on stays so after a reload.
    if (complete.seq > this.#member.cover.upTo) await this.#member.keep((a) => ({ ...a, covered: Math.max(complete.seq, a.covered ?? 0) }));
    this.#member.cover.raise(complete.seq);
  }

  /** A failed look: a breach is loud and kept, everything else means that nothing new is known. */
  async #note(err: unknown): Promise<void> {
    const breach = this.#breachOf(err);
    if (breach === null) {
      this.#away = !(err instanceof NotWitnessed);
      return;
    }
    this.#away = false;
    const kept = this.#kept;
    if (kept === null) {
      this.#firstBreach ??= breach;
      return;
    }
    const before = kept.breach;
    const told = before !== null && (lasting.includes(before.kind) || (before.kind === breach.kind && before.seq === breach.seq));
    if (!told) await this.#keep({ ...kept, breach });
  }

  /** Wrong before anything could be pinned. */
  #firstBreach: Breach | null = null;

  #breachOf(err: unknown): Breach | null {
    const at = Date.now();
    if (err instanceof LogBreach) return { kind: err.breach, at, seq: err.seq };
    if (err instanceof NotWitnessed) {
      const since = this.#kept?.since ?? at;
      return at - Math.max(since, this.#until ?? 0) > staleAfterMs ? { kind: 'stale-witness', at, seq: null } : null;
    }
    return isKind(err, 'verify') ? { kind: 'garbled', at, seq: null } : null;
  }

  async #keep(kept: KeptLog): Promise<void> {
    this.#kept = kept;
    this.#firstBreach = null;
    // Another tab may be further.
    await this.#member.keep((a) => (a.log !== undefined && a.log.policy === kept.policy && a.log.size > kept.size && kept.breach === null ? a : { ...a, log: kept }));
  }

  async #source(): Promise<LogSource> {
    const { api, chain } = this.#member;
    const key = await this.#tagKey();
    return {
      chain, key,
      policy: () => api.logFile('policy'),
      file: (policy) => {
        const name = policy.origin.slice(policy.origin.lastIndexOf('/') + 1);
        const cache = this.#tiles.get(name) ?? new TileCache((path) => api.logFile(`${name}/${path}`));
        this.#tiles.set(name, cache);
        return cache.fetch;
      },
      leaves: (from) => api.chain.getLeaves({ fromSeq: BigInt(from) }),
      completeness: async () => {
        const reply = await api.chain.getCompleteness({}).catch((err: unknown) => {
          if (isKind(err, 'not-found')) return null;
          throw err;
        });
        return reply === null ? null : own(reply.proof);
      },
      now: () => Date.now(),
    };
  }

  async #tagKey(): Promise<Bytes> {
    const { api, chain, safe } = this.#member;
    const key = safe.vault.ktag ?? own((await api.chain.getLogTagKey({})).key);
    if (!equal(H(key), chain.head.ktag)) throw refuse('log: the tag key is another than the household’s');
    return key;
  }

  get #until(): number | null {
    return this.#complete === null ? null : Math.min(this.#complete.at * 1000, Date.now());
  }

  state(): LogState {
    const { chain } = this.#member;
    const until = this.#until;
    const breach = this.#kept?.breach ?? this.#firstBreach;
    const young = Date.now() - this.#began < firstProofMs;
    const old = until === null || Date.now() - until > staleAfterMs;
    const quiet = until === null && young && !this.#away ? 'checking' : old || this.#away ? 'stale' : 'complete';
    return {
      state: breach === null ? quiet : 'broken',
      until, breach, away: this.#away,
      total: chain.length, proven: this.#kept?.leaves.length ?? 0, covered: this.#complete === null ? 0 : this.#complete.seq + 1,
      watch: this.#watch(),
    };
  }

  #watch(): LogState['watch'] {
    if (this.#kept === null) return null;
    const policy = new Policy(this.#kept.policy);
    return { log: policy.origin, size: this.#kept.size, witnesses: policy.witnesses.size, witnessed: policy.witnessed, auditors: policy.auditors.size };
  }

  /** Where statement seq stands in the log; null while it is on its way there. */
  leaf(seq: number): number | null {
    return this.#kept?.leaves[seq] ?? null;
  }

  covers(seq: number): boolean {
    return this.#complete !== null && seq <= this.#complete.seq;
  }

  /** Makes and checks the proof of one statement under the newest checkpoint. Throws Failure 'not-found' while it is on its way. */
  async proof(seq: number): Promise<StatementProof> {
    await this.#loaded;
    const [kept, leaf] = [this.#kept, this.leaf(seq)];
    if (kept === null || leaf === null) throw new Failure('not-found', `log: statement ${seq} is not in it yet`);
    const policy = new Policy(kept.policy);
    const check = new LogCheck(await this.#source(), policy, kept);
    const now = await check.pinned();
    if (now === null) throw new Failure('not-found', 'log: no checkpoint yet');
    const file = proofFile(await check.prove(now, seq, leaf));
    const witnesses = [...(await policy.cosigners(now.raw))].map(([name, time]) => ({ name, at: time * 1000 }));
    return { file, leaf, log: policy.origin, size: now.size, witnesses };
  }

  /** The proof that a set stands in the log of this size and root, which a hub has named; null: there is none, or the log was not reached yet. */
  async namedSet(tree: Tree): Promise<Bytes | null> {
    await this.#loaded;
    if (this.#kept === null || tree.size === 0) return null;
    const policy = new Policy(this.#kept.policy);
    const proof = await new Log(policy, (await this.#source()).file(policy)).namedSet(tree);
    return proof === null ? null : encodeProof(proof);
  }

  /** The newest proof of completeness as a file. Throws Failure 'not-found' while there is none. */
  async completeness(): Promise<{ file: Bytes; until: number }> {
    await this.#loaded;
    const [proof, until] = [this.#kept?.proof ?? null, this.#until];
    if (proof === null || until === null) throw new Failure('not-found', 'log: no proof of completeness yet');
    return { file: proof, until };
  }

  /** What the server has published of this page, proven under the pinned policy; null: nothing. Throws Failure 'verify', 'network'. */
  async released(): Promise<Released | null> {
    await this.#loaded;
    if (this.#kept === null) await this.look();
    const kept = this.#kept;
    if (kept === null) throw new Failure('network', 'log: it was not reached yet');
    const file = await this.#member.api.logFile('release/web').catch((err: unknown) => {
      if (isKind(err, 'not-found')) return null;
      throw err;
    });
    return file === null ? null : new LogCheck(await this.#source(), new Policy(kept.policy), kept).released(file);
  }

  /** Looks again after a person has cleared up what was wrong; with a policy that he accepts, everything is pinned anew. */
  async again(acceptPolicy: boolean): Promise<LogState> {
    await this.#looking;
    await this.#loaded;
    for (const cache of this.#tiles.values()) cache.forget();
    if (this.#kept !== null && acceptPolicy) {
      const policy = await policyOf(await this.#source(), null);
      await this.#member.safe.edit((v) => ({ ...v, policy: policy.text }));
      this.#complete = null;
      await this.#keep(pin(policy));
    } else if (this.#kept !== null) {
      await this.#keep({ ...this.#kept, breach: null });
    }
    await this.look();
    return this.state();
  }

  #tell(atMostEveryMs = 0): void {
    if (Date.now() - this.#toldAt < atMostEveryMs) return;
    const said = JSON.stringify(this.state());
    if (said === this.#told) return;
    this.#told = said;
    this.#toldAt = Date.now();
    this.#changed();
  }
}
