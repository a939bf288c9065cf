/**
 * For tests only: a public log in memory with its files, set, proofs and
 * witnesses, made by the words of docs/spec/log.md. It keeps every statement it
 * is given, and lies when a test changes its fields.
 */
import { tilePath } from '../ledger/reader';
import { b64, type Bytes, concat, hex, u16, u64, utf8 } from './bytes';
import { random, type Signer, signer } from './cipher';
import { Failure } from './failure';
import { H, kdf } from './hash';

const year = '2026';
const host = 'log.example';

const node = (a: Bytes, b: Bytes): Bytes => H(new Uint8Array([1]), a, b);

/** Of the tree over these leaf hashes. */
export function treeRoot(hashes: readonly Bytes[]): Bytes {
  if (hashes.length <= 1) return hashes[0] ?? H();
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  return node(treeRoot(hashes.slice(0, k)), treeRoot(hashes.slice(k)));
}

function inclusion(hashes: readonly Bytes[], m: number): Bytes[] {
  if (hashes.length <= 1) return [];
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  return m < k ? [...inclusion(hashes.slice(0, k), m), treeRoot(hashes.slice(k))] : [...inclusion(hashes.slice(k), m - k), treeRoot(hashes.slice(0, k))];
}

interface Leaf {
  readonly tag: Bytes;
  readonly value: Bytes;
}
const bit = (tag: Bytes, d: number): number => ((tag[d >>> 3] ?? 0) >>> (7 - (d & 7))) & 1;

function setRoot(leaves: readonly Leaf[], d = 0): Bytes {
  const [only] = leaves;
  if (only === undefined) return new Uint8Array(32);
  if (leaves.length === 1) return H(new Uint8Array([2]), only.tag, only.value);
  return H(new Uint8Array([3]), setRoot(leaves.filter((l) => bit(l.tag, d) === 0), d + 1), setRoot(leaves.filter((l) => bit(l.tag, d) === 1), d + 1));
}

function setProof(leaves: readonly Leaf[], tag: Bytes): Bytes {
  const siblings: Bytes[] = [];
  let here = leaves;
  for (let d = 0; here.length > 1; d++) {
    siblings.push(setRoot(here.filter((l) => bit(l.tag, d) !== bit(tag, d)), d + 1));
    here = here.filter((l) => bit(l.tag, d) === bit(tag, d));
  }
  const [end] = here;
  return concat(u16(siblings.length), ...siblings, ...(end === undefined ? [new Uint8Array(1)] : [new Uint8Array([1]), end.tag, end.value]));
}

interface Party {
  readonly name: string;
  readonly type: 1 | 4;
  readonly key: Signer;
}
const body = ({ type, key }: Party): Bytes => concat(new Uint8Array([type]), key.publicKey);
const idOf = (p: Party): Bytes => H(utf8(`${p.name}\n`), body(p)).slice(0, 4);
const vkey = (p: Party): string => `${p.name}+${hex(idOf(p))}+${b64(body(p))}`;

async function line(p: Party, text: Bytes, time: number): Promise<string> {
  const blob = p.type === 1 ? await p.key.sign(text) : concat(u64(time), await p.key.sign(concat(utf8(`cosignature/v1\ntime ${time}\n`), text)));
  return `— ${p.name} ${b64(concat(idOf(p), blob))}\n`;
}

export class TestLog {
  /** the time it goes by, unix seconds */
  now: () => number = () => Math.floor(Date.now() / 1000);
  /** policy, checkpoint and tiles as they are served; changed by tests that lie */
  readonly files = new Map<string, Bytes>();
  /** paths asked for, in order */
  readonly asked: string[] = [];
  proof: Bytes | null = null;
  /** leaf of statement seq */
  readonly places: number[] = [];
  readonly #entries: Bytes[] = [];
  readonly #leaves: Leaf[] = [];
  readonly #log: Party;
  readonly #operator: Party;
  readonly #witness: Party | null;
  readonly #releasers: readonly Party[];
  readonly #staffRoot: Party;

