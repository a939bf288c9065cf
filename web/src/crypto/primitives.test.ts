// @vitest-environment node
/** Invariants T1–T5 of the protocol, by property. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { b64, hex, parseB64, parseHex } from './bytes';
import { open, random, seal, storeKey, storeOpen, storeSeal } from './cipher';
import { Code, parseCode } from './code';
import { headerBytes, paddedMedia, parseHeader, parseRecords } from './part';
import { child, cover, covers, HeldTree, slots } from './tree';

const bytes = (length: number): fc.Arbitrary<Uint8Array<ArrayBuffer>> => fc.uint8Array({ minLength: length, maxLength: length }).map((b) => b.slice());

describe('trees', () => {
  it('covers a range exactly, with the fewest nodes, at most 32', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: slots - 1 }), fc.integer({ min: 1, max: slots }), (a, n) => {
        const until = Math.min(slots, a + n);
        const nodes = cover(a, until);
        expect(nodes.length).toBeLessThanOrEqual(32);
        let at = a;
        for (const p of nodes) {
          expect(p.index * 2 ** (17 - p.level)).toBe(at);
          at += 2 ** (17 - p.level);
        }
        expect(at).toBe(until);
        nodes.slice(1).forEach((p, i) => {
          const before = nodes[i];
          expect(before?.level === p.level && p.index % 2 === 1 && before.index === p.index - 1).toBe(false);
        });
      }),
    );
  });

  it('opens what its nodes cover and nothing else', () => {
    const root = random(32);
    const whole = new HeldTree([{ level: 0, index: 0, key: root }]);
    const keyOf = (level: number, index: number): Uint8Array<ArrayBuffer> => {
      let key = root;
      for (let i = level - 1; i >= 0; i--) key = child(key, ((index >>> i) & 1) as 0 | 1);
      return key;
    };
    const nodes = cover(36_000, 39_600).map((p) => ({ ...p, key: keyOf(p.level, p.index) }));
    const held = new HeldTree(nodes);
    for (const slot of [36_000, 36_001, 38_000, 39_599]) expect(hex(held.leaf(slot))).toBe(hex(whole.leaf(slot)));
    for (const slot of [35_999, 39_600, 0, slots - 1]) {
      expect(nodes.some((n) => covers(n, slot))).toBe(false);
      expect(() => held.leaf(slot)).toThrow('not among those held');
    }
  });
});

describe('encodings', () => {
  it('reads back what it writes, and only that spelling', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (b) => {
        expect(parseB64(b64(b))).toEqual(new Uint8Array(b));
        expect(parseHex(hex(b), b.length)).toEqual(new Uint8Array(b));
      }),
    );
    for (const s of ['A', 'AA=', 'AB==', 'AAA', ' AAA=', 'AAA=\n', 'A-_=']) expect(parseB64(s)).toBeNull();
    for (const s of ['AA', '0', '0g', '00 ']) expect(parseHex(s, 1)).toBeNull();
  });

  it('re-encodes every header it accepts', () => {
    fc.assert(
      fc.property(bytes(128), (b) => {
        b.set([0x4c, 0x4b, 0x31, b[3]! & 3, 0, b[5]! & 1, b[6]!, b[7]!]);
        b.set([0, 1], 12);
        expect(hex(headerBytes(parseHeader(b)))).toBe(hex(b));
      }),
    );
  });

  it('pads to at least 256 and by at most an eighth', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 << 20 }), (n) => {
        const p = paddedMedia(n);
        expect(p).toBeGreaterThanOrEqual(Math.max(256, n));
        expect(p).toBeLessThanOrEqual(Math.max(256, n * 1.125));
      }),
    );
  });

  it('never reads records beyond their bytes', () => {
    fc.assert(
      fc.property(bytes(64), (b) => {
        try {
          const used = parseRecords(b).reduce((n, r) => n + 5 + r.data.length, 0);
          expect(used).toBeLessThanOrEqual(b.length);
        } catch (err) {
          expect(String(err)).toContain('part:');
        }
      }),
    );
  });
});

describe('codes', () => {
  it('reads back what it shows, and notices a swap of two characters', () => {
    let missed = 0;
    fc.assert(
      fc.property(bytes(18), fc.nat(31), fc.nat(31), (raw, i, j) => {
        const shown = new Code(raw).reveal();
        expect(parseCode(shown).equals(new Code(raw))).toBe(true);
        const c = [...shown.replaceAll('-', '')];
        [c[i], c[j]] = [c[j]!, c[i]!];
        if (c[i] === c[j]) return;
        try {
          parseCode(c.join(''));
          missed++;
        } catch {
          // as it should be
        }
      }),
      { numRuns: 500 },
    );
    // One in 65,536 passes the check digits.
    expect(missed).toBeLessThan(3);
  });
});

describe('ciphers', () => {
  it('opens with the same key and header only', async () => {
    await fc.assert(
      fc.asyncProperty(bytes(32), bytes(16), bytes(40), fc.nat(), async (key, aad, plain, bit) => {
        const ct = await seal(key, aad, plain);
        expect(await open(key, aad, ct)).toEqual(plain);
        const bad = ct.slice();
        bad[(bit >>> 3) % bad.length]! ^= 1 << (bit & 7);
        await expect(open(key, aad, bad)).rejects.toThrow('cipher');
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the store’s key to itself', async () => {
    const key = await storeKey();
    expect(key.extractable).toBe(false);
    await expect(crypto.subtle.exportKey('raw', key)).rejects.toThrow();
    const sealed = await storeSeal(key, random(32));
    expect(await storeOpen(key, sealed)).toHaveLength(32);
    await expect(storeOpen(await storeKey(), sealed)).rejects.toThrow('store');
  });
});
