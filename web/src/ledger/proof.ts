/** C2SP tlog-proof: an entry stands in the log of a checkpoint. */
import { type Bytes, b64, concat, parseB64, utf8 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { decimal, textOf } from './leaf';
import type { Checkpoint, Policy } from './policy';
import { checkInclusion } from './tree';

const maxHashes = 63;
const maxExtra = 4096;
const maxProof = 2 * 65_536;

export interface Proof {
  /** what a verifier needs besides, for instance the tag */
  readonly extra: Bytes;
  readonly index: number;
  readonly hashes: readonly Bytes[];
  /** signed note */
  readonly checkpoint: Bytes;
}

/** Reads the text form strictly. Throws Failure 'verify'. */
export function parseProof(b: Uint8Array): Proof {
  const text = textOf(b);
  const at = text.indexOf('\n\n');
  const [head, ...lines] = text.slice(0, Math.max(at, 0)).split('\n');
  if (b.length > maxProof || at < 0 || head !== 'c2sp.org/tlog-proof@v1') throw refuse('ledger: no proof');
  const extra = lines[0]?.startsWith('extra ') === true ? parseB64(lines.shift()?.slice(6) ?? '') : new Uint8Array();
  const index = decimal(/^index (.*)$/.exec(lines.shift() ?? '')?.[1]);
  const hashes = lines.map((l) => parseB64(l, 32));
  const whole = hashes.filter((h) => h !== null);
  // An extra that is there and empty would be a second form of the same proof.
  const wrong = extra === null || extra.length > maxExtra || (extra.length === 0 && text.includes('\nextra ') && text.indexOf('\nextra ') < at);
  if (wrong || index === null || whole.length !== hashes.length || hashes.length > maxHashes) throw refuse('ledger: a proof in no form of its own');
  return { extra, index, hashes: whole, checkpoint: utf8(text.slice(at + 2)) };
}

/** The checkpoint under the policy whose log has the entry. Throws Failure 'verify'. */
export async function checkProof(p: Proof, policy: Policy, entry: Uint8Array): Promise<Checkpoint> {
  const checkpoint = await policy.checkpoint(p.checkpoint);
  checkInclusion(p.hashes, checkpoint, p.index, entry);
  return checkpoint;
}

/** The text form of a proof, as parseProof reads it. */
export function encodeProof(p: Proof): Bytes {
  const extra = p.extra.length === 0 ? '' : `extra ${b64(p.extra)}\n`;
  const hashes = p.hashes.map((h) => `${b64(h)}\n`).join('');
  return concat(utf8(`c2sp.org/tlog-proof@v1\n${extra}index ${p.index}\n${hashes}\n`), p.checkpoint);
}
