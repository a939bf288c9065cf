/** For tests only: the desk of the server in memory. It knows no word of a ticket; tests lie by changing its fields. */
import { b64, type Bytes, equal, hex } from './bytes';
import { random, signer, type Signer } from './cipher';
import { Failure } from './failure';
import { kidsOf } from './grant';
import { kidOf } from './hash';
import { newSealingKey, type SealingKey } from './hpke';
import { nowSeconds } from './signin';
import type { TestLog } from './testlog';
import type { TestServer } from './testserver';

export interface TestAgent {
  readonly id: string;
  readonly key: Signer;
  readonly box: SealingKey;
  readonly entry: { note: Bytes; proof: Bytes };
}

interface TestTicket {
  readonly topic: string;
  open: boolean;
  /** letters by reader's kid (hex), oldest first */
  readonly letters: { readonly kid: string; readonly body: Bytes }[];
}

/** Somebody whom the staff root has signed for, in the log; `root`: another signer. */
export async function testAgent(log: TestLog, more: { id?: string; role?: string; trained?: number; from?: number; until?: number; root?: Signer } = {}): Promise<TestAgent> {
  const [id, now] = [more.id ?? 'sam', nowSeconds()];
  const [key, box] = [await signer(random(32)), await newSealingKey()];
  const from = more.from ?? now - 3600;
  const text = `latchkey/v1 staff\nid ${id}\nrole ${more.role ?? 'support'}\ned ${b64(key.publicKey)}\nx ${b64(box.publicKey)}\ntrained ${more.trained ?? from - 60}\nfrom ${from}\nuntil ${more.until ?? now + 86_400}\n`;
  return { id, key, box, entry: await log.staff(text, more.root) };
}

export class TestDesk {
  /** who gets every ticket; null: nobody is there */
  agent: TestAgent | null = null;
  /** who is staff besides */
  readonly others: TestAgent[] = [];
  readonly tickets: TestTicket[] = [];
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
  }

  /** What the agent can read of ticket n. */
  letters(n: number, box: SealingKey): Bytes[] {
    return this.tickets[n - 1]?.letters.filter((l) => l.kid === hex(box.kid)).map((l) => l.body) ?? [];
  }

  /** Puts a letter as somebody of staff would. */
  put(n: number, x: Bytes, body: Bytes): void {
    this.#get(BigInt(n)).letters.push({ kid: hex(kidOf(x)), body });
  }

  calls(mine: () => Bytes): Record<string, Record<string, (r: never) => unknown>> {
    const entry = (): TestAgent['entry'] | undefined => this.agent?.entry;
    const listed = (t: TestTicket, i: number): unknown => ({ ticket: BigInt(i + 1), topic: t.topic, state: t.open ? 'open' : 'closed', agent: this.agent?.id ?? '', openedMs: 1n, updatedMs: 2n, messages: t.letters.length });
    return {
      ticket: {
        openTicket: (r: { topic: string }) => {
          mine();
          if (this.agent === null) throw new Failure('network', 'api: Unavailable');
          this.tickets.push({ topic: r.topic, open: true, letters: [] });
          return { ticket: BigInt(this.tickets.length), agent: entry() };
        },
        listTickets: () => (mine(), { tickets: this.tickets.map(listed).reverse() }),
        getTicket: (r: { ticket: bigint }) => {
          const me = this.#server.chain.members.get(hex(mine()));
          const kids = me === undefined ? [] : kidsOf(me).map(hex);
          const t = this.#get(r.ticket);
          return { ticket: listed(t, Number(r.ticket) - 1), letters: t.letters.filter((l) => kids.includes(l.kid)).map((l) => l.body), agent: entry() };
        },
        putMessage: (r: { ticket: bigint; letters: { kid: Bytes; body: Bytes }[] }) => {
          mine();
          const t = this.#get(r.ticket);
          if (!t.open) throw new Failure('conflict', 'closed');
          for (const l of r.letters) {
            if (!equal(l.kid, l.body.subarray(4, 20))) throw new Error('illegal call: a letter to another than it says');
            t.letters.push({ kid: hex(l.kid), body: l.body });
          }
          return {};
        },
        closeTicket: (r: { ticket: bigint }) => {
          mine();
          this.#get(r.ticket).open = false;
          return {};
        },
      },
      staff: { listStaff: () => ({ staff: [...new Set([...(this.agent === null ? [] : [this.agent]), ...this.others])].map((a) => a.entry) }) },
    };
  }

  #get(n: bigint): TestTicket {
    const t = this.tickets[Number(n) - 1];
    if (t === undefined) throw new Failure('not-found', 'no ticket');
    return t;
  }
}
