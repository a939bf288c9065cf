// @vitest-environment node
/** The reader of tiles over a log in memory that is hashed by the words of RFC 9162. */
import { describe, expect, it } from 'vitest';
import { type Bytes, b64, concat, hex, u16, utf8 } from '../crypto/bytes';
import { type Signer, signer } from '../crypto/cipher';
import { Failure, isKind } from '../crypto/failure';
import { H } from '../crypto/hash';
import { Policy } from './policy';
import { checkProof } from './proof';
import { Log, parseBundle, type SignedCheckpoint, tilePath } from './reader';
import { checkInclusion, type Tree } from './tree';

const origin = 'log.example/log/2026';
/** Of the entries "entry 0", "entry 1", …; Go is held to the same. */
const roots: Record<number, string> = {
  7: '98c97f0ba3175cd08b031dd084b9dc4e649b64d1a28e6ea694646503173ab587',
  256: 'da6596d95369f5fef322ab8e4e0da3b0b50236aa9c8a3b1d246f7411c9e2e32e',
  300: 'ca393d0296bec5e0b8dcab983bd1fb7d1461f512e7267cb89631ad26fd66d848',
  66_000: '08a059156898bcf96821e737c4bda8f212d036a84b6b8e2a89b4e0660c6ac9a2',
};

const node = (a: Bytes, b: Bytes): Bytes => H(new Uint8Array([1]), a, b);

function root(hashes: readonly Bytes[]): Bytes {
  if (hashes.length <= 1) return hashes[0] ?? H();
  let k = 1;
  while (2 * k < hashes.length) k *= 2;
  return node(root(hashes.slice(0, k)), root(hashes.slice(k)));
}

function vkey(name: string, type: number, key: Bytes): string {
  const body = concat(new Uint8Array([type]), key);
  return `${name}+${hex(H(utf8(`${name}\n`), body).slice(0, 4))}+${b64(body)}`;
}

/** A log with its files; what was published stays, parts of tiles too. */
class Memory {
  readonly entries: Bytes[] = [];
  readonly leaves: Bytes[] = [];
  readonly files = new Map<string, Uint8Array>();
  readonly asked: string[] = [];

  constructor(readonly key: Signer, readonly word = 'entry') {}

  readonly fetch = (path: string): Promise<Uint8Array> => {
    this.asked.push(path);
    const b = this.files.get(path);
    return b === undefined ? Promise.reject(new Failure('not-found', path)) : Promise.resolve(b);
  };

  add(e: Bytes): void {
    this.entries.push(e);
    this.leaves.push(H(new Uint8Array(1), e));
  }

  async grow(size: number): Promise<void> {
    while (this.entries.length < size) this.add(utf8(`${this.word} ${this.entries.length}`));
    this.#tiles('entries', this.entries.map((e) => concat(u16(e.length), e)));
    let row: readonly Bytes[] = this.leaves;
    for (let level = 0; row.length > 0; level++) {
      this.#tiles(level, row);
      row = Array.from({ length: Math.floor(row.length / 256) }, (_, i) => root(row.slice(256 * i, 256 * i + 256)));
    }
    const text = utf8(`${origin}\n${size}\n${b64(root(this.leaves))}\n`);
    const id = H(utf8(`${origin}\n`), new Uint8Array([1]), this.key.publicKey).slice(0, 4);
    this.files.set('checkpoint', concat(text, utf8(`\n— ${origin} ${b64(concat(id, await this.key.sign(text)))}\n`)));
  }

  #tiles(level: number | 'entries', row: readonly Bytes[]): void {
    for (let n = 0; n * 256 < row.length; n++) {
      const part = row.slice(256 * n, 256 * n + 256);
      this.files.set(tilePath(level, n, part.length), concat(...part));
    }
  }
}

const key = await signer(new Uint8Array(32).fill(7));
const policy = new Policy(`log ${vkey(origin, 1, key.publicKey)}\noperator ${vkey('log.example', 1, key.publicKey)}\nquorum none\n`);

/** The log at these sizes, and its checkpoints. */
async function grown(...sizes: number[]): Promise<{ memory: Memory; log: Log; at: SignedCheckpoint[] }> {
  const memory = new Memory(key);
  const log = new Log(policy, memory.fetch);
  const at: SignedCheckpoint[] = [];
  for (const size of sizes) {
    await memory.grow(size);
    at.push(await log.checkpoint());
  }
  return { memory, log, at };
}

async function read(log: Log, c: Tree, first = 0): Promise<Bytes[]> {
  const out: Bytes[] = [];
  for await (const e of log.entries(c, first)) out.push(e);
  return out;
}

const last = (all: readonly SignedCheckpoint[]): SignedCheckpoint => all[all.length - 1]!;
const verify = (err: unknown): boolean => isKind(err, 'verify');
const missing = (err: unknown): boolean => isKind(err, 'not-found');

