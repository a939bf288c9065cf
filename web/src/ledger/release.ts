/** What a page is made of, as two of the policy's releasers signed it (docs/spec/log.md, "Releases"). */
import { type Bytes, compare, parseB64, utf8 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { encodeEntry, textOf } from './leaf';
import type { Checkpoint, Policy, Release } from './policy';
import { checkProof, parseProof } from './proof';

const maxFile = 4 * 65_536;
const maxManifest = 1 << 20;

/** A release that stands in the log. */
export interface Released {
  readonly release: Release;
  readonly index: number;
  readonly checkpoint: Checkpoint;
}

/** Reads a release file and holds it against the policy. Throws Failure 'verify'. */
export async function checkReleased(file: Uint8Array, policy: Policy): Promise<Released> {
  const [, note = '', log = ''] = /^latchkey\/v1 released\nnote (.*)\nlog (.*)\n$/.exec(file.length > maxFile ? '' : textOf(file)) ?? [];
  const [raw, proven] = [parseB64(note), parseB64(log)];
  if (raw === null || proven === null) throw refuse('ledger: no release file');
  const proof = parseProof(proven);
  const release = await policy.release(raw);
  const checkpoint = await checkProof(proof, policy, encodeEntry({ kind: 'public', note: raw }));
  return { release, index: proof.index, checkpoint };
}

export interface ManifestFile {
  readonly path: string;
  /** of its content */
  readonly hash: Bytes;
}

/** Reads the list of a release's files strictly. Throws Failure 'verify'. */
export function parseManifest(b: Uint8Array): ManifestFile[] {
  if (b.length > maxManifest) throw refuse('ledger: a manifest that is too long');
  const lines = textOf(b).split('\n');
  if (lines.pop() !== '') throw refuse('ledger: a manifest without its last newline');
  const files = lines.map((l) => {
    const [path = '', hash = '', ...more] = l.split(' ');
    const sum = parseB64(hash, 32);
    if (sum === null || more.length > 0 || !plainPath(path)) throw refuse('ledger: a manifest with a line that is none');
    return { path, hash: sum };
  });
  const sorted = files.every((f, i) => i === 0 || compare(utf8(files[i - 1]?.path ?? ''), utf8(f.path)) < 0);
  if (!sorted) throw refuse('ledger: a manifest that is not sorted, or names a file twice');
  return files;
}

function plainPath(s: string): boolean {
  return /^[!-~]{1,128}$/.test(s) && s.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
