/** For tests only: init records and fragments laid out as hubs write them. */
type Bytes = Uint8Array<ArrayBuffer>;

function join(...parts: readonly (readonly number[] | Uint8Array)[]): Bytes {
  return Uint8Array.from(parts.flatMap((p) => [...p]));
}

function n16(v: number): number[] {
  return [(v >>> 8) & 255, v & 255];
}

function n32(v: number): number[] {
  return [...n16(v >>> 16), ...n16(v & 0xffff)];
}

function n64(v: number): number[] {
  return [...n32(Math.floor(v / 2 ** 32)), ...n32(v % 2 ** 32)];
}

function box(type: string, ...body: readonly (readonly number[] | Uint8Array)[]): Bytes {
  const content = join(...body);
  return join(n32(8 + content.length), [...type].map((c) => c.charCodeAt(0)), content);
}

function moov(handler: string, timescale: number, entry: Bytes): Bytes {
  const mdhd = box('mdhd', n32(0), n32(0), n32(0), n32(timescale), n32(0), n32(0));
  const hdlr = box('hdlr', n32(0), n32(0), [...handler].map((c) => c.charCodeAt(0)), n32(0), n32(0), n32(0), [0]);
  const stbl = box('stbl', box('stsd', n32(0), n32(1), entry));
  return join(box('ftyp', [105, 115, 111, 54], n32(0)), box('moov', box('trak', box('mdia', mdhd, hdlr, box('minf', stbl)))));
}

function visual(type: string, width: number, height: number, config: Bytes): Bytes {
  return box(type, new Uint8Array(24), n16(width), n16(height), new Uint8Array(50), config);
}

export function videoInit(width: number, height: number, profile: readonly number[] = [0x64, 0x00, 0x1f]): Bytes {
  const avcC = box('avcC', [1, ...profile, 0xff, 0xe0, 0]);
  return moov('vide', 90_000, visual('avc1', width, height, avcC));
}

export function hevcInit(): Bytes {
  const hvcC = box('hvcC', [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93], new Uint8Array(10));
  return moov('vide', 90_000, visual('hvc1', 1920, 1080, hvcC));
}

export function audioInit(rate: number, channels: number): Bytes {
  const specific = [5, 2, 0x11, 0x90];
  const decoder = [4, 13 + specific.length, 0x40, 0x15, 0, 0, 0, ...n32(0), ...n32(0), ...specific];
  const esds = box('esds', n32(0), [3, 3 + decoder.length, 0, 1, 0, ...decoder]);
  const entry = box('mp4a', new Uint8Array(16), n16(channels), n16(16), n32(0), n16(rate), n16(0), esds);
  return moov('soun', rate, entry);
}

export interface TestSample {
  readonly data: Uint8Array;
  readonly duration: number;
  readonly sync: boolean;
  readonly offset: number;
}

export function fragment(a: { decodeTime: number; samples: readonly TestSample[]; sequence?: number }): Bytes {
  const rows = a.samples.map((s) => [...n32(s.duration), ...n32(s.data.length), ...n32(s.sync ? 0x02000000 : 0x01010000), ...n32(s.offset >>> 0)]);
  const build = (dataOffset: number): Bytes =>
    box('moof', box('mfhd', n32(0), n32(a.sequence ?? 1)), box(
      'traf', box('tfhd', n32(0x020000), n32(1)), box('tfdt', n32(1 << 24), n64(a.decodeTime)),
      box('trun', n32(0x01000f01), n32(a.samples.length), n32(dataOffset), ...rows),
    ));
  const moof = build(build(0).length + 8);
  return join(moof, box('mdat', ...a.samples.map((s) => s.data)));
}
