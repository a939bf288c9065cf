/**
 * The mark that nobody sees: a pattern of light and dark cells over the picture,
 * so faint and coarse that scaling and JPEG leave it. It carries no text: whoever
 * has a screenshot compares it with the pattern of each (agent, ticket) that
 * watched, which the decisions name. An agent who changes this page can leave it
 * out; it is for pictures that get out, not a wall.
 */

export const columns = 64;
export const lines = 36;
/** of full white; see docs/performance.md, "The hidden mark" */
export const strength = 0.01;

/** From here on a match is no chance: among a thousand others the best stays below. */
export const surely = 7;
/** Cells differ by more where the picture itself has an edge: it must not outweigh the rest. */
const clip = 4;

export const markKey = (id: string, ticket: number): string => `${id} ${ticket}`;

/** 1 (light) or -1 for each cell, row by row. Neighbours are opposites: what the picture has in common goes out. */
export function pattern(key: string): Int8Array {
  const next = generator(key);
  const out = new Int8Array(columns * lines);
  for (let i = 0; i < out.length; i += 2) {
    const side = next() < 0.5 ? -1 : 1;
    out[i] = side;
    out[i + 1] = -side;
  }
  return out;
}

/** sfc32, seeded with the key: the same numbers everywhere. */
function generator(key: string): () => number {
  const seed = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1].map((from) => [...key].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193), from));
  let [a = 0, b = 0, c = 0, d = 1] = seed;
  const next = (): number => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}

/** A picture in grey, 0 to 255, row by row. */
export interface Grey {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

export interface Match {
  readonly key: string;
  /** standard deviations above chance */
  readonly score: number;
}

/** How well each key's pattern is in the picture, the best first; the picture may be cut a little wider or narrower. */
export function findMark(picture: Grey, keys: readonly string[]): Match[] {
  const sums = integral(picture);
  const patterns = keys.map((key) => ({ key, cells: pattern(key), score: -Infinity }));
  for (const scale of [0.98, 0.99, 1, 1.01, 1.02]) {
    for (let dx = -0.016; dx <= 0.0161; dx += 0.004) {
      for (let dy = -0.016; dy <= 0.0161; dy += 0.004) {
        const differences = pairsOf(picture, sums, { x: dx * picture.width, y: dy * picture.height, scale });
        for (const p of patterns) p.score = Math.max(p.score, correlation(p.cells, differences));
      }
    }
  }
  return patterns.map(({ key, score }) => ({ key, score })).sort((a, b) => b.score - a.score);
}

/** sums[y·(width+1)+x] is the sum of all left of x and above y. */
function integral({ width, height, data }: Grey): Float64Array {
  const w = width + 1;
  const out = new Float64Array(w * (height + 1));
  for (let y = 0; y < height; y++) {
    let row = 0;
    for (let x = 0; x < width; x++) {
      row += data[y * width + x] ?? 0;
      out[(y + 1) * w + x + 1] = (out[y * w + x + 1] ?? 0) + row;
    }
  }
  return out;
}

/** Light of each first cell less that of its neighbour, clipped. */
function pairsOf({ width, height }: Grey, sums: Float64Array, at: { readonly x: number; readonly y: number; readonly scale: number }): Float64Array {
  const [cw, ch] = [(width * at.scale) / columns, (height * at.scale) / lines];
  const [x0, y0] = [at.x + (width * (1 - at.scale)) / 2, at.y + (height * (1 - at.scale)) / 2];
  const within = (v: number, most: number): number => Math.min(most, Math.max(0, Math.round(v)));
  const mean = (c: number, l: number): number | null => {
    // Without the rims, which the browser has smoothed.
    const [xa, xb, ya, yb] = [within(x0 + (c + 0.15) * cw, width), within(x0 + (c + 0.85) * cw, width), within(y0 + (l + 0.15) * ch, height), within(y0 + (l + 0.85) * ch, height)];
    const n = (xb - xa) * (yb - ya);
    const sum = (x: number, y: number): number => sums[y * (width + 1) + x] ?? 0;
    return n <= 0 ? null : (sum(xb, yb) - sum(xa, yb) - sum(xb, ya) + sum(xa, ya)) / n;
  };
  const out = new Float64Array((columns * lines) / 2);
  for (let i = 0; i < out.length; i++) {
    const [c, l] = [(2 * i) % columns, Math.floor((2 * i) / columns)];
    const [a, b] = [mean(c, l), mean(c + 1, l)];
    out[i] = a === null || b === null ? 0 : Math.min(clip, Math.max(-clip, a - b));
  }
  return out;
}

function correlation(cells: Int8Array, differences: Float64Array): number {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < differences.length; i++) {
    const d = differences[i] ?? 0;
    sum += d * (cells[2 * i] ?? 0);
    squares += d * d;
  }
  return squares === 0 ? 0 : sum / Math.sqrt(squares);
}

/** Reads a picture file in this browser; throws when it is none. */
export async function greyOf(file: Blob): Promise<Grey> {
  const bitmap = await createImageBitmap(file);
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const ctx = canvas.getContext('2d', { willReadFrequently: true });
  if (ctx === null) throw new Error('hidden: no canvas');
  ctx.drawImage(bitmap, 0, 0);
  const { data } = ctx.getImageData(0, 0, bitmap.width, bitmap.height);
  const grey = new Uint8ClampedArray(bitmap.width * bitmap.height);
  for (let i = 0; i < grey.length; i++) grey[i] = 0.299 * (data[4 * i] ?? 0) + 0.587 * (data[4 * i + 1] ?? 0) + 0.114 * (data[4 * i + 2] ?? 0);
  return { width: bitmap.width, height: bitmap.height, data: grey };
}
