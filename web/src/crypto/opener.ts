/**
 * Opens sealed parts (protocol 2.5, "Reader"): every byte that comes out was
 * under a verified signature, hash link and commitment of an epoch whose
 * recipients match the chain. Nothing of a part that fails comes out.
 */
import { type Bytes, equal, hex } from './bytes';
import { open } from './cipher';
import { refuse } from './failure';
import { kdf } from './hash';
import type { OpenEpoch } from './epoch';
import { type Part, type PartRecord, parseRecords, verifyRun } from './part';

/** One opened part. */
export interface Opened {
  readonly epoch: Bytes;
  readonly track: Bytes;
  readonly slot: number;
  readonly seq: number;
  readonly rap: boolean;
  readonly end: boolean;
  readonly hash: Bytes;
  readonly records: readonly PartRecord[];
}

/** What a reader knows of the part before a run: seq and hash of the same epoch and track. */
export interface Before {
  readonly seq: number;
  readonly hash: Bytes;
}

/**
 * Verifies and opens consecutive parts of one epoch and track. `before` is the
 * part this run has to follow, or null to begin anywhere; a run that begins at
 * seq 0 always has to follow its epoch note. All or nothing; throws Failure 'verify'.
 */
export async function openRun(epoch: OpenEpoch, run: readonly Part[], before: Before | null): Promise<Opened[]> {
  const first = run[0]?.header;
  if (first === undefined) return [];
  if (!equal(first.epoch, epoch.note.epoch)) throw refuse('opener: a part of another epoch');
  if (before !== null && first.seq !== before.seq + 1) throw refuse('opener: a part is missing or came twice');
  const prev = first.seq === 0 ? epoch.hash : (before?.hash ?? null);
  const hashes = await verifyRun(epoch.verify, prev, run);
  return Promise.all(run.map((p, i) => openPart(epoch, p, hashes[i])));
}

async function openPart(epoch: OpenEpoch, p: Part, hash: Bytes | undefined): Promise<Opened> {
  const h = p.header;
  const tree = epoch.trees.get(hex(h.track));
  if (tree === undefined || hash === undefined) throw refuse('opener: a track that the epoch does not have');
  const leaf = tree.leaf(h.slot);
  const bound = p.headerBytes.subarray(0, 64);
  if (!equal(kdf(leaf, 'part commit', bound), h.commit)) throw refuse('opener: the key is not the one the part was sealed with');
  const inner = await open(kdf(leaf, 'part key', bound), p.headerBytes, p.ct);
  return {
    epoch: h.epoch, track: h.track, slot: h.slot, seq: h.seq, rap: h.rap, end: h.end, hash,
    records: parseRecords(inner),
  };
}
