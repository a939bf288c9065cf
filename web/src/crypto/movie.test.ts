import { describe, expect, it } from 'vitest';
import { audioInit, fragment, videoInit } from '../player/testmp4';
import { movieOf, type Piece, type Pieces } from './movie';

const unix = 1_795_460_000;

interface Box {
  type: string;
  at: number;
  body: Uint8Array;
}

function boxes(b: Uint8Array, base = 0): Box[] {
  const out: Box[] = [];
  for (let at = 0; at < b.length; ) {
    const v = new DataView(b.buffer, b.byteOffset + at);
    const large = v.getUint32(0) === 1;
    const size = large ? Number(v.getBigUint64(8)) : v.getUint32(0);
    const head = large ? 16 : 8;
    out.push({ type: String.fromCharCode(...b.subarray(at + 4, at + 8)), at: base + at + head, body: b.subarray(at + head, at + size) });
    at += size;
  }
  return out;
}

function inside(b: Uint8Array, ...path: string[]): Uint8Array {
  let at = b;
  for (const type of path) {
    const found = boxes(at).find((x) => x.type === type);
    if (found === undefined) throw new Error(`no ${type}`);
    at = found.body;
  }
  return at;
}

function tracks(file: Uint8Array): Uint8Array[] {
  return boxes(inside(file, 'moov')).filter((x) => x.type === 'trak').map((x) => x.body);
}

function u32s(b: Uint8Array, from: number): number[] {
  const v = new DataView(b.buffer, b.byteOffset);
  return Array.from({ length: (b.length - from) >> 2 }, (_, i) => v.getUint32(from + 4 * i));
}

function picture(i: number): Uint8Array {
  return Uint8Array.from({ length: 50 + i }, (_, j) => (i * 7 + j) & 255);
}

/** Where each sample is, by its chunk. */
function placesOf(stbl: Uint8Array): number[] {
  const [chunks, sizes, rows] = [u32s(inside(stbl, 'stco'), 8), u32s(inside(stbl, 'stsz'), 12), u32s(inside(stbl, 'stsc'), 8)];
  const out: number[] = [];
  chunks.forEach((offset, c) => {
    let row = 0;
    while (3 * row + 3 < rows.length && (rows[3 * row + 3] ?? 0) <= c + 1) row++;
    for (let i = 0, at = offset; i < (rows[3 * row + 1] ?? 0); i++) {
      at += out.length === 0 || i === 0 ? 0 : sizes[out.length - 1] ?? 0;
      out.push(at);
    }
  });
  return out;
}

const ns = (ms: number): bigint => BigInt(ms) * 1_000_000n;

function listed(pieces: readonly Piece[]): Pieces {
  const rest = [...pieces];
  return () => Promise.resolve(rest.shift() ?? null);
}

async function made(): Promise<{ file: Uint8Array; pictures: Uint8Array[] }> {
  const pictures: Uint8Array[] = [];
  const [video, audio]: [Piece[], Piece[]] = [[], []];
  for (let i = 0; i < 20; i++) {
    const data = picture(i);
    pictures.push(data);
    // A gap of three seconds in the middle.
    const at = unix * 90_000 + i * 3600 + (i >= 10 ? 3 * 90_000 : 0);
    const key = i % 10 === 0;
    video.push({ init: key ? videoInit(1280, 720) : null, fragment: fragment({ sequence: i + 1, decodeTime: at, samples: [{ data, duration: 3600, sync: key, offset: 0 }] }) });
    audio.push({ init: i === 0 ? audioInit(48_000, 2) : null, fragment: fragment({ decodeTime: unix * 48_000 + i * 1920, samples: [{ data: picture(i + 100), duration: 1920, sync: true, offset: 0 }] }) });
  }
  const { file } = await movieOf(listed(video), listed(audio), ns(unix * 1000 + 200), ns(unix * 1000 + 3800));
  return { file: new Uint8Array(await file.arrayBuffer()), pictures };
}

