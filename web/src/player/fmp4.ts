/**
 * The fragmented MP4 of Latchkey's parts, read as far as players and exports
 * need it: init (track, codec, sizes, sample description) and fragments (one
 * track run with its samples). Pure; knows no browser.
 */

export type Bytes = Uint8Array<ArrayBuffer>;

export interface Init {
  readonly kind: 'video' | 'audio';
  readonly timescale: number;
  /** RFC 6381, such as `avc1.640028` or `mp4a.40.2` */
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly sampleRate: number;
  readonly channels: number;
  /** the `stsd` entry as it is, for exports */
  readonly entry: Bytes;
  /** what a WebCodecs decoder takes as `description` (avcC, hvcC, the AAC config, …) */
  readonly description: Bytes;
}

export interface Sample {
  readonly data: Bytes;
  /** in timescale units */
  readonly duration: number;
  readonly compositionOffset: number;
  readonly sync: boolean;
}

export interface Fragment {
  /** counted by the hub without a hole within an epoch; 0: not said */
  readonly sequence: number;
  /** decode time of the first sample, in timescale units since the Unix epoch */
  readonly decodeTime: number;
  readonly samples: readonly Sample[];
}

interface Box {
  readonly type: string;
  /** without its header */
  readonly body: Bytes;
  /** with its header */
  readonly whole: Bytes;
}

/** Thrown on bytes that are not what a hub writes; they were sealed by the hub all the same. */
export class Mp4Error extends Error {
  override readonly name = 'Mp4Error';
}

function dataView(b: Uint8Array): DataView {
  return new DataView(b.buffer, b.byteOffset, b.byteLength);
}

function fourcc(b: Uint8Array, at: number): string {
  return String.fromCharCode(...b.subarray(at, at + 4));
}

function boxes(b: Bytes): Box[] {
  const out: Box[] = [];
  for (let at = 0; at < b.length; ) {
    if (at + 8 > b.length) throw new Mp4Error('mp4: box header cut off');
    const v = dataView(b);
    const short = v.getUint32(at);
    const header = short === 1 ? 16 : 8;
    const size = short === 1 ? Number(v.getBigUint64(at + 8)) : short === 0 ? b.length - at : short;
    if (size < header || at + size > b.length) throw new Mp4Error('mp4: box of an impossible size');
    out.push({ type: fourcc(b, at + 4), body: b.subarray(at + header, at + size), whole: b.subarray(at, at + size) });
    at += size;
  }
  return out;
}

function child(parent: Bytes, ...path: readonly string[]): Bytes {
  let at = parent;
  for (const type of path) {
    const found = boxes(at).find((x) => x.type === type);
    if (found === undefined) throw new Mp4Error(`mp4: no ${type}`);
    at = found.body;
  }
  return at;
}

/** Reads an init record (`ftyp` and `moov` with one track). */
export function parseInit(b: Bytes): Init {
  const mdia = child(b, 'moov', 'trak', 'mdia');
  const mdhd = child(mdia, 'mdhd');
  const v = dataView(mdhd);
  const timescale = v.getUint32(mdhd[0] === 1 ? 20 : 12);
  const entry = boxes(child(mdia, 'minf', 'stbl', 'stsd').subarray(8))[0];
  if (entry === undefined || timescale === 0) throw new Mp4Error('mp4: no sample description');
  return fourcc(child(mdia, 'hdlr'), 8) === 'vide' ? videoInit(entry, timescale) : audioInit(entry, timescale);
}

const visualHeader = 78;
const audioHeader = 28;

function videoInit(entry: Box, timescale: number): Init {
  const v = dataView(entry.body);
  const config = boxes(entry.body.subarray(visualHeader)).find((x) => x.type === 'avcC' || x.type === 'hvcC');
  if (config === undefined) throw new Mp4Error('mp4: a picture without decoder configuration');
  return {
    kind: 'video', timescale, width: v.getUint16(24), height: v.getUint16(26), sampleRate: 0, channels: 0,
    codec: config.type === 'avcC' ? avcCodec(entry.type, config.body) : hevcCodec(entry.type, config.body),
    entry: entry.whole, description: config.body,
  };
}