  private constructor(log: Party, operator: Party, witness: Party | null, releasers: readonly Party[], staffRoot: Party) {
    [this.#log, this.#operator, this.#witness, this.#releasers, this.#staffRoot] = [log, operator, witness, releasers, staffRoot];
    const witnessed = witness === null ? 'quorum none\n' : `witness anna ${vkey(witness)}\nquorum anna\n`;
    this.files.set('policy', utf8(`log ${vkey(log)}\noperator ${vkey(operator)}\n${witnessed}${releasers.map((p, i) => `releaser r${i} ${vkey(p)}\n`).join('')}staffroot staff ${vkey(staffRoot)}\n`));
  }

  static async start(witnessed = false, releasers = 0): Promise<TestLog> {
    const fresh = (): Promise<Signer> => signer(random(32));
    return new TestLog(
      { name: `${host}/log/${year}`, type: 1, key: await fresh() },
      { name: host, type: 1, key: await fresh() },
      witnessed ? { name: 'anna.example', type: 4, key: await fresh() } : null,
      await Promise.all(Array.from({ length: releasers }, async (_, i): Promise<Party> => ({ name: `r${i}.example`, type: 1, key: await fresh() }))),
      { name: 'staff.example', type: 1, key: await fresh() },
    );
  }

  /** A log under the same keys that holds something else. */
  fork(): TestLog {
    return new TestLog(this.#log, this.#operator, this.#witness, this.#releasers, this.#staffRoot);
  }

  get origin(): string {
    return this.#log.name;
  }

  get operator(): string {
    return vkey(this.#operator);
  }

  /** signs what the operator writes into chains */
  get operatorKey(): Signer {
    return this.#operator.key;
  }

  get size(): number {
    return this.#entries.length;
  }

  readonly fetch = (path: string): Promise<Bytes> => {
    this.asked.push(path);
    const b = this.files.get(path === 'policy' ? path : path.replace(`${year}/`, ''));
    return b === undefined ? Promise.reject(new Failure('not-found', path)) : Promise.resolve(b);
  };

  /** Adds a statement of whoever has this key. */
  add(key: Bytes, seq: number, value: Bytes): void {
    const tag = kdf(key, 'log tag', u64(seq));
    this.#leaves.push({ tag, value });
    this.#entries.push(concat(new Uint8Array(1), tag, value));
  }

  /** Publishes what was added: a set, a checkpoint over it, and the proof that statement seq is the newest. */
  async publish(key: Bytes, seq: number): Promise<void> {
    const time = this.now();
    const text = utf8(`latchkey/v1 set\norigin ${this.origin}\nsize ${this.size}\ncount ${this.#leaves.length}\nroot ${b64(setRoot(this.#leaves))}\ntime ${time}\n`);
    const note = concat(text, utf8(`\n${await line(this.#operator, text, time)}`));
    const index = this.#entries.push(concat(new Uint8Array([1]), note)) - 1;
    const checkpoint = await this.checkpoint();
    const hashes = this.#hashes();
    const proof = concat(utf8(`c2sp.org/tlog-proof@v1\nindex ${index}\n${inclusion(hashes, index).map((h) => `${b64(h)}\n`).join('')}\n`), checkpoint);
    const [present, absent] = [seq, seq + 1].map((n) => setProof(this.#leaves, kdf(key, 'log tag', u64(n))));
    this.proof = utf8(`latchkey/v1 completeness\nseq ${seq}\nset ${b64(note)}\nlog ${b64(proof)}\npresent ${b64(present ?? H())}\nabsent ${b64(absent ?? H())}\n`);
  }

  /** Publishes a release of a page with this manifest, signed by so many releasers. */
  async release(manifest: Bytes, signed = this.#releasers.length): Promise<void> {
    const text = utf8(`latchkey/v1 release\nkind web\nversion 1.2\nhash ${b64(H(manifest))}\nsource abc\n`);
    const lines = await Promise.all(this.#releasers.slice(0, signed).map((p) => line(p, text, 0)));
    const note = concat(text, utf8(`\n${lines.join('')}`));
    const proof = await this.#prove(note);
    this.files.set('release/web', utf8(`latchkey/v1 released\nnote ${b64(note)}\nlog ${b64(proof)}\n`));
    this.files.set('release/web/manifest', manifest);
  }

  /** Somebody of staff by this text, in the log; `root` signs, or the policy's own. */
  async staff(text: string, root: Signer = this.#staffRoot.key): Promise<{ note: Bytes; proof: Bytes }> {
    const note = concat(utf8(text), utf8(`\n${await line({ ...this.#staffRoot, key: root }, utf8(text), 0)}`));
    return { note, proof: await this.#prove(note) };
  }

  async #prove(note: Bytes): Promise<Bytes> {
    const index = this.#entries.push(concat(new Uint8Array([1]), note)) - 1;
    const checkpoint = await this.checkpoint();
    return concat(utf8(`c2sp.org/tlog-proof@v1\nindex ${index}\n${inclusion(this.#hashes(), index).map((h) => `${b64(h)}\n`).join('')}\n`), checkpoint);
  }

  /** Writes tiles and a checkpoint of everything that was added. */
  async checkpoint(): Promise<Bytes> {
    const hashes = this.#hashes();
    this.#tiles('entries', this.#entries.map((e) => concat(u16(e.length), e)));
    let row: readonly Bytes[] = hashes;
    for (let level = 0; row.length > 0; level++) {
      this.#tiles(level, row);
      row = Array.from({ length: Math.floor(row.length / 256) }, (_, i) => treeRoot(row.slice(256 * i, 256 * i + 256)));
    }
    const text = utf8(`${this.origin}\n${this.size}\n${b64(treeRoot(hashes))}\n`);
    const cosigned = this.#witness === null ? '' : await line(this.#witness, text, this.now());
    const note = concat(text, utf8(`\n${await line(this.#log, text, 0)}${cosigned}`));
    this.files.set('checkpoint', note);
    return note;
  }

  #hashes(): Bytes[] {
    return this.#entries.map((e) => H(new Uint8Array(1), e));
  }

  #tiles(level: number | 'entries', row: readonly Bytes[]): void {
    for (let n = 0; n * 256 < row.length; n++) {
      const part = row.slice(256 * n, 256 * n + 256);
      this.files.set(tilePath(level, n, part.length), concat(...part));
    }
  }

  /** Takes the statements of a chain (their hashes) that it has not, and publishes. */
  async take(key: Bytes, hashes: readonly Bytes[]): Promise<void> {
    for (let seq = this.places.length; seq < hashes.length; seq++) {
      this.places.push(this.size);
      this.add(key, seq, hashes[seq] ?? H());
    }
    if (hashes.length > 0) await this.publish(key, hashes.length - 1);
  }
}
