/**
 * The container of evidence (docs/spec/evidence.md): a tar in its one form. What
 * comes out is every file by its name, as its list says, and none of it believed.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { b64, type Bytes, concat, equal, fromUtf8, own, utf8 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { parseManifest } from '../ledger/release';

const block = 512;
/** Bounds what is read whole, in bytes. */
const maxSmall = 8 << 20;
const chunk = 4 << 20;
const maxSize = 8 ** 11 - 1;

const nameForm = /^(?:README\.txt|evidence|policy|(?:chain|proofs)\/[0-9]{6}|(?:epochs|heads|sets)\/[0-9a-f]{32}|keys|parts\/(?:video|audio)|video\.mp4|manifest)$/;
/** What stands in a file, in its order. */
const order = ['README.txt', 'evidence', 'policy', 'chain/', 'proofs/', 'epochs/', 'heads/', 'sets/', 'keys', 'parts/video', 'parts/audio', 'video.mp4', 'manifest'];

function rankOf(name: string): number {
  return order.findIndex((o) => (o.endsWith('/') ? name.startsWith(o) : name === o));
}

async function bytesOf(b: Blob): Promise<Bytes> {
  return new Uint8Array(await b.arrayBuffer());
}

function text(s: string, size: number): Bytes {
  const out = new Uint8Array(size);
  out.set(utf8(s));
  return out;
}

const octal = (n: number, size: number): Bytes => text(n.toString(8).padStart(size - 1, '0'), size);

/** The head of a regular file: mode 0644, time 0, nobody's. */
export function headOf(name: string, size: number): Bytes {
  const zero = octal(0, 8);
  const build = (sum: Bytes): Bytes => concat(
    text(name, 100), octal(0o644, 8), zero, zero, octal(size, 12), octal(0, 12), sum, utf8('0'), new Uint8Array(100),
    utf8('ustar\0'), utf8('00'), new Uint8Array(64), zero, zero, new Uint8Array(167),
  );
  const sum = build(utf8(' '.repeat(8))).reduce((n, b) => n + b, 0);
  return build(concat(octal(sum, 7), utf8(' ')));
}

function entryOf(head: Bytes): { name: string; size: number } {
  const bad = refuse('evidence: the head of a file is not in its one form');
  const end = head.indexOf(0);
  let name: string;
  let size: number;
  try {
    name = fromUtf8(head.subarray(0, Math.min(end < 0 ? 100 : end, 100)));
    size = Number.parseInt(fromUtf8(head.subarray(124, 135)), 8);
  } catch {
    throw bad;
  }
  if (!nameForm.test(name) || !(size >= 0 && size <= maxSize) || !equal(headOf(name, size), head)) throw bad;
  return { name, size };
}

/** A file whose container was read. */
export class EvidenceFile {
  readonly names: string[] = [];
  readonly #at = new Map<string, Blob>();

  add(name: string, content: Blob): void {
    this.names.push(name);
    this.#at.set(name, content);
  }

  /** One file in it; null: it is not there. */
  get(name: string): Blob | null {
    return this.#at.get(name) ?? null;
  }

  /** One small file, whole; null: it is not there. Throws Failure 'verify'. */
  async maybe(name: string): Promise<Bytes | null> {
    const b = this.get(name);
    if (b !== null && b.size > maxSmall) throw refuse(`evidence: the file ${name} is too long`);
    return b === null ? null : bytesOf(b);
  }

  async small(name: string): Promise<Bytes> {
    const b = await this.maybe(name);
    if (b === null) throw refuse(`evidence: the file ${name} is missing`);
    return b;
  }

  /** The small files below a prefix, in order, by the rest of their names. */
  async *below(prefix: string): AsyncGenerator<readonly [string, Bytes]> {
    for (const name of this.names) if (name.startsWith(prefix)) yield [name.slice(prefix.length), await this.small(name)];
  }
}

/**
 * Reads a container strictly and holds every file against its list. `progress` is
 * told the share that is read, 0 … 1. Throws Failure 'verify'.
 */
export async function openEvidence(file: Blob, progress: (done: number) => void = () => undefined): Promise<EvidenceFile> {
  const out = new EvidenceFile();
  let at = 0;
  for (let last = ''; ; ) {
    const head = await bytesOf(file.slice(at, at + block));
    if (head.length < block) throw refuse('evidence: it breaks off');
    if (head.every((b) => b === 0)) break;
    const { name, size } = entryOf(head);
    const [was, is] = [rankOf(last), rankOf(name)];
    if (last !== '' && (is < was || (is === was && name <= last))) throw refuse(`evidence: the file ${name} stands in the wrong place, or twice`);
    const begin = at + block;
    const end = begin + Math.ceil(size / block) * block;
    if (end > file.size) throw refuse(`evidence: the file ${name} breaks off`);
    const pad = await bytesOf(file.slice(begin + size, end));
    if (pad.some((b) => b !== 0)) throw refuse(`evidence: something stands behind the file ${name}`);
    out.add(name, file.slice(begin, begin + size));
    [at, last] = [end, name];
  }
  const tail = await bytesOf(file.slice(at));
  if (tail.length !== 2 * block || tail.some((b) => b !== 0)) throw refuse('evidence: it does not end where it should');
  await checkList(out, progress);
  return out;
}

/** Writes a container: files in their order, then their list. */
export class EvidenceWriter {
  readonly #out: BlobPart[] = [];
  readonly #list: string[] = [];

  async put(name: string, content: Bytes | Blob): Promise<void> {
    const b = content instanceof Blob ? content : new Blob([content]);
    this.#list.push(`${name} ${b64(await sumOf(b))}\n`);
    this.#write(name, b);
  }

  #write(name: string, b: Blob): void {
    this.#out.push(headOf(name, b.size), b, new Uint8Array((block - (b.size % block)) % block));
  }

  end(): Blob {
    this.#write('manifest', new Blob([this.#list.sort((a, b) => (a < b ? -1 : 1)).join('')]));
    return new Blob([...this.#out, new Uint8Array(2 * block)], { type: 'application/x-tar' });
  }
}

async function sumOf(b: Blob, read: (bytes: number) => void = () => undefined): Promise<Bytes> {
  const sum = sha256.create();
  for (let at = 0; at < b.size; at += chunk) {
    const piece = await bytesOf(b.slice(at, at + chunk));
    sum.update(piece);
    read(piece.length);
  }
  return own(sum.digest());
}

async function checkList(file: EvidenceFile, progress: (done: number) => void): Promise<void> {
  const list = parseManifest(await file.small('manifest'));
  if (list.length !== file.names.length - 1) throw refuse('evidence: its list names other files than are there');
  const total = list.reduce((n, one) => n + (file.get(one.path)?.size ?? 0), 1);
  let done = 0;
  for (const one of list) {
    const b = file.get(one.path);
    if (b === null) throw refuse(`evidence: the file ${one.path} is missing`);
    const sum = await sumOf(b, (n) => { progress((done += n) / total); });
    if (!equal(sum, one.hash)) throw refuse(`evidence: the file ${one.path} was changed`);
  }
}
