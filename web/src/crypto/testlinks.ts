/** For tests only: the part of the server in memory that keeps what links open. */
import { type Bytes, hex } from './bytes';
import { Failure } from './failure';
import type { TestServer } from './testserver';

/** What was put for a link; tests lie by changing it. */
export interface PutLink {
  readonly grant: Bytes;
  capsule: Bytes;
  proof: Bytes;
  mac: Bytes;
  words: Bytes;
}

export class TestLinks {
  /** by the kid (hex) of the link's key */
  readonly put = new Map<string, PutLink>();
  views = 0;
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
  }

  /** What whoever has the kid is given. */
  open(kid: Bytes): { note: Bytes; proof: Bytes; capsule: Bytes; mac: Bytes; words: Bytes; epochs: { note: Bytes; heads: Bytes }[] } {
    const link = this.put.get(hex(kid));
    const grant = link === undefined ? undefined : this.#server.chain.grants.get(hex(link.grant));
    if (link === undefined || grant === undefined || grant.revoked) throw new Failure('not-found', 'no link');
    this.views++;
    const { proof, capsule, mac, words } = link;
    const note = this.#server.notes[grant.seq] ?? new Uint8Array();
    return { note, proof, capsule, mac, words, epochs: this.#server.epochs.map((e) => ({ note: e.note, heads: new Uint8Array() })) };
  }

  calls(mine: () => Bytes): Record<string, (r: never) => unknown> {
    return {
      putLink: (r: { grant: Bytes; kid: Bytes; capsule: Bytes; proof: Bytes; mac: Bytes; words: Bytes }) => {
        mine();
        const grant = this.#server.chain.grants.get(hex(r.grant));
        if (grant?.kind !== 'link' || r.proof.length === 0 || r.mac.length !== 32 || hex(r.kid) !== hex(grant.to)) throw new Error('illegal call: no link, or one without a proof');
        this.put.set(hex(grant.to), { ...r });
        return {};
      },
      listLinks: () => {
        mine();
        return { links: [...this.put.values()].map((l) => ({ grant: l.grant, views: this.views, lastViewMs: BigInt(this.views) })).filter((l) => this.#server.chain.grants.get(hex(l.grant))?.revoked === false) };
      },
      openLink: (r: { kid: Bytes }) => this.open(r.kid),
    };
  }
}
