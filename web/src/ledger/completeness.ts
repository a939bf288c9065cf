/** How far a household's chain goes, provably: one file, checked offline. */
import { type Bytes, parseB64 } from '../crypto/bytes';
import { refuse } from '../crypto/failure';
import { decimal, tagOf, textOf } from './leaf';
import type { Policy, SetNote } from './policy';
import { checkProof, parseProof } from './proof';
import type { SignedCheckpoint } from './reader';
import { checkSetProof, parseSetProof } from './set';

/** The chain ended with statement seq, whose text has this hash, up to `at`. */
export interface Complete {
  readonly seq: number;
  readonly head: Bytes;
  readonly set: SetNote;
  readonly checkpoint: SignedCheckpoint;
  /** unix seconds: of the set, or of the witnesses where that is earlier */
  readonly at: number;
}

/** Reads a completeness file and holds it against policy and log tag key. Throws Failure 'verify'. */
export async function checkCompleteness(file: Uint8Array, policy: Policy, key: Uint8Array): Promise<Complete> {
  const [, number = '', set = '', log = '', present = '', absent = ''] = /^latchkey\/v1 completeness\nseq (.*)\nset (.*)\nlog (.*)\npresent (.*)\nabsent (.*)\n$/.exec(textOf(file)) ?? [];
  const seq = decimal(number);
  if (seq === null) throw refuse('ledger: no completeness file');
  const note = bytes(set);
  const said = await policy.set(note);
  const proof = parseProof(bytes(log));
  const checkpoint = { ...(await checkProof(proof, policy, policy.setEntry(note))), raw: proof.checkpoint };
  if (said.size > proof.index) throw refuse('ledger: a set of more than there was before it');
  const head = checkSetProof(parseSetProof(bytes(present)), said.root, tagOf(key, seq));
  if (head === null) throw refuse(`ledger: statement ${seq} is not in the log`);
  if (checkSetProof(parseSetProof(bytes(absent)), said.root, tagOf(key, seq + 1)) !== null) throw refuse(`ledger: statement ${seq + 1} is in the log as well: it was kept back`);
  return { seq, head, set: said, checkpoint, at: Math.min(said.time, checkpoint.witnessed ?? said.time) };
}

function bytes(field: string): Bytes {
  const b = parseB64(field);
  if (b === null) throw refuse('ledger: a completeness file with something that is no base64');
  return b;
}
