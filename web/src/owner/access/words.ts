/** Statements in sentences. Pure: rows in, words out; times in the reader's zone. */
import { ma, type Filter } from '../messages-access';
import { between, moment, span } from '../when';
import type { AccessRow, Decision, Given, NamedCamera, Party, Sees } from './types';

/** What one row says: a sentence, and what it comes to. */
export interface RowWords {
  readonly title: string;
  readonly details: readonly string[];
}

const { did, page } = ma;

/** In the middle of a sentence. */
const named = (p: Party): string => (p.me ? page.you : p.name || page.somebody);
/** At its beginning. */
const Named = (p: Party): string => (p.me ? page.You : p.name || page.Somebody);
const cameraName = (c: NamedCamera | null): string => (c === null || c.name === '' ? page.aCamera : c.name);
const hubNamed = (p: Party): string => p.name || page.hub;

export function sees(what: Sees): string {
  if (what === 'all') return did.all;
  if (what.length === 0) return did.nothing;
  return what.map((c) => (c.sound ? did.withSound(cameraName(c)) : cameraName(c))).join(', ');
}

const seesSentence = (what: Sees): string => (what === 'all' ? did.seesAll : what.length === 0 ? did.seesNothing : did.sees(sees(what)));

export function rowWords(row: AccessRow, now: number): RowWords {
  const by = Named(row.by);
  const { what } = row;
  switch (what.type) {
    case 'founded':
      return { title: did.founded(by), details: [did.foundedWhat] };
    case 'member':
      return memberWords(by, what);
    case 'removed':
      return { title: did.removed(by, named(what.person)), details: [did.removedWhat] };
    case 'keys':
      return keysWords(what);
    case 'hub':
      return { title: did.hub(by, hubNamed(what.hub)), details: [] };
    case 'unhub':
      return { title: did.unhub(by, hubNamed(what.hub)), details: [] };
    case 'camera': {
      const kinds = what.kinds.map((k) => ma.kind[k]).join(', ');
      return what.first ? { title: did.camera(by, cameraName(what.camera)), details: [did.records(kinds)] } : { title: did.cameraMore(by, cameraName(what.camera), kinds), details: [] };
    }
    case 'retain':
      return { title: did.retain(by, what.camera === null ? did.retainAll : did.footageOf(cameraName(what.camera)), span(what.seconds * 1000)), details: [] };
    case 'erase':
      return { title: did.erase(by, cameraName(what.camera)), details: [between(what.from, what.until, now)] };
    case 'seal':
      return { title: did.seal(what.hub.name || Named(what.hub)), details: [] };
    case 'given':
      return { title: did.given(by, granteeName(what.given)), details: givenWords(what.given, now) };
    case 'ended':
      return { title: did.ended(by, granteeName(what.given)), details: [...footageWords(what.given, now), did.kept] };
    case 'opened':
      return { title: did.opened, details: [...footageWords(what.given, now), did.purpose(purposeWords(what.given.purpose)), did.openedWhat] };
    case 'notice':
      return { title: did.notice[what.action]?.(what.object) ?? did.noticeOther(what.action, what.object), details: [did.noticeWhat] };
  }
}

function memberWords(by: string, what: Extract<Decision, { type: 'member' }>): RowWords {
  const { person, role, share } = what;
  const may = share ? did.share : did.noShare;
  if (what.before === null) return { title: did.letIn(by, named(person), ma.role[role]), details: [seesSentence(what.sees), may, did.fromNow] };
  return { title: did.changed(by, named(person)), details: [did.nowIs(ma.role[role]), seesSentence(what.sees), did.before(sees(what.before)), may] };
}

function keysWords(what: Extract<Decision, { type: 'keys' }>): RowWords {
  const { person } = what;
  if (what.byCode) return { title: did.keysByCode(named(person)), details: [did.keysWhat] };
  if (what.signing) return { title: did.keys(Named(person)), details: [did.keysWhat] };
  return { title: what.code ? did.code(Named(person)) : did.sealing(Named(person)), details: [] };
}

export const granteeName = (given: Given): string => (given.to === null ? ma.grantee[given.kind] : named(given.to));

/** Stretches of cameras: "Porch with sound, Today 12:00:00 – 12:03:00". */
export function footageWords(given: Given, now: number): string[] {
  return given.footage.map((f) => `${f.sound ? did.withSound(cameraName(f)) : cameraName(f)}, ${between(f.from, f.until, now)}`);
}

export function purposeWords(purpose: string): string {
  const [first = '', number] = purpose.split(':');
  const words = ma.purpose[first] ?? first;
  return number === undefined ? words : `${words}, ${number}`;
}

function givenWords(given: Given, now: number): string[] {
  const end = given.ended !== null ? `${did.endedAt(moment(given.ended, now))} ${did.kept}` : given.until <= now ? did.over(moment(given.until, now)) : did.until(moment(given.until, now));
  return [...footageWords(given, now), ...(given.standing ? [did.standing] : []), did.purpose(purposeWords(given.purpose)), end];
}

/** Whether it is being given still. */
export const served = (given: Given, now: number): boolean => given.ended === null && given.until > now;

/** Additions count once they are proven; removals never wait. */
export const isAddition = (what: Decision): boolean => ['member', 'hub', 'keys', 'camera', 'given'].includes(what.type);

/** Which choice of the page a row belongs to besides `all`; null: seals, which have a place of their own. */
export function filterOf(what: Decision): Exclude<Filter, 'all'> | null {
  switch (what.type) {
    case 'founded':
    case 'member':
    case 'removed':
      return 'sight';
    case 'given':
    case 'ended':
      return what.given.kind === 'staff' ? 'staff' : what.given.kind === 'member' ? 'sight' : 'shared';
    case 'opened':
    case 'notice':
      return 'staff';
    case 'seal':
      return null;
    default:
      return 'devices';
  }
}

/** Everybody a row is about, the one who did it first. */
export function partiesOf({ by, what }: AccessRow): readonly Party[] {
  switch (what.type) {
    case 'member':
    case 'removed':
    case 'keys':
      return [by, what.person];
    case 'given':
    case 'ended':
      return what.given.to === null ? [by] : [by, what.given.to];
    default:
      return [by];
  }
}

/** The cameras a row is about; `all` where it is about every one. */
export function camerasOf(what: Decision): readonly NamedCamera[] | 'all' {
  switch (what.type) {
    case 'founded':
    case 'removed':
      return 'all';
    case 'member':
      return what.sees === 'all' || what.before === 'all' ? 'all' : [...what.sees, ...(what.before ?? [])];
    case 'camera':
      return [what.camera];
    case 'retain':
    case 'erase':
      return what.camera === null ? 'all' : [what.camera];
    case 'given':
    case 'ended':
    case 'opened':
      return what.given.footage;
    default:
      return [];
  }
}

export interface Choice {
  readonly filter: Filter;
  /** a kid; empty: everybody */
  readonly person: string;
  /** an id; empty: all */
  readonly camera: string;
}

export function chosen(row: AccessRow, { filter, person, camera }: Choice): boolean {
  if (filter !== 'all' && filterOf(row.what) !== filter) return false;
  if (person !== '' && !partiesOf(row).some((p) => p.kid === person)) return false;
  const about = camera === '' ? 'all' : camerasOf(row.what);
  return about === 'all' || about.some((c) => c.camera === camera);
}
