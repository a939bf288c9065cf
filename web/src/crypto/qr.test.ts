import { describe, expect, it } from 'vitest';
import { gfMultiply, masked, qrCode } from './qr';

const text = 'LK1:208H44RM2MB1E60S38DHR78Y3WG23EBW';
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:';

/** Whether a module of versions 2 to 6 carries data: written from the standard's figure, not from the encoder. */
function isData(x: number, y: number, size: number): boolean {
  const [finderAt, alignAt] = [size - 8, size - 9];
  const finder = (x <= 8 && y <= 8) || (x >= finderAt && y <= 8) || (x <= 8 && y >= finderAt);
  const alignment = x >= alignAt && x <= alignAt + 4 && y >= alignAt && y <= alignAt + 4;
  return !finder && !alignment && x !== 6 && y !== 6;
}

function codewords(m: readonly (readonly boolean[])[], mask: number): number[] {
  const bits: number[] = [];
  let up = true;
  const size = m.length;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let i = 0; i < size; i++) {
      const y = up ? size - 1 - i : i;
      for (const x of [right, right - 1]) if (isData(x, y, size)) bits.push((m[y]?.[x] === true) !== masked(mask, x, y) ? 1 : 0);
    }
    up = !up;
  }
  return Array.from({ length: bits.length >>> 3 }, (_, i) => bits.slice(8 * i, 8 * i + 8).reduce((n, b) => n * 2 + b, 0));
}

function maskOf(m: readonly (readonly boolean[])[]): number {
  // Bits 14…10 of the format word, from the top left copy; the fixed pattern is 10101.
  const bits = [0, 1, 2, 3, 4].map((x) => (m[8]?.[x] === true ? 1 : 0));
  const word = bits.reduce<number>((n, b) => n * 2 + b, 0) ^ 0b10101;
  expect(word >>> 3).toBe(0b00);
  return word & 7;
}

describe('qrCode', () => {
  const m = qrCode(text);

  it('reads back to its text', () => {
    const words = codewords(m, maskOf(m));
    const bits = words.slice(0, 44).map((w) => w.toString(2).padStart(8, '0')).join('');
    expect(bits.slice(0, 4)).toBe('0010');
    const length = Number.parseInt(bits.slice(4, 13), 2);
    let out = '';
    for (let at = 13; out.length < length; at += 11) {
      const pair = Number.parseInt(bits.slice(at, at + 11), 2);
      out += (alphabet[Math.floor(pair / 45)] ?? '') + (alphabet[pair % 45] ?? '');
    }
    expect(out).toBe(text);
  });

  it('has check words without an error', () => {
    const words = codewords(m, maskOf(m));
    for (let i = 0, root = 1; i < 26; i++, root = gfMultiply(root, 2)) {
      expect(words.reduce((sum, w) => gfMultiply(sum, root) ^ w, 0)).toBe(0);
    }
  });

  it('is square with its three finders', () => {
    expect(m.map((r) => r.length)).toEqual(new Array(29).fill(29));
    for (const [x, y] of [[3, 3], [25, 3], [3, 25]] as const) expect(m[y]?.[x]).toBe(true);
    expect(m[21]?.[8]).toBe(true);
  });

  it('refuses what does not fit', () => {
    expect(() => qrCode('x'.repeat(107))).toThrow(RangeError);
    expect(() => qrCode('A'.repeat(156))).toThrow(RangeError);
  });

  it.each([
    [29, 'http://127.0.0.1:8440/#join=x', 1, 26],
    [33, `http://127.0.0.1:8440/${'x'.repeat(38)}`, 2, 18],
    [37, `http://127.0.0.1:8440/#join=${'0'.repeat(32)}`.padEnd(84, 'z'), 2, 24],
    [41, `https://cam.example/#join=${'0'.repeat(32)}`.padEnd(78, 'é'), 4, 16],
  ])('holds a link in %i modules', (size, link, blocks, check) => {
    const drawn = qrCode(link);
    expect(drawn).toHaveLength(size);
    const words = codewords(drawn, maskOf(drawn));
    const data = words.length - blocks * check;
    const each = Array.from({ length: blocks }, (_, b) => ({
      data: words.slice(0, data).filter((_w, i) => i % blocks === b),
      check: words.slice(data).filter((_w, i) => i % blocks === b),
    }));
    for (const b of each) {
      for (let i = 0, root = 1; i < check; i++, root = gfMultiply(root, 2)) {
        expect([...b.data, ...b.check].reduce((sum, w) => gfMultiply(sum, root) ^ w, 0)).toBe(0);
      }
    }
    const bits = each.flatMap((b) => b.data).map((w) => w.toString(2).padStart(8, '0')).join('');
    expect(bits.slice(0, 4)).toBe('0100');
    const length = Number.parseInt(bits.slice(4, 12), 2);
    const bytes = Uint8Array.from({ length }, (_, i) => Number.parseInt(bits.slice(12 + 8 * i, 20 + 8 * i), 2));
    expect(new TextDecoder().decode(bytes)).toBe(link);
  });
});
