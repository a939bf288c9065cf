import { describe, expect, it } from 'vitest';
import { parseFragment, parseInit } from '../player/fmp4';
import { audioInit, fragment, videoInit } from '../player/testmp4';
import { Mp4File } from './mp4file';

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

async function made(): Promise<{ file: Uint8Array; pictures: Uint8Array[] }> {
  const init = parseInit(videoInit(1280, 720));
  const sound = parseInit(audioInit(48_000, 2));
  const out = new Mp4File(init, sound);
  const pictures: Uint8Array[] = [];
  for (let i = 0; i < 20; i++) {
    const data = picture(i);
    pictures.push(data);
    // A gap of three seconds in the middle.
    const at = unix * 90_000 + i * 3600 + (i >= 10 ? 3 * 90_000 : 0);
    out.addVideo(init, parseFragment(fragment({ decodeTime: at, samples: [{ data, duration: 3600, sync: i % 10 === 0, offset: 0 }] })));
    out.addAudio(sound, parseFragment(fragment({ decodeTime: unix * 48_000 + i * 1920, samples: [{ data: picture(i + 100), duration: 1920, sync: true, offset: 0 }] })));
  }
  return { file: new Uint8Array(await out.finish(unix * 1000 + 200, unix * 1000 + 3700).arrayBuffer()), pictures };
}

describe('Mp4File', () => {
  it('keeps every sample byte for byte where its tables say', async () => {
    const { file, pictures } = await made();
    const stbl = inside(tracks(file)[0] ?? new Uint8Array(), 'mdia', 'minf', 'stbl');
    const sizes = u32s(inside(stbl, 'stsz'), 12);
    const offsets = u32s(inside(stbl, 'co64'), 8).filter((_, i) => i % 2 === 1);
    expect(sizes).toEqual(pictures.map((p) => p.length));
    pictures.forEach((p, i) => {
      const at = offsets[i] ?? 0;
      expect([...file.subarray(at, at + p.length)]).toEqual([...p]);
    });
    expect(u32s(inside(stbl, 'stss'), 8)).toEqual([1, 11]);
  });

  it('makes the same tables and media of pictures that were gathered', async () => {
    const init = parseInit(videoInit(1280, 720));
    const files = [1, 4].map((many) => {
      const out = new Mp4File(init, null);
      for (let i = 0; i < 20; i += many) {
        const samples = Array.from({ length: many }, (_, k) => ({ data: picture(i + k), duration: 3600, sync: (i + k) % 10 === 0, offset: (i + k) % 3 }));
        out.addVideo(init, parseFragment(fragment({ decodeTime: unix * 90_000 + i * 3600, samples })));
      }
      return out.finish(unix * 1000, unix * 1000 + 800);
    });
    const [one, four] = await Promise.all(files.map(async (f) => new Uint8Array(await f.arrayBuffer())));
    if (one === undefined || four === undefined) throw new Error('two files were asked for');
    expect([...inside(four, 'mdat')]).toEqual([...inside(one, 'mdat')]);
    const table = (file: Uint8Array, name: string): number[] => u32s(inside(tracks(file)[0] ?? new Uint8Array(), 'mdia', 'minf', 'stbl', name), 0);
    for (const name of ['stts', 'ctts', 'stss', 'stsz']) expect(table(four, name)).toEqual(table(one, name));
    expect(table(four, 'stsc').slice(2)).toEqual([1, 4, 1]);
  });

  it('lets the last picture stand through a gap, so that times stay true', async () => {
    const { file } = await made();
    const stts = inside(tracks(file)[0] ?? new Uint8Array(), 'mdia', 'minf', 'stbl', 'stts');
    expect(u32s(stts, 8)).toEqual([9, 3600, 1, 3600 + 270_000, 10, 3600]);
  });

  it('trims by an edit list to the asked range', async () => {
    const { file } = await made();
    for (const [i, scale] of [[0, 90_000], [1, 48_000]] as const) {
      const elst = inside(tracks(file)[i] ?? new Uint8Array(), 'edts', 'elst');
      const v = new DataView(elst.buffer, elst.byteOffset);
      expect(v.getUint32(4)).toBe(1);
      expect(Number(v.getBigUint64(8))).toBe(3500);
      expect(Number(v.getBigUint64(16))).toBe(scale / 5);
    }
  });

  it('clips the range to what there is', async () => {
    const init = parseInit(videoInit(640, 360));
    const out = new Mp4File(init, null);
    out.addVideo(init, parseFragment(fragment({ decodeTime: unix * 90_000, samples: [{ data: picture(1), duration: 90_000, sync: true, offset: 0 }] })));
    const file = new Uint8Array(await out.finish((unix - 60) * 1000, (unix + 60) * 1000).arrayBuffer());
    const elst = inside(tracks(file)[0] ?? new Uint8Array(), 'edts', 'elst');
    const v = new DataView(elst.buffer, elst.byteOffset);
    expect([Number(v.getBigUint64(8)), Number(v.getBigUint64(16))]).toEqual([1000, 0]);
    expect(tracks(file)).toHaveLength(1);
  });
});
