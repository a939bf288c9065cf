/**
 * QR codes of pairing codes and of invitation links (ISO/IEC 18004), as far as
 * those need: versions 3 to 6, level M; alphanumeric mode where the text allows
 * it, else bytes. Rows of modules, true = dark, without the quiet zone.
 */
import { utf8 } from './bytes';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:';

/** Level M of one version: codewords of text in all its blocks, and check codewords of each. */
interface Shape {
  readonly size: number;
  readonly blocks: number;
  readonly data: number;
  readonly check: number;
}

const shapes: readonly Shape[] = [
  { size: 29, blocks: 1, data: 44, check: 26 },
  { size: 33, blocks: 2, data: 64, check: 18 },
  { size: 37, blocks: 2, data: 86, check: 24 },
  { size: 41, blocks: 4, data: 108, check: 16 },
];

/** A link, which any phone's camera opens; the code alone where its origin is too long to draw. */
export function linkQr(link: string, code: { revealQr(): string }): boolean[][] {
  try {
    return qrCode(link);
  } catch {
    return qrCode(code.revealQr());
  }
}

/** In the smallest version that holds the text; throws RangeError when none does. */
export function qrCode(text: string): boolean[][] {
  const content = contentBits(text);
  const shape = shapes.find((s) => content.length <= s.data * 8);
  if (shape === undefined) throw new RangeError('qr: the text does not fit');
  const bits = codewords(content, shape).flatMap((b) => bitsOf(b, 8));
  let best: { matrix: boolean[][]; penalty: number } | null = null;
  for (let mask = 0; mask < 8; mask++) {
    const matrix = draw(bits, mask, shape.size);
    const p = penalty(matrix);
    if (best === null || p < best.penalty) best = { matrix, penalty: p };
  }
  if (best === null) throw new RangeError('qr: no mask');
  return best.matrix;
}

function bitsOf(value: number, count: number): boolean[] {
  return Array.from({ length: count }, (_, i) => ((value >>> (count - 1 - i)) & 1) === 1);
}

/** Mode, length and text, before padding. */
function contentBits(text: string): boolean[] {
  const values = [...text].map((c) => alphabet.indexOf(c));
  if (values.includes(-1)) {
    const bytes = utf8(text);
    if (bytes.length > 255) throw new RangeError('qr: the text does not fit');
    return [...bitsOf(4, 4), ...bitsOf(bytes.length, 8), ...[...bytes].flatMap((b) => bitsOf(b, 8))];
  }
  const bits = [...bitsOf(2, 4), ...bitsOf(values.length, 9)];
  for (let i = 0; i < values.length; i += 2) {
    const [a, b] = [values[i] ?? 0, values[i + 1]];
    bits.push(...(b === undefined ? bitsOf(a, 6) : bitsOf(a * 45 + b, 11)));
  }
  return bits;
}

/** Padded text and check words, blocks interleaved. */
function codewords(content: readonly boolean[], shape: Shape): number[] {
  const bits = [...content, ...bitsOf(0, Math.min(4, shape.data * 8 - content.length))];
  while (bits.length % 8 !== 0) bits.push(false);
  const words: number[] = [];
  for (let i = 0; i < bits.length; i += 8) words.push(bits.slice(i, i + 8).reduce((n, b) => (n << 1) | (b ? 1 : 0), 0));
  for (let pad = 0xec; words.length < shape.data; pad ^= 0xec ^ 0x11) words.push(pad);
  const length = shape.data / shape.blocks;
  const blocks = Array.from({ length: shape.blocks }, (_, i) => words.slice(i * length, (i + 1) * length));
  return [...interleaved(blocks), ...interleaved(blocks.map((b) => checkCodewords(b, shape.check)))];
}

function interleaved(blocks: readonly (readonly number[])[]): number[] {
  return (blocks[0] ?? []).flatMap((_, i) => blocks.map((b) => b[i] ?? 0));
}

/** Multiplication in GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1. */
export function gfMultiply(a: number, b: number): number {
  let out = 0;
  for (let i = 7; i >= 0; i--) {
    out = (out << 1) ^ ((out >>> 7) * 0x11d);
    out ^= ((b >>> i) & 1) * a;
  }
  return out;
}

function checkCodewords(data: readonly number[], checkWords: number): number[] {
  let generator = [1];
  for (let i = 0, root = 1; i < checkWords; i++, root = gfMultiply(root, 2)) {
    const next = [...generator, 0];
    generator.forEach((c, j) => (next[j + 1] = (next[j + 1] ?? 0) ^ gfMultiply(c, root)));
    generator = next;
  }
  const rest: number[] = [...data, ...new Array<number>(checkWords).fill(0)];
  for (let i = 0; i < data.length; i++) {
    const factor = rest[i] ?? 0;
    generator.forEach((c, j) => (rest[i + j] = (rest[i + j] ?? 0) ^ gfMultiply(c, factor)));
  }
  return rest.slice(data.length);
}

