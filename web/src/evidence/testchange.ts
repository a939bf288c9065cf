/** The changes of testkit/vectors/evidence.json, for tests. */
import { type Bytes, concat, utf8, view } from '../crypto/bytes';
import { EvidenceWriter, openEvidence } from './container';

export interface Change {
  readonly op: string;
  readonly file?: string;
  readonly with?: string;
  readonly at?: number;
  readonly old?: string;
  readonly new?: string;
}

/** The file with changes; changes of files in it get a list that fits. */
export async function changed(raw: Bytes, changes: readonly Change[]): Promise<Bytes> {
  const opened = await openEvidence(new Blob([raw]));
  const files = new Map<string, Bytes>();
  for (const name of opened.names) files.set(name, new Uint8Array(await (opened.get(name) ?? new Blob()).arrayBuffer()));
  const inside = changes.filter((c) => c.file !== undefined);
  for (const c of inside) inFile(files, c);
  let out = inside.length === 0 ? raw : await together(opened.names, files);
  for (const c of changes) if (c.file === undefined) out = whole(out, c);
  return out;
}

function inFile(files: Map<string, Bytes>, { op, file = '', with: other = '', at = 0, old = '', new: put = '' }: Change): void {
  const b = files.get(file);
  if (b === undefined) throw new Error(`no file ${file}`);
  if (op === 'drop') files.delete(file);
  else if (op === 'flip') files.set(file, flipped(b, (at + b.length) % b.length));
  else if (op === 'swap') {
    files.set(file, files.get(other) ?? new Uint8Array());
    files.set(other, b);
  } else if (op === 'text') files.set(file, replaced(b, utf8(old), utf8(put)));
  else if (op === 'part') files.set(file, withoutPart(b, at));
  else throw new Error(`unknown change ${op}`);
}

function whole(raw: Bytes, { op, at = 0, new: more = '' }: Change): Bytes {
  const place = at < 0 ? at + raw.length : at;
  if (op === 'cut') return raw.slice(0, place);
  if (op === 'bit') return flipped(raw, place);
  if (op === 'more') return concat(raw, utf8(more));
  throw new Error(`unknown change ${op}`);
}

function flipped(b: Bytes, at: number): Bytes {
  const out = b.slice();
  out[at] = (out[at] ?? 0) ^ 1;
  return out;
}

function replaced(b: Bytes, old: Bytes, put: Bytes): Bytes {
  for (let at = 0; at + old.length <= b.length; at++) {
    if (old.every((x, i) => b[at + i] === x)) return concat(b.subarray(0, at), put, b.subarray(at + old.length));
  }
  throw new Error('what is to be replaced is not there');
}

function withoutPart(b: Bytes, n: number): Bytes {
  let at = 0;
  for (let i = 0; ; i++) {
    const size = 128 + view(b).getUint32(at + 12) + 64;
    if (i === n) return concat(b.subarray(0, at), b.subarray(at + size));
    at += size;
  }
}

async function together(names: readonly string[], files: ReadonlyMap<string, Bytes>): Promise<Bytes> {
  const out = new EvidenceWriter();
  for (const name of names) {
    const b = files.get(name);
    if (b !== undefined && name !== 'manifest') await out.put(name, b);
  }
  return new Uint8Array(await out.end().arrayBuffer());
}
