// @vitest-environment node
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseB64, concat, hex, unhex, utf8, type Bytes } from './bytes';
import { signer, verifier } from './cipher';
import { parseCode } from './code';
import { openCapsule, parseCapsule } from './epoch';
import { H, kdf, kidOf, type Label } from './hash';
import { sealingKey } from './hpke';
import { padme, parsePart, parseRecords, partHash, signMessage } from './part';
import { open } from './cipher';
import { cover, HeldTree } from './tree';

const shared = process.env['LATCHKEY_SHARED'] ?? resolve(import.meta.dirname, '../../../../shared');
const file = join(shared, 'vectors/protocol-v1.json');

type Table = Record<string, string>;
interface Vectors {
  kdf: { key: string; label: Label; ctx: string; out: string };
  tree: { root: string; leaves: Table };
  cover: { from: number; until: number; nodes: string[] }[];
  part: Table;
  capsule: Table;
  code: Table;
  link: Table;
  set: Table;
  padme: Record<string, number>;
}

function field(t: Table, key: string): Bytes {
  const v = t[key];
  if (v === undefined) throw new Error(`vectors lack ${key}`);
  return unhex(v);
}

if (!existsSync(file)) {
  if (process.env['CI'] === 'true') throw new Error(`protocol vectors are missing: ${file}`);
  describe.skip(`protocol vectors (missing: ${file})`, () => {
    it('needs ../shared', () => undefined);
  });
} else {
  const v = JSON.parse(readFileSync(file, 'utf8')) as Vectors;

  describe('protocol vectors', () => {
    it('derives keys', () => {
      expect(hex(kdf(unhex(v.kdf.key), v.kdf.label, unhex(v.kdf.ctx)))).toBe(v.kdf.out);
    });

    it('walks the tree to each leaf, in any order', () => {
      const tree = new HeldTree([{ level: 0, index: 0, key: unhex(v.tree.root) }]);
      const leaves = Object.entries(v.tree.leaves);
      expect(leaves.length).toBeGreaterThan(3);
      for (const [slot, want] of [...leaves, ...leaves.reverse()]) expect(hex(tree.leaf(Number(slot)))).toBe(want);
    });

    it('covers ranges with the fewest nodes', () => {
      expect(v.cover.length).toBeGreaterThan(3);
      for (const c of v.cover) expect(cover(c.from, c.until).map((n) => `${n.level}/${n.index}`)).toEqual(c.nodes);
    });

    it('reads, verifies and opens the part', async () => {
      const p = parsePart(field(v.part, 'part'));
      const leaf = field(v.part, 'leaf');
      expect(hex(p.headerBytes)).toBe(v.part['header']);
      expect(hex(await partHash(p))).toBe(v.part['part_hash']);
      expect(hex(kdf(leaf, 'part commit', p.headerBytes.subarray(0, 64)))).toBe(v.part['commit']);
      const key = kdf(leaf, 'part key', p.headerBytes.subarray(0, 64));
      expect(hex(key)).toBe(v.part['key']);
      const check = await verifier(field(v.part, 'signer_pub'));
      expect(await check(p.sig, signMessage(await partHash(p)))).toBe(true);
      const inner = await open(key, p.headerBytes, p.ct);
      expect(hex(H(inner))).toBe(v.part['inner_sha256']);
      expect(parseRecords(inner).map((r) => [r.type, r.data])).toEqual([[1, utf8('hello, household')]]);
    });

    it('makes the signing key of a seed', async () => {
      const key = await signer(field(v.part, 'signer_seed'));
      expect(hex(key.publicKey)).toBe(v.part['signer_pub']);
    });

    it('opens the capsule', async () => {
      const c = v.capsule;
      const key = await sealingKey(field(c, 'xwing_seed'));
      expect(hex(H(key.publicKey))).toBe(c['xwing_pub_sha256']);
      expect(hex(key.kid)).toBe(c['kid']);
      const sealed = parseB64(c['capsule'] ?? '');
      if (sealed === null) throw new Error('capsule is not base64');
      const plain = await openCapsule([key], field(c, 'household'), field(c, 'scope'), sealed);
      expect(hex(H(plain))).toBe(c['plaintext_sha256']);
      expect(parseCapsule(plain).length).toBe(Number(c['entries']));
      const other = new Uint8Array(16);
      await expect(openCapsule([key], other, field(c, 'scope'), sealed)).rejects.toThrow('hpke');
      await expect(openCapsule([key], field(c, 'household'), other, sealed)).rejects.toThrow('hpke');
    });

    it('reads the code and derives its secrets', async () => {
      const code = parseCode((v.code['code'] ?? '').toLowerCase().replaceAll('0', 'o').replaceAll('1', 'l'));
      expect(code.reveal()).toBe(v.code['code']);
      expect(hex(code.recoverySecret())).toBe(v.code['recovery_secret']);
      expect(hex(code.recoveryId())).toBe(v.code['recovery_id']);
      expect(hex((await code.recoverySigner()).publicKey)).toBe(v.code['recovery_sign_pub']);
      expect(hex(code.pairingSecret())).toBe(v.code['pairing_secret']);
      expect(hex(code.rendezvous())).toBe(v.code['rendezvous']);
    });

    it('derives link and log tags', async () => {
      const secret = field(v.link, 'secret');
      const key = await sealingKey(kdf(secret, 'link seed', new Uint8Array()));
      expect(hex(key.kid)).toBe(v.link['kid']);
      expect(hex(kdf(secret, 'link auth', H(utf8('abc'))))).toBe(v.link['mac_for_sha256_abc']);
      const tag = (n: number): string => hex(kdf(field(v.set, 'ktag'), 'log tag', concat(new Uint8Array(7), new Uint8Array([n]))));
      expect([tag(0), tag(5)]).toEqual([v.set['tag0'], v.set['tag5']]);
    });

    it('pads', () => {
      const entries = Object.entries(v.padme);
      expect(entries.length).toBeGreaterThan(3);
      for (const [n, want] of entries) expect(padme(Number(n))).toBe(want);
    });

    it('names keys', () => {
      expect(hex(kidOf(field(v.part, 'signer_pub')))).toBe('878f7a2db8c5e2c2b65d81257ce49e9f');
    });
  });
}