function hexByte(n: number | undefined): string {
  return (n ?? 0).toString(16).padStart(2, '0');
}

function avcCodec(type: string, config: Bytes): string {
  return `${type}.${hexByte(config[1])}${hexByte(config[2])}${hexByte(config[3])}`;
}

/** ISO/IEC 14496-15 annex E: space and profile, reversed compatibility, tier and level, constraints. */
function hevcCodec(type: string, config: Bytes): string {
  const v = dataView(config);
  const first = v.getUint8(1);
  const space = ['', 'A', 'B', 'C'][first >>> 6] ?? '';
  let compatibility = 0;
  for (let i = 0, flags = v.getUint32(2); i < 32; i++) compatibility |= ((flags >>> i) & 1) << (31 - i);
  const constraints = [...config.subarray(6, 12)];
  while (constraints.length > 0 && constraints[constraints.length - 1] === 0) constraints.pop();
  const tail = constraints.map((x) => `.${x.toString(16).toUpperCase()}`).join('');
  const tier = (first & 0x20) === 0 ? 'L' : 'H';
  return `${type}.${space}${first & 31}.${(compatibility >>> 0).toString(16).toUpperCase()}.${tier}${v.getUint8(12)}${tail}`;
}

function audioInit(entry: Box, timescale: number): Init {
  const v = dataView(entry.body);
  const config = boxes(entry.body.subarray(audioHeader)).find((x) => ['esds', 'dOps', 'dfLa'].includes(x.type));
  if (config === undefined) throw new Mp4Error('mp4: sound without decoder configuration');
  const [codec, description] = audioCodec(config);
  return {
    kind: 'audio', timescale, width: 0, height: 0, channels: v.getUint16(16), sampleRate: v.getUint16(24),
    codec, entry: entry.whole, description,
  };
}

function audioCodec(config: Box): [string, Bytes] {
  if (config.type === 'dOps') return ['opus', config.body];
  if (config.type === 'dfLa') return ['flac', config.body.subarray(4)];
  const specific = decoderSpecific(config.body.subarray(4));
  const first = specific[0] ?? 0;
  const object = first >>> 3;
  const kind = object === 31 ? 32 + (((first & 7) << 3) | ((specific[1] ?? 0) >>> 5)) : object;
  return [`mp4a.40.${kind}`, specific];
}

/** The DecoderSpecificInfo (tag 5) inside an ES descriptor (ISO/IEC 14496-1). */
function decoderSpecific(b: Bytes): Bytes {
  let at = 0;
  while (at < b.length) {
    const tag = b[at++];
    let size = 0;
    for (let more = true; more && at < b.length; ) {
      const x = b[at++] ?? 0;
      size = (size << 7) | (x & 127);
      more = (x & 128) !== 0;
    }
    if (tag === 5) return b.subarray(at, at + size);
    // Skip the fixed fields of ES (3) and DecoderConfig (4); go on inside them.
    if (tag === 3) at += 3;
    else if (tag === 4) at += 13;
    else at += size;
  }
  throw new Mp4Error('mp4: no audio configuration');
}

/** Reads a media fragment (`moof` and `mdat`, one track run or several). */
export function parseFragment(b: Bytes): Fragment {
  const all = boxes(b);
  const moof = all.find((x) => x.type === 'moof');
  if (moof === undefined) throw new Mp4Error('mp4: no moof');
  const moofAt = moof.whole.byteOffset - b.byteOffset;
  const traf = boxes(child(moof.body, 'traf'));
  const tfhd = traf.find((x) => x.type === 'tfhd');
  const tfdt = traf.find((x) => x.type === 'tfdt');
  if (tfhd === undefined || tfdt === undefined) throw new Mp4Error('mp4: a fragment without its time');
  const tv = dataView(tfdt.body);
  const decodeTime = tfdt.body[0] === 1 ? Number(tv.getBigUint64(4)) : tv.getUint32(4);
  const defaults = trackDefaults(tfhd.body);
  const samples = traf.filter((x) => x.type === 'trun').flatMap((x) => runSamples(x.body, defaults, b, moofAt));
  const mfhd = boxes(moof.body).find((x) => x.type === 'mfhd');
  const sequence = mfhd === undefined ? 0 : dataView(mfhd.body).getUint32(4);
  return { sequence, decodeTime, samples };
}

