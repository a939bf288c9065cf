/**
 * The past for a new member (spec/keys, "Capsules"): what this member holds of
 * it, as grants whose capsules the chain names.
 */
import type { NewPerson } from '../owner/types';
import type { Bytes } from './bytes';
import { maySee, type Member as Listed } from './chain';
import { random } from './cipher';
import type { EpochBook } from './epochs';
import { entriesOf, inOrder, maxEntries, type Plain, sealEntries } from './giving';
import type { GrantBody, TrackRange } from './grant';
import { H, kidOf } from './hash';
import type { Member } from './member';
import { nowSeconds } from './signin';
import { slots } from './tree';

/** The end of service of a grant that has none: the last second of the year 9999. */
const forever = 253_402_300_799;

/** A grant that is ready to be signed, and the capsule to hand over once it stands in the chain. */
export interface Given {
  readonly body: GrantBody;
  readonly capsule: Bytes;
}

/** Grants of what this member holds of the asked past, of the tracks that `to` may see; none when there is nothing. */
export async function historyFor(member: Member, epochs: EpochBook, to: Listed, history: NewPerson['history'], tell: (err: unknown) => void): Promise<Given[]> {
  if (history === 'none') return [];
  const now = nowSeconds();
  const from = history === 'all' ? 0 : Math.max(0, now - Math.round(history.days * 86_400));
  // To the end of the running epochs: what comes after is sealed to him.
  const until = now + slots;
  const declared = [...member.chain.head.cameras.values()].flatMap((c) => c.tracks.map((t) => t.track));
  const tracks = declared.filter((t) => maySee(to.tracks, t)).map((track): TrackRange => ({ track, from, until }));
  if (tracks.length === 0) return [];
  await epochs.refreshGrants();
  const found: Plain[] = [];
  for await (const epoch of epochs.between(from, until, tell)) found.push(...entriesOf(epoch, tracks));
  const entries = inOrder(found);
  const out: Given[] = [];
  for (let i = 0; i < entries.length; i += maxEntries) out.push(await give(member, to, tracks, entries.slice(i, i + maxEntries)));
  for (const e of entries) e.key.fill(0);
  return out;
}

async function give(member: Member, to: Listed, tracks: readonly TrackRange[], entries: readonly Plain[]): Promise<Given> {
  const grant = random(16);
  const capsule = await sealEntries(member.household, grant, to.x, entries);
  return {
    capsule,
    body: {
      type: 'grant', grant, to: kidOf(to.x), kind: 'member', key: null, purpose: 'history', terms: null,
      tracks, until: forever, hubs: [], capsule: H(capsule), standing: false, release: null, mask: null,
    },
  };
}
