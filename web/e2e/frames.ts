/** WebSocket frames (RFC 6455, 5.2), uncompressed: as a server sends them, or masked as a browser does. */

export interface Frame {
  readonly op: 'text' | 'binary' | 'other';
  readonly body: Buffer;
  /** the frame as it came */
  readonly raw: Buffer;
}

const TEXT = 1;
const BINARY = 2;
const FIN = 0x80;

/** Where the answer to the upgrade ends, or null when more of it is to come. */
export function headEnd(bytes: Buffer): number | null {
  const at = bytes.indexOf('\r\n\r\n');
  return at < 0 ? null : at + 4;
}

/** The whole frames at the front. Throws on one in several pieces: this server sends none. */
export function readFrames(bytes: Buffer): { frames: Frame[]; rest: Buffer } {
  const frames: Frame[] = [];
  let rest = bytes;
  for (let frame = readFrame(rest); frame !== null; frame = readFrame(rest)) {
    frames.push(frame);
    rest = rest.subarray(frame.raw.length);
  }
  return { frames, rest };
}

function readFrame(b: Buffer): Frame | null {
  if (b.length < 2) return null;
  const short = b.readUInt8(1) & 0x7f;
  const masked = (b.readUInt8(1) & 0x80) !== 0;
  const mask = short === 127 ? 10 : short === 126 ? 4 : 2;
  const head = masked ? mask + 4 : mask;
  if (b.length < head) return null;
  const length = short === 127 ? Number(b.readBigUInt64BE(2)) : short === 126 ? b.readUInt16BE(2) : short;
  if (b.length < head + length) return null;
  const first = b.readUInt8(0);
  if ((first & FIN) === 0) throw new Error('frames: a message in pieces');
  const op = (first & 0x0f) === TEXT ? 'text' : (first & 0x0f) === BINARY ? 'binary' : 'other';
  const body = b.subarray(head, head + length);
  return { op, body: masked ? unmasked(body, b.subarray(mask, head)) : body, raw: b.subarray(0, head + length) };
}

function unmasked(body: Buffer, mask: Buffer): Buffer {
  return Buffer.from(body.map((byte, i) => byte ^ (mask[i & 3] ?? 0)));
}

/** One binary message. Its length has to be written as short as it can be: browsers refuse another form. */
export function writeFrame(body: Buffer): Buffer {
  const head = Buffer.alloc(body.length > 0xffff ? 10 : body.length > 125 ? 4 : 2);
  head.writeUInt8(FIN | BINARY, 0);
  if (head.length === 2) head.writeUInt8(body.length, 1);
  else head.writeUInt8(head.length === 4 ? 126 : 127, 1);
  if (head.length === 4) head.writeUInt16BE(body.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(body.length), 2);
  return Buffer.concat([head, body]);
}