type Grid = (boolean | null)[][];

function draw(bits: readonly boolean[], mask: number, size: number): boolean[][] {
  const grid: Grid = Array.from({ length: size }, () => new Array<boolean | null>(size).fill(null));
  drawFunction(grid);
  drawFormat(grid, mask);
  const reserved = grid.map((row) => row.map((m) => m !== null));
  place(grid, reserved, bits);
  return grid.map((row, y) => row.map((m, x) => (reserved[y]?.[x] === true ? m === true : (m === true) !== masked(mask, x, y))));
}

function set(grid: Grid, x: number, y: number, dark: boolean): void {
  const row = grid[y];
  if (row !== undefined && x >= 0 && x < row.length) row[x] = dark;
}

function drawFunction(grid: Grid): void {
  const size = grid.length;
  for (let i = 0; i < size; i++) {
    set(grid, 6, i, i % 2 === 0);
    set(grid, i, 6, i % 2 === 0);
  }
  for (const [cx, cy] of [[3, 3], [size - 4, 3], [3, size - 4]] as const) {
    for (let dy = -4; dy <= 4; dy++) {
      for (let dx = -4; dx <= 4; dx++) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        set(grid, cx + dx, cy + dy, ring !== 2 && ring !== 4);
      }
    }
  }
  const align = size - 7;
  for (let dy = -2; dy <= 2; dy++) {
    for (let dx = -2; dx <= 2; dx++) set(grid, align + dx, align + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
  }
}

function drawFormat(grid: Grid, mask: number): void {
  const size = grid.length;
  // Level M is 00; five data bits, ten of BCH, and a fixed pattern over both.
  let rest = mask;
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
  const word = ((mask << 10) | rest) ^ 0x5412;
  const bit = (i: number): boolean => ((word >>> i) & 1) === 1;
  for (let i = 0; i <= 5; i++) set(grid, 8, i, bit(i));
  set(grid, 8, 7, bit(6));
  set(grid, 8, 8, bit(7));
  set(grid, 7, 8, bit(8));
  for (let i = 9; i < 15; i++) set(grid, 14 - i, 8, bit(i));
  for (let i = 0; i < 8; i++) set(grid, size - 1 - i, 8, bit(i));
  for (let i = 8; i < 15; i++) set(grid, 8, size - 15 + i, bit(i));
  set(grid, 8, size - 8, true);
}

/** Up and down in columns of two from the right, past the timing column. */
function place(grid: Grid, reserved: readonly (readonly boolean[])[], bits: readonly boolean[]): void {
  const size = grid.length;
  let at = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    const column = right <= 6 ? right - 1 : right;
    const upward = ((column + 1) & 2) === 0;
    for (let i = 0; i < size; i++) {
      const y = upward ? size - 1 - i : i;
      for (const x of [column, column - 1]) {
        if (reserved[y]?.[x] !== true) set(grid, x, y, bits[at++] ?? false);
      }
    }
  }
}

/** The eight masks of the standard. */
export function masked(mask: number, x: number, y: number): boolean {
  switch (mask) {
    case 0: return (x + y) % 2 === 0;
    case 1: return y % 2 === 0;
    case 2: return x % 3 === 0;
    case 3: return (x + y) % 3 === 0;
    case 4: return (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0;
    case 5: return ((x * y) % 2) + ((x * y) % 3) === 0;
    case 6: return (((x * y) % 2) + ((x * y) % 3)) % 2 === 0;
    default: return (((x + y) % 2) + ((x * y) % 3)) % 2 === 0;
  }
}

/** The standard's measure of how hard a matrix is to read: lower is better. */
function penalty(m: readonly (readonly boolean[])[]): number {
  const columns = m.map((_, x) => m.map((row) => row[x] ?? false));
  const lines = [...m, ...columns];
  const dark = m.flat().filter(Boolean).length / m.length ** 2;
  return lines.reduce((n, l) => n + linePenalty(l), 0) + blockPenalty(m) + 10 * Math.floor(Math.abs(dark * 20 - 10));
}

function linePenalty(line: readonly boolean[]): number {
  let score = 0;
  for (let i = 0, run = 0; i < line.length; i++) {
    run = i > 0 && line[i] === line[i - 1] ? run + 1 : 1;
    if (run === 5) score += 3;
    else if (run > 5) score++;
  }
  const text = line.map((d) => (d ? '1' : '0')).join('');
  for (const pattern of ['10111010000', '00001011101']) {
    for (let at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, at + 1)) score += 40;
  }
  return score;
}

function blockPenalty(m: readonly (readonly boolean[])[]): number {
  let score = 0;
  for (let y = 0; y + 1 < m.length; y++) {
    for (let x = 0; x + 1 < m.length; x++) {
      const d = m[y]?.[x];
      if (m[y]?.[x + 1] === d && m[y + 1]?.[x] === d && m[y + 1]?.[x + 1] === d) score += 3;
    }
  }
  return score;
}