interface Defaults {
  readonly duration: number;
  readonly size: number;
  readonly flags: number;
}

function trackDefaults(tfhd: Bytes): Defaults {
  const v = dataView(tfhd);
  const flags = v.getUint32(0) & 0xffffff;
  let at = 8;
  const take = (bit: number, width: number): number => {
    if ((flags & bit) === 0) return 0;
    const value = width === 8 ? Number(v.getBigUint64(at)) : v.getUint32(at);
    at += width;
    return value;
  };
  take(0x1, 8);
  take(0x2, 4);
  return { duration: take(0x8, 4), size: take(0x10, 4), flags: take(0x20, 4) };
}

const notSync = 0x10000;

function runSamples(trun: Bytes, d: Defaults, file: Bytes, moofAt: number): Sample[] {
  const v = dataView(trun);
  const flags = v.getUint32(0) & 0xffffff;
  const count = v.getUint32(4);
  let at = 8;
  const take = (bit: number): number | null => {
    if ((flags & bit) === 0) return null;
    at += 4;
    return v.getUint32(at - 4);
  };
  let data = moofAt + (take(0x1) ?? 0);
  const firstFlags = take(0x4);
  const out: Sample[] = [];
  for (let i = 0; i < count; i++) {
    const duration = take(0x100) ?? d.duration;
    const size = take(0x200) ?? d.size;
    const sampleFlags = take(0x400) ?? (i === 0 && firstFlags !== null ? firstFlags : d.flags);
    const offset = (take(0x800) ?? 0) | 0;
    if (data + size > file.length) throw new Mp4Error('mp4: a sample outside its fragment');
    out.push({ data: file.subarray(data, data + size), duration, compositionOffset: offset, sync: (sampleFlags & notSync) === 0 });
    data += size;
  }
  return out;
}

function word(...values: readonly number[]): Bytes {
  const out = new Uint8Array(4 * values.length);
  const v = dataView(out);
  values.forEach((x, i) => { v.setUint32(4 * i, x >>> 0); });
  return out;
}

function joined(...parts: readonly Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

function box(type: string, ...body: readonly Uint8Array[]): Bytes {
  const content = joined(...body);
  return joined(word(content.length + 8), Uint8Array.from(type, (c) => c.charCodeAt(0)), content);
}

const syncFlags = 0x02000000;
const notSyncFlags = 0x01010000;
/** offset, and of each sample duration, size, flags and composition offset; version 1: offsets have a sign */
const runOfFour = 0x01000f01;

/**
 * A fragment of the first sample alone, which lasts `duration` units: for key
 * frames played without the pictures between them, so that each stays until
 * the next.
 */
export function firstAlone(fragment: Bytes, duration: number): Bytes {
  const first = parseFragment(fragment).samples[0];
  const moof = child(fragment, 'moof');
  const mfhd = boxes(moof).find((x) => x.type === 'mfhd');
  const head = boxes(child(moof, 'traf')).filter((x) => x.type === 'tfhd' || x.type === 'tfdt');
  if (first === undefined || mfhd === undefined) throw new Mp4Error('mp4: no track run');
  const build = (offset: number): Bytes => box('moof', mfhd.whole, box(
    'traf', ...head.map((x) => x.whole),
    box('trun', word(runOfFour, 1, offset, duration, first.data.length, first.sync ? syncFlags : notSyncFlags, first.compositionOffset)),
  ));
  return joined(build(build(0).length + 8), box('mdat', first.data));
}

/** Capture time of a moment on a track's clock, in unix milliseconds. */
export function captureMs(units: number, timescale: number): number {
  return (units / timescale) * 1000;
}

/** The MIME type that MediaSource takes for an init. */
export function mimeOf(init: Pick<Init, 'kind' | 'codec'>): string {
  return `${init.kind}/mp4; codecs="${init.codec}"`;
}