describe('a movie', () => {
  it('keeps every sample byte for byte where its tables say', async () => {
    const { file, pictures } = await made();
    const stbl = inside(tracks(file)[0] ?? new Uint8Array(), 'mdia', 'minf', 'stbl');
    const sizes = u32s(inside(stbl, 'stsz'), 12);
    const offsets = placesOf(stbl);
    expect(sizes).toEqual(pictures.map((p) => p.length));
    pictures.forEach((p, i) => {
      const at = offsets[i] ?? 0;
      expect([...file.subarray(at, at + p.length)]).toEqual([...p]);
    });
    expect(u32s(inside(stbl, 'stss'), 8)).toEqual([1, 11]);
  });

  it('makes the same media and times of pictures that were gathered', async () => {
    const files = [1, 4].map(async (many) => {
      const pieces: Piece[] = [];
      for (let i = 0; i < 20; i += many) {
        const samples = Array.from({ length: many }, (_, k) => ({ data: picture(i + k), duration: 3600, sync: (i + k) % 10 === 0, offset: (i + k) % 3 }));
        pieces.push({ init: i === 0 ? videoInit(1280, 720) : null, fragment: fragment({ sequence: pieces.length + 1, decodeTime: unix * 90_000 + i * 3600, samples }) });
      }
      const { file } = await movieOf(listed(pieces), null, ns(unix * 1000), ns(unix * 1000 + 800));
      return new Uint8Array(await file.arrayBuffer());
    });
    const [one, four] = await Promise.all(files);
    expect([...(four ?? [])]).toEqual([...(one ?? [])]);
  });

  it('leaves out what cannot be decoded because parts are missing', async () => {
    const pieces = [1, 2, 4, 5, 6].map((sequence): Piece => {
      const key = sequence === 1 || sequence === 6;
      return { init: key ? videoInit(640, 360) : null, fragment: fragment({ sequence, decodeTime: unix * 90_000 + sequence * 3600, samples: [{ data: picture(sequence), duration: 3600, sync: key, offset: 0 }] }) };
    });
    expect((await movieOf(listed(pieces), null, ns(unix * 1000), ns(unix * 1000 + 900))).pictures).toBe(3);
  });

  it('lets the last picture stand through a gap, so that times stay true', async () => {
    const { file } = await made();
    const stts = inside(tracks(file)[0] ?? new Uint8Array(), 'mdia', 'minf', 'stbl', 'stts');
    expect(u32s(stts, 8)).toEqual([9, 3600, 1, 3600 + 270_000, 10, 3600]);
  });

  it('goes on by a tick a picture where the clock was set back', async () => {
    const pieces = [0, 1, 2, 1, 2, 3].map((at, i): Piece => ({
      init: i % 3 === 0 ? videoInit(640, 360) : null,
      fragment: fragment({ sequence: i + 1, decodeTime: unix * 90_000 + at * 3600, samples: [{ data: picture(i), duration: 3600, sync: i % 3 === 0, offset: 0 }] }),
    }));
    const file = new Uint8Array(await (await movieOf(listed(pieces), null, ns(unix * 1000), ns(unix * 1000 + 900))).file.arrayBuffer());
    expect(u32s(inside(tracks(file)[0] ?? new Uint8Array(), 'mdia', 'minf', 'stbl', 'stts'), 8)).toEqual([2, 3600, 2, 1, 1, 3598, 1, 3600]);
  });

  it('trims by an edit list to the asked range', async () => {
    const { file } = await made();
    // Of the sound nothing is kept that ends before the range.
    for (const [i, from] of [[0, 90_000 / 5], [1, 0]] as const) {
      const elst = inside(tracks(file)[i] ?? new Uint8Array(), 'edts', 'elst');
      const v = new DataView(elst.buffer, elst.byteOffset);
      expect(v.getUint32(4)).toBe(1);
      expect(Number(v.getBigUint64(8))).toBe((i === 0 ? 3.6 : 0.6) * 90_000);
      expect(Number(v.getBigUint64(16))).toBe(from);
    }
  });

  it('clips the range to what there is', async () => {
    const piece = { init: videoInit(640, 360), fragment: fragment({ decodeTime: unix * 90_000, samples: [{ data: picture(1), duration: 90_000, sync: true, offset: 0 }] }) };
    const out = await movieOf(listed([piece]), null, ns((unix - 60) * 1000), ns((unix + 60) * 1000));
    const file = new Uint8Array(await out.file.arrayBuffer());
    const elst = inside(tracks(file)[0] ?? new Uint8Array(), 'edts', 'elst');
    const v = new DataView(elst.buffer, elst.byteOffset);
    expect([Number(v.getBigUint64(8)), Number(v.getBigUint64(16))]).toEqual([90_000, 0]);
    expect(tracks(file)).toHaveLength(1);
  });
});
