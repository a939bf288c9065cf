/**
 * Add late (protocol 2.11): whoever or whatever the chain adds counts here once
 * a proof of completeness covers the statement. Nothing is sealed to keys before,
 * and no hub is believed. Removals are in the chain's head and count at once.
 */
import { type Bytes, equal, hex } from './bytes';
import type { Chain, Member as Listed } from './chain';
import { type WordedFailure, worded } from './words';

/** Proofs come seconds after a statement; who waits longer is told. */
const withinMs = 45_000;

/** Up to which statement the public log has proven the chain to this browser; it never goes back. */
export class Cover {
  #upTo: number;
  readonly #waiting = new Set<() => void>();
  /** Told when it covers more. */
  onRaise: () => void = () => undefined;

  /** What was covered before; at first the place that this person's own devices, or who let him in, have vouched for. */
  constructor(upTo: number) {
    this.#upTo = upTo;
  }

  get upTo(): number {
    return this.#upTo;
  }

  raise(seq: number): void {
    if (seq <= this.#upTo) return;
    this.#upTo = seq;
    for (const wake of [...this.#waiting]) wake();
    this.onRaise();
  }

  /** Resolves once statement seq is covered. Throws in words when that takes too long. */
  reached(seq: number, what: string): Promise<void> {
    if (seq <= this.#upTo) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        if (seq > this.#upTo) return;
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(wake);
        reject(notProven(what));
      }, withinMs);
      this.#waiting.add(wake);
    });
  }
}

/** The statement since which a member has had the sealing key that he has now. */
export function keysSince(chain: Chain, m: Listed): number {
  let seq = chain.length - 1;
  while (seq > 0 && holds(chain, seq - 1, m)) seq--;
  return seq;
}

function holds(chain: Chain, seq: number, m: Listed): boolean {
  const then = chain.at(seq)?.members.get(hex(m.kid));
  return then !== undefined && equal(then.x, m.x);
}

/** Of the members of now those to whose keys something may be sealed; oneself always. */
export function settled(chain: Chain, cover: Cover, me: Bytes): Listed[] {
  return [...chain.head.members.values()].filter((m) => equal(m.kid, me) || keysSince(chain, m) <= cover.upTo);
}

/** It passes by itself, unless the log is away. */
export function notProven(what: string): WordedFailure {
  return worded('network', {
    what: `The public log has not proven ${what} yet.`,
    safe: 'Nothing was handed over. Recording and watching go on.',
    next: 'That takes seconds: try again. If it stays, see “Access”.',
  });
}
