/** What a public log says of its operator (docs/spec/log.md): counted by whoever reads it, zero included. */
import { b64, type Bytes, parseB64 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { decimal, parseEntry, textOf } from './leaf';
import type { Policy } from './policy';
import { type StaffRole, staffRoles } from './staff';

/** What the operator says of itself: from its place in the log on, `what` is what the hash says. */
export interface Notice {
  readonly what: string;
  readonly hash: Bytes;
}

/** Reads a signed notice. Throws Failure 'verify'. */
export async function noticeOf(raw: Uint8Array, policy: Policy): Promise<Notice> {
  const [, what, hash64 = ''] = /^latchkey\/v1 notice\nwhat ([a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)\nhash (.*)\n$/.exec(await policy.said(raw)) ?? [];
  const hash = parseB64(hash64, 32);
  if (what === undefined || hash === null || b64(hash) !== hash64) throw refuse('ledger: no notice');
  return { what, hash };
}

/** The kinds of requests, in the order of reports. */
export const legalKinds = ['court-order', 'warrant', 'subpoena', 'emergency', 'other'] as const;
export type LegalKind = (typeof legalKinds)[number];

/** The states of a request, in the order in which it can come into them. */
export const legalStates = ['received', 'refused', 'disclosed'] as const;
export type LegalState = (typeof legalStates)[number];

/** A request of an authority, without who was asked about, and by whom. */
export interface Legal {
  /** counts the operator's requests from 1 */
  readonly number: number;
  readonly kind: LegalKind;
  /** two letters; zz: not told */
  readonly country: string;
  readonly state: LegalState;
  /** unix seconds */
  readonly time: number;
}

/** Reads a signed legal note. Throws Failure 'verify'. */
export async function legalOf(raw: Uint8Array, policy: Policy): Promise<Legal> {
  const [, n, k, country, s, at] = /^latchkey\/v1 legal\nnumber (.*)\nkind ([a-z-]+)\ncountry ([a-z]{2})\nstate ([a-z]+)\ntime (.*)\n$/.exec(await policy.said(raw)) ?? [];
  const [number, time] = [decimal(n), decimal(at)];
  const kind = legalKinds.find((x) => x === k);
  const state = legalStates.find((x) => x === s);
  if (number === null || number < 1 || time === null || kind === undefined || state === undefined || country === undefined) throw refuse('ledger: no legal note');
  return { number, kind, country, state, time };
}

export interface Transparency {
  /** entries of the log that were read */
  readonly entries: number;
  /** every kind and every state is there */
  readonly requests: Readonly<Record<LegalKind, Readonly<Record<LegalState, number>>>>;
  /** requests received by country */
  readonly countries: Readonly<Record<string, number>>;
  /** people who were ever staff */
  readonly staff: Readonly<Record<StaffRole, number>>;
  readonly releases: number;
  /** of the desk's rules, in the order in which they came into force */
  readonly rules: readonly Bytes[];
}

const zero = <K extends string, V>(keys: readonly K[], of: () => V) => Object.fromEntries(keys.map((k) => [k, of()])) as Record<K, V>;

/** Reads the entries of a log in their order and counts. */
export class Counter {
  #entries = 0;
  #releases = 0;
  readonly #requests = zero(legalKinds, () => zero(legalStates, () => 0));
  readonly #staff = zero(staffRoles, () => 0);
  readonly #countries: Record<string, number> = {};
  readonly #rules: Bytes[] = [];
  /** what was said last of a request */
  readonly #last = new Map<number, Legal>();
  readonly #people = new Set<string>();

  constructor(readonly policy: Policy) {}

  /** Counts one entry. Throws Failure 'verify' at a note that its signer did not sign, or a request that goes back, changes or was never received. */
  async read(raw: Uint8Array): Promise<void> {
    this.#entries++;
    const e = parseEntry(raw);
    if (e.kind !== 'public') return;
    switch (/^latchkey\/v1 ([a-z]+)\n/.exec(textOf(e.note))?.[1]) {
      case 'legal':
        this.#legal(await legalOf(e.note, this.policy));
        return;
      case 'staff': {
        const s = await this.policy.staff(e.note);
        const who = `${s.role} ${b64(s.ed)}`;
        if (!this.#people.has(who)) this.#staff[s.role]++;
        this.#people.add(who);
        return;
      }
      case 'notice': {
        const n = await noticeOf(e.note, this.policy);
        if (n.what === 'desk-policy') this.#rules.push(n.hash);
        return;
      }
      case 'release':
        this.#releases++;
    }
  }

  #legal(l: Legal): void {
    const before = this.#last.get(l.number);
    if (l.state === 'received') {
      if (before !== undefined) throw refuse(`ledger: request ${String(l.number)} is received twice`);
      this.#countries[l.country] = (this.#countries[l.country] ?? 0) + 1;
    } else if (before?.state !== 'received' || before.kind !== l.kind || before.country !== l.country) {
      throw refuse(`ledger: request ${String(l.number)} is ${l.state}, and was never received like that`);
    }
    this.#last.set(l.number, l);
    this.#requests[l.kind][l.state]++;
  }

  report(): Transparency {
    return { entries: this.#entries, requests: this.#requests, countries: this.#countries, staff: this.#staff, releases: this.#releases, rules: this.#rules };
  }
}
