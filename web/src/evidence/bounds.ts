/** Between which two moments footage was recorded, whatever the hub's clock said (docs/spec/evidence.md, "Time"). */
import { equal, hex } from '../crypto/bytes';
import type { Heads, OpenEpoch } from '../crypto/epoch';
import { refuse } from '../crypto/failure';
import { kidOf } from '../crypto/hash';
import type { Policy } from '../ledger/policy';
import { parseProof } from '../ledger/proof';
import { checkInclusion } from '../ledger/tree';
import type { Proven } from './check';
import type { EvidenceFile } from './container';
import type { TrackParts } from './parts';
import type { Bound } from './report';

/** How far the hub's clock may be off before its times and the bounds contradict each other, in seconds. */
const slack = 600;

interface Given {
  readonly file: EvidenceFile;
  /** null: none that holds */
  readonly policy: Policy | null;
  readonly proven: readonly Proven[];
  readonly epochs: ReadonlyMap<string, OpenEpoch>;
  readonly heads: ReadonlyMap<string, Heads>;
  readonly tracks: readonly TrackParts[];
  readonly from: number;
  readonly until: number;
}

interface Found {
  after: Bound | null;
  before: Bound | null;
  readonly problems: string[];
}

export async function boundsOf(given: Given): Promise<Found> {
  const search = new Search(given);
  for (const look of [() => search.stray(), () => search.proofsUsed(), () => search.notBefore(), () => search.notAfter(), () => search.agree()]) {
    try {
      await look();
    } catch (err) {
      search.found.problems.push(err instanceof Error ? err.message : String(err));
    }
  }
  return search.found;
}

class Search {
  readonly found: Found = { after: null, before: null, problems: [] };
  /** of which the file has a part */
  readonly #used: OpenEpoch[];
  /** the first of each hub */
  readonly #first = new Map<string, OpenEpoch>();
  /** the one before a hub's first, by its id (hex) */
  readonly #before = new Map<string, OpenEpoch>();

  constructor(private readonly g: Given) {
    this.#used = [...new Set(g.tracks.flatMap((t) => t.stretches.map((s) => s.epoch)))];
    for (const e of this.#used) {
      const first = this.#first.get(hex(e.note.hub));
      if (first === undefined || e.note.n < first.note.n) this.#first.set(hex(e.note.hub), e);
    }
    for (const [id, e] of g.epochs) {
      const first = this.#first.get(hex(e.note.hub));
      if (first !== undefined && equal(e.hash, first.note.prev) && !this.#used.includes(e)) this.#before.set(id, e);
    }
  }

  stray(): void {
    for (const [id, e] of this.g.epochs) {
      if (!this.#before.has(id) && !this.#used.includes(e)) throw refuse('evidence: the note of an epoch of which the file has no part, and which is not the one before');
    }
  }

  proofsUsed(): void {
    for (const { seq, body, by } of this.g.proven) {
      const used = body.type === 'hub' ? this.#first.has(hex(kidOf(body.ed)))
        : body.type === 'anchor' && this.#used.some((e) => equal(e.note.hub, by) && body.epochs.some((h) => equal(h, e.hash)));
      if (!used) throw refuse(`evidence: the proof of statement ${seq} is of nothing that has to do with this footage`);
    }
  }

  /** The earliest of the hubs' bounds, if all of them have one. */
  async notBefore(): Promise<void> {
    const bounds = new Map<string, Bound>();
    const { policy } = this.g;
    for await (const [name, raw] of this.g.file.below('sets/')) {
      if (policy === null) continue;
      const [epoch, heads] = [this.#before.get(name), this.g.heads.get(name)];
      if (epoch === undefined || heads === undefined) throw refuse('evidence: a set of no epoch before the footage, or the heads of that epoch are missing');
      bounds.set(hex(epoch.note.hub), await namedSet(policy, heads, raw));
    }
    if (bounds.size === 0 || bounds.size < this.#first.size) return;
    this.found.after = [...bounds.values()].reduce((a, b) => (b.at < a.at ? b : a));
  }

  /** The latest of the epochs' bounds, if all of them have one. */
  notAfter(): void {
    const bounds = this.#used.map((e) => this.#anchorOf(e));
    if (bounds.length === 0 || bounds.includes(null)) return;
    this.found.before = bounds.filter((b) => b !== null).reduce((a, b) => (b.at > a.at ? b : a));
  }

  #anchorOf(e: OpenEpoch): Bound | null {
    let best: Bound | null = null;
    for (const { body, by, entry, witnessed } of [...this.g.proven].sort((a, b) => a.seq - b.seq)) {
      if (body.type !== 'anchor' || witnessed === null || !equal(by, e.note.hub) || !body.epochs.some((h) => equal(h, e.hash))) continue;
      if (best === null || witnessed < best.at) best = { at: witnessed, entry };
    }
    return best;
  }

  /** What does not fit the times that the hub gave its parts bounds nothing. */
  agree(): void {
    const { after, before } = this.found;
    const { from, until } = this.g;
    const wrong = (after !== null && after.at > from + slack) || (before !== null && before.at < until - slack) || (after !== null && before !== null && after.at > before.at + slack);
    if (!wrong) return;
    [this.found.after, this.found.before] = [null, null];
    throw refuse('evidence: the hub’s clock says another time than the public log');
  }
}

/** A set that stands in the very log that the heads of an epoch name. */
async function namedSet(policy: Policy, { log }: Heads, raw: Uint8Array): Promise<Bound> {
  const proof = parseProof(raw);
  if (!equal(proof.checkpoint, policy.namedText(log))) throw refuse('evidence: the proof is of another log than the one that is named');
  checkInclusion(proof.hashes, log, proof.index, proof.extra);
  const set = await policy.loggedSet(proof.extra);
  return { at: set.time, entry: proof.index };
}
