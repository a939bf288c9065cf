/**
 * Grants (protocol 2.8): footage given to one key. The lines of the statement,
 * and what the chain makes of them.
 */
import { type Bytes, b64, equal } from './bytes';
import type { ChainState, Member } from './chain';
import { refuse } from './failure';
import { kidOf } from './hash';
import { publicKeySize } from './hpke';
import { bytesField, type LineReader, maybeLine, numberField, parseVkey, sortedLines, splitFields, type TextLine } from './note';

const kinds = ['member', 'contact', 'link', 'staff', 'project'] as const;
/** What a grantee is: a member (footage of the past), or somebody outside the household. */
export type GrantKind = (typeof kinds)[number];

/** Footage of one track in [from, until), unix seconds. */
export interface TrackRange {
  readonly track: Bytes;
  readonly from: number;
  readonly until: number;
}

/** The own lines of a `grant`; null where a line may be missing and is. */
export interface GrantBody {
  readonly type: 'grant';
  /** 16 random bytes, used once */
  readonly grant: Bytes;
  /** kid of the grantee's X-Wing key */
  readonly to: Bytes;
  readonly kind: GrantKind;
  /** the grantee's X-Wing key, when it is not in the roster */
  readonly key: Bytes | null;
  /** token or token:token, such as history or support:48213 */
  readonly purpose: string;
  /** H of the consent text shown; demanded for annotate */
  readonly terms: Bytes | null;
  readonly tracks: readonly TrackRange[];
  /** unix seconds: when the operator stops serving it */
  readonly until: number;
  /** vkeys of the hubs to trust, for grantees who have no chain */
  readonly hubs: readonly string[];
  /** H of the sealed capsule */
  readonly capsule: Bytes | null;
  readonly standing: boolean;
  /** kid of the hub that has to release each entry, with the mask's hash */
  readonly release: Bytes | null;
  readonly mask: Bytes | null;
}

/** A grant as the chain has it. */
export interface Grant {
  readonly grant: Bytes;
  /** kid of the issuer's Ed25519 key; follows his rekeys */
  readonly by: Bytes;
  readonly to: Bytes;
  readonly kind: GrantKind;
  /** the grantee's X-Wing key; null unless the statement has it */
  readonly key: Bytes | null;
  /** in the order of their lines */
  readonly tracks: readonly TrackRange[];
  readonly until: number;
  readonly capsule: Bytes | null;
  /** hubs seal future epochs to the grantee */
  readonly standing: boolean;
  /** kid of the hub that has to release each entry, and H of the sealed mask; null: a grant with one key */
  readonly release: Bytes | null;
  readonly mask: Bytes | null;
  readonly seq: number;
  readonly revoked: boolean;
}

export function grantLines(b: GrantBody): TextLine[] {
  return [
    ['grant', b64(b.grant)],
    ['to', `${b64(b.to)} ${b.kind}`],
    ...maybeLine('key', b.key),
    ['purpose', b.purpose],
    ...maybeLine('terms', b.terms),
    ...sortedLines('track', b.tracks.map((t) => `${b64(t.track)} ${t.from} ${t.until}`)),
    ['until', String(b.until)],
    ...sortedLines('hub', b.hubs),
    ...maybeLine('capsule', b.capsule),
    ...(b.standing ? [['standing', 'yes'] as const] : []),
    ...maybeLine('release', b.release),
    ...maybeLine('mask', b.mask),
  ];
}

export function readGrant(r: LineReader): GrantBody {
  const grant = r.bytes('grant', 16);
  const [kid, kind] = r.fields('to', 2);
  const to = bytesField(kid, 16);
  const key = r.maybe('key');
  const body: GrantBody = {
    type: 'grant', grant, to, kind: kindField(kind),
    key: key === null ? null : bytesField(key, publicKeySize),
    purpose: purposeField(r.one('purpose')),
    terms: r.maybeBytes('terms', 32),
    tracks: r.many('track').map(rangeField),
    until: r.number('until'),
    hubs: r.many('hub'),
    capsule: r.maybeBytes('capsule', 32),
    standing: standingField(r.maybe('standing')),
    release: r.maybeBytes('release', 16),
    mask: r.maybeBytes('mask', 32),
  };
  checkForm(body);
  return body;
}

function checkForm(b: GrantBody): void {
  if (b.key !== null && !equal(kidOf(b.key), b.to)) throw refuse('grant: the key is another than the one granted to');
  if (b.purpose.split(':')[0] === 'annotate' && b.terms === null) throw refuse('grant: annotate without terms');
  if (b.tracks.length === 0) throw refuse('grant: of no track');
  for (const hub of b.hubs) parseVkey(hub);
  if (b.capsule === null && !b.standing) throw refuse('grant: neither a capsule nor standing');
  if ((b.release === null) !== (b.mask === null) || (b.mask !== null && b.capsule === null)) {
    throw refuse('grant: release, mask and capsule belong together');
  }
}

function kindField(value: string | undefined): GrantKind {
  const kind = kinds.find((k) => k === value);
  if (kind === undefined) throw refuse('grant: unknown kind of grantee');
  return kind;
}

function purposeField(value: string): string {
  if (!/^[a-z0-9-]{1,64}(:[a-z0-9-]{1,64})?$/.test(value)) throw refuse('grant: the purpose is not a token, or two with a colon');
  return value;
}

function standingField(value: string | null): boolean {
  if (value !== null && value !== 'yes') throw refuse('grant: standing is yes, or not there');
  return value !== null;
}

function rangeField(value: string): TrackRange {
  const [track, from, until] = splitFields(value, 3);
  const range = { track: bytesField(track, 16), from: numberField(from), until: numberField(until) };
  if (range.from >= range.until) throw refuse('grant: an empty range');
  return range;
}

/** Whether the grant has footage of the track in [from, until). */
export function overlaps(g: Grant, track: Bytes, from: number, until: number): boolean {
  return g.tracks.some((r) => equal(r.track, track) && r.from < until && from < r.until);
}

/** The grants in force to a member, under any sealing key he has or had. */
export function grantsTo(state: ChainState, m: Member): Grant[] {
  const kids = kidsOf(m);
  return [...state.grants.values()].filter((g) => g.kind === 'member' && !g.revoked && kids.some((k) => equal(k, g.to)));
}

/** The kids of all sealing keys of a member, the present one first. */
export function kidsOf(m: Member): Bytes[] {
  return [kidOf(m.x), ...m.past];
}

/** What each kind of grantee demands; throws Failure 'verify'. */
export function checkGrantee(state: ChainState, b: GrantBody): void {
  if (b.kind === 'member') {
    if (![...state.members.values()].some((m) => equal(kidOf(m.x), b.to))) throw refuse('grant: to the present key of no member');
    if (b.hubs.length > 0) throw refuse('grant: a member trusts the hubs of the chain');
  } else if (b.hubs.length === 0) {
    throw refuse(`grant: a ${b.kind} has to be told which hubs to trust`);
  }
  if (b.release === null) {
    if (b.kind === 'staff') throw refuse('grant: to staff without the release of a hub');
    return;
  }
  const release = b.release;
  if (![...state.hubs.values()].some((h) => equal(h.kid, release))) throw refuse('grant: released by no hub');
}
