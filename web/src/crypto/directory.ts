/**
 * The directory note (docs/spec/chain, "Directory"): what people and hubs are
 * called. It travels sealed to every member and is no statement of the chain.
 */
import { type Bytes, b64, equal, fromUtf8, hex, parseB64, parseHex, utf8 } from './bytes';
import type { ChainState } from './chain';
import { refuse } from './failure';
import { composeText, LineReader, type Note, parseNote, readText, verifyNote } from './note';

const maxNames = 32 << 10;
const maxName = 200;

/** Texts of at most 200 bytes of UTF-8 without control characters; people and hubs by hex kid of their Ed25519 key. */
export interface Names {
  readonly household: string;
  readonly people: ReadonlyMap<string, string>;
  readonly hubs: ReadonlyMap<string, string>;
}

export interface Directory {
  readonly household: Bytes;
  /** kid of the signing admin's Ed25519 key */
  readonly by: Bytes;
  /** a higher one replaces a lower one */
  readonly n: number;
  readonly time: number;
  readonly names: Names;
}

/** The text of a directory, ready to sign; throws Failure 'verify' on names that nobody would take. */
export function directoryText(d: Directory): Bytes {
  const text = composeText('directory', [
    ['household', b64(d.household)],
    ['by', b64(d.by)],
    ['n', String(d.n)],
    ['time', String(d.time)],
    ['names', b64(utf8(namesJson(d.names)))],
  ]);
  parseDirectory(readText(text));
  return text;
}

/** Reads the lines of a directory note; does not check who signed it. */
export function parseDirectory(n: Note): Directory {
  const r = new LineReader(n, 'directory');
  const out = { household: r.bytes('household', 16), by: r.bytes('by', 16), n: r.number('n'), time: r.number('time'), names: namesField(r.one('names')) };
  r.end();
  return out;
}

/** Reads a directory note of this household, signed by an admin of it; throws Failure 'verify'. */
export async function openDirectory(raw: Bytes, state: ChainState): Promise<Directory> {
  const n = parseNote(raw);
  const d = parseDirectory(n);
  if (!equal(d.household, state.household)) throw refuse('directory: of another household');
  const admin = state.members.get(hex(d.by));
  if (admin?.role !== 'admin') throw refuse('directory: signed by no admin');
  await verifyNote(n, admin.ed);
  return d;
}

/** The JSON has one form: what does not give the same bytes again is refused. */
function namesField(value: string): Names {
  const b = parseB64(value);
  if (b === null || b.length > maxNames) throw refuse('directory: names are not 32 KiB of base64');
  let json: string;
  let names: Names;
  try {
    json = fromUtf8(b);
    names = namesOf(JSON.parse(json));
  } catch (cause) {
    throw refuse('directory: names are not JSON', cause);
  }
  if (namesJson(names) !== json) throw refuse('directory: names are not in their one form');
  for (const text of [names.household, ...names.people.values(), ...names.hubs.values()]) checkName(text);
  return names;
}

function namesOf(v: unknown): Names {
  if (typeof v !== 'object' || v === null || !('household' in v) || !('people' in v) || !('hubs' in v)) throw refuse('directory: a key is missing');
  if (typeof v.household !== 'string') throw refuse('directory: a name that is no text');
  return { household: v.household, people: nameMap(v.people), hubs: nameMap(v.hubs) };
}

function nameMap(v: unknown): Map<string, string> {
  if (typeof v !== 'object' || v === null || Array.isArray(v)) throw refuse('directory: names that are no map');
  return new Map(
    Object.entries(v as Readonly<Record<string, unknown>>).map(([kid, name]) => {
      if (parseHex(kid, 16) === null || typeof name !== 'string') throw refuse('directory: not a kid and a name');
      return [kid, name] as const;
    }),
  );
}

// No control characters. Spelled as escapes: a name may hold any other character.
// eslint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f]/u;

function checkName(text: string): void {
  if (utf8(text).length > maxName || control.test(text)) throw refuse('directory: a name of more than 200 bytes, or with control characters');
}

/** Three keys in this order, kids sorted, no spaces, no escapes but those of quote and backslash. */
function namesJson(names: Names): string {
  return `{"household":${quote(names.household)},"people":${mapJson(names.people)},"hubs":${mapJson(names.hubs)}}`;
}

function mapJson(m: ReadonlyMap<string, string>): string {
  const sorted = [...m].sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([kid, name]) => `"${kid}":${quote(name)}`).join(',')}}`;
}

function quote(s: string): string {
  return `"${s.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