describe('the files of a log', () => {
  it.each([[7], [256], [300], [66_000]])('a log of %i: proofs, entries, growth', async (size) => {
    const { memory, log, at } = await grown(...[1, 5, size].filter((n) => n <= size));
    const now = last(at);
    expect([now.size, hex(now.root), now.witnessed]).toEqual([size, roots[size], null]);
    for (const i of new Set([0, 1, 6, Math.min(255, size - 1), Math.floor(size / 2), size - 1])) {
      const proof = await log.prove(now, i);
      expect((await checkProof(proof, policy, memory.entries[i]!)).size).toBe(size);
      await expect(checkProof(proof, policy, utf8('another entry'))).rejects.toSatisfy(verify);
    }
    await expect(log.prove(now, size)).rejects.toSatisfy(missing);
    await expect(log.prove(now, -1)).rejects.toSatisfy(missing);
    for (const before of at) await log.extends(before, now);
    const first = Math.max(0, size - 300);
    expect(await read(log, now, first)).toEqual(memory.entries.slice(first));
  });

  it('grows from every size to every other', async () => {
    const sizes = Array.from({ length: 20 }, (_, i) => i);
    const { log, at } = await grown(...sizes, 255, 256, 257, 300);
    for (const before of at) for (const now of at.filter((c) => c.size >= before.size)) await log.extends(before, now);
    for (const now of at) expect((await read(log, now)).length).toBe(now.size);
  });

  it('proves the newest set in a log that somebody has named', async () => {
    const memory = new Memory(key);
    const log = new Log(policy, memory.fetch);
    const set = async (time: number): Promise<Bytes> => {
      const text = utf8(`latchkey/v1 set\norigin ${origin}\nsize 3\ncount 2\nroot ${b64(H())}\ntime ${time}\n`);
      const id = H(utf8('log.example\n'), new Uint8Array([1]), key.publicKey).slice(0, 4);
      return concat(new Uint8Array([1]), text, utf8(`\n— log.example ${b64(concat(id, await key.sign(text)))}\n`));
    };
    await memory.grow(5);
    expect(await log.namedSet(await log.checkpoint())).toBeNull();
    memory.add(await set(1000));
    await memory.grow(300);
    memory.add(await set(2000));
    await memory.grow(310);
    const now = await log.checkpoint();
    for (const [named, index, time] of [[{ size: 300, root: root(memory.leaves.slice(0, 300)) }, 5, 1000], [now, 300, 2000]] as const) {
      const proof = (await log.namedSet(named))!;
      expect(proof.index).toBe(index);
      checkInclusion(proof.hashes, named, proof.index, proof.extra);
      expect((await policy.loggedSet(proof.extra)).time).toBe(time);
      expect(proof.checkpoint).toEqual(policy.namedText(named));
    }
    await expect(log.namedSet({ size: 300, root: H() })).rejects.toSatisfy(verify);
  });

  it('shows forks and logs that shrank', async () => {
    const { log, at } = await grown(7, 300);
    const [before, now] = [at[0]!, last(at)];
    const fork = new Memory(key, 'other');
    const forked = new Log(policy, fork.fetch);
    await fork.grow(300);
    const other = await forked.checkpoint();
    await expect(forked.extends(before, other)).rejects.toSatisfy(verify);
    await expect(log.extends(before, other)).rejects.toSatisfy(verify); // the tiles of another log
    await expect(log.extends(now, before)).rejects.toSatisfy(verify);
    await expect(log.extends(now, other)).rejects.toSatisfy(verify);
    await expect(log.prove(other, 3)).rejects.toSatisfy(verify);
  });

  it('does with the whole of a tile whose part has gone', async () => {
    const { memory, log, at } = await grown(7, 300);
    memory.files.delete('tile/0/000.p/7');
    memory.files.delete('tile/entries/000.p/7');
    expect((await read(log, at[0]!)).length).toBe(7);
    await log.extends(at[0]!, last(at));
    await log.prove(at[0]!, 6);
    expect(memory.asked).toContain('tile/0/000');
  });

  it('notices every tile that is changed, cut off or gone', async () => {
    const { memory, log, at } = await grown(300);
    const tiles = [...memory.files.keys()].filter((p) => p.startsWith('tile/'));
    expect(tiles.sort()).toEqual(['tile/0/000', 'tile/0/001.p/44', 'tile/1/000.p/1', 'tile/entries/000', 'tile/entries/001.p/44']);
    for (const path of tiles) {
      const good = memory.files.get(path)!;
      // Hashes of entries are computed where entries are read, and asked for where one is proven.
      const look = path.startsWith('tile/0/') ? () => log.prove(last(at), path === 'tile/0/000' ? 9 : 299) : () => read(log, last(at));
      for (const place of [0, good.length >>> 1, good.length - 1]) {
        memory.files.set(path, good.map((x, i) => (i === place ? x ^ 1 : x)));
        await expect(look(), `${path} at ${place}`).rejects.toSatisfy(verify);
      }
      memory.files.set(path, good.slice(0, -1));
      await expect(look(), path).rejects.toSatisfy(verify);
      memory.files.delete(path);
      await expect(look(), path).rejects.toSatisfy(missing);
      memory.files.set(path, good);
    }
    expect((await read(log, last(at))).length).toBe(300);
  });

  it('takes no entry out of place', async () => {
    const { memory, log, at } = await grown(3);
    const [a, b, c] = memory.entries.map((e) => concat(u16(e.length), e));
    for (const bundle of [[b!, a!, c!], [a!, b!], [a!, a!, c!], []]) {
      memory.files.set('tile/entries/000.p/3', concat(...bundle));
      await expect(read(log, last(at))).rejects.toSatisfy(verify);
    }
  });

  it('names tiles', () => {
    expect([tilePath(0, 0), tilePath(1, 67, 7), tilePath('entries', 999), tilePath(2, 1000), tilePath(0, 1_234_067, 255)])
      .toEqual(['tile/0/000', 'tile/1/067.p/7', 'tile/entries/999', 'tile/2/x001/000', 'tile/0/x001/x234/067.p/255']);
  });

  it('splits bundles', () => {
    expect(parseBundle(new Uint8Array([0, 1, 7, 0, 0])).map(hex)).toEqual(['07', '']);
    expect(parseBundle(new Uint8Array())).toEqual([]);
    for (const bad of [[0], [0, 1], [0, 2, 1], [1, 0, 7]]) expect(() => parseBundle(new Uint8Array(bad))).toThrow(Failure);
    expect(parseBundle(new Uint8Array(512)).length).toBe(256);
    expect(() => parseBundle(new Uint8Array(514))).toThrow(Failure);
  });
});
