/** Whose signatures count (docs/spec/log.md, "Policy"), and what holds under it. */
import { b64, type Bytes, equal, parseB64, utf8 } from '../crypto/bytes';
import { Failure, refuse } from '../crypto/failure';
import { decimal, encodeEntry, parseEntry } from './leaf';
import { type Key, type KeyType, parseKey, parseSigned, type SignatureLine, type Signed, timeOf, verifySigned, vkeyOf } from './signed';
import { type Staff, staffOf } from './staff';
import type { Tree } from './tree';

const maxPolicy = 64 << 10;

/** What no policy may have: control characters other than tab and line feed. */
const control = (c: string): boolean => (c < ' ' && c !== '\t' && c !== '\n') || c === '\u007f';

interface Group {
  readonly name: string;
  readonly k: number;
  readonly members: readonly string[];
}

/** A log of one size that its policy vouches for. */
export interface Checkpoint extends Tree {
  /** unix seconds since which a quorum has vouched; null under a policy without witnesses */
  readonly witnessed: number | null;
}

/** A checkpoint for which fewer witnesses vouch than the policy wants: of a log that is new, or whose witnesses are away. */
export class NotWitnessed extends Failure {
  constructor() {
    super('verify', 'ledger: fewer witnesses vouch for the log than the policy wants');
    this.name = 'NotWitnessed';
  }
}

/** What the operator says is the set of all tags. */
export interface SetNote {
  /** entries folded */
  readonly size: number;
  /** tags */
  readonly count: number;
  readonly root: Bytes;
  /** unix seconds */
  readonly time: number;
}

/** What a page, an app or a hub's program is made of. */
export interface Release {
  readonly kind: string;
  readonly version: string;
  /** H of the manifest */
  readonly hash: Bytes;
  /** commit */
  readonly source: string;
}

/** Nobody releases alone. */
const releaseSigners = 2;

export class Policy {
  readonly witnesses = new Map<string, Key>();
  readonly auditors = new Map<string, Key>();
  readonly releasers = new Map<string, Key>();
  /** any one of them says who is staff of the operator */
  readonly staffRoots = new Map<string, Key>();
  readonly #one = new Map<'log' | 'operator', Key>();
  readonly #groups: Group[] = [];
  /** names that stand in a group: nobody counts twice */
  readonly #members = new Set<string>();
  #quorum: string | null | undefined;

  /** Reads a policy strictly. Throws Failure 'verify'. */
  constructor(readonly text: string) {
    if (utf8(text).length > maxPolicy || [...text].some(control)) throw refuse('ledger: a policy that is too long, or with a control character');
    for (const line of text.split('\n')) {
      const [word, ...rest] = line.split(/[ \t]+/).filter((w) => w !== '');
      if (word !== undefined && !word.startsWith('#')) this.#line(word, rest);
    }
    if (this.#one.size !== 2 || this.#quorum === undefined) throw refuse('ledger: a policy without log, operator or quorum');
    const operator = this.#key('operator').publicKey;
    if ([...this.auditors.values()].some((k) => equal(k.publicKey, operator))) throw refuse('ledger: a policy whose auditor is the operator himself');
    const running = [operator, this.#key('log').publicKey];
    if ([...this.staffRoots.values()].some((k) => running.some((r) => equal(k.publicKey, r)))) throw refuse('ledger: a policy whose staff root is a key of the running service');
    if (this.releasers.size > 0 && this.releasers.size < releaseSigners) throw refuse('ledger: a policy with one releaser alone');
  }

  /** The name of the log, the first line of its checkpoints. */
  get origin(): string {
    return this.#key('log').name;
  }

  /** The operator's verifier key, in its one form. */
  get operator(): string {
    return vkeyOf(this.#key('operator'));
  }

  /** Whether anybody but the operator must vouch for a checkpoint. */
  get witnessed(): boolean {
    return this.#quorum !== null;
  }

  #key(which: 'log' | 'operator'): Key {
    const key = this.#one.get(which);
    if (key === undefined) throw refuse(`ledger: a policy without ${which}`);
    return key;
  }

  #line(word: string, rest: readonly string[]): void {
    switch (word) {
      case 'log':
      case 'operator':
        if (this.#one.has(word)) throw refuse(`ledger: a policy with two lines ${word}`);
        this.#one.set(word, keyIn(rest, 1));
        return;
      case 'witness':
        this.#named(this.witnesses, rest, 4);
        return;
      case 'auditor':
        this.#named(this.auditors, rest, 1);
        return;
      case 'releaser':
        this.#named(this.releasers, rest, 1);
        return;
      case 'staffroot':
        this.#named(this.staffRoots, rest, 1);
        return;
      case 'group':
        this.#group(rest);
        return;
      case 'quorum': {
        const [name, ...more] = rest;
        if (this.#quorum !== undefined || name === undefined || more.length > 0 || (name !== 'none' && !this.#defined(name))) throw refuse('ledger: a policy whose quorum is not one name');
        this.#quorum = name === 'none' ? null : name;
        return;
      }
      default:
        throw refuse(`ledger: a policy with the unknown word ${word}`);
    }
  }

  #defined(name: string): boolean {
    return this.witnesses.has(name) || this.#groups.some((g) => g.name === name);
  }

  #named(list: Map<string, Key>, [name, ...rest]: readonly string[], type: KeyType): void {
    const key = keyIn(rest, type);
    const taken = name === undefined || list.has(name) || (type === 4 && (name === 'none' || this.#defined(name)));
    if (taken || [...list.values()].some((k) => equal(k.publicKey, key.publicKey))) throw refuse('ledger: a policy with one name or key twice');
    list.set(name, key);
  }

  #group([name, count, ...members]: readonly string[]): void {
    const k = count === 'any' ? 1 : count === 'all' ? members.length : decimal(count);
    const wrong = name === undefined || name === 'none' || this.#defined(name) || k === null || k < 1 || k > members.length;
    if (wrong) throw refuse('ledger: a policy with a group that is none');
    for (const m of members) {
      if (!this.#defined(m) || this.#members.has(m)) throw refuse('ledger: a policy with a group of nobody, or of one who is in a group already');
      this.#members.add(m);
    }
    this.#groups.push({ name, k, members });
  }

  /** Since when a whole quorum has vouched, given when each witness did; null when none has. */
  #since(signed: ReadonlyMap<string, number>): number | null {
    const times = new Map(signed);
    for (const g of this.#groups) {
      const kth = g.members.map((m) => times.get(m) ?? -1).sort((a, b) => b - a)[g.k - 1] ?? -1;
      if (kth >= 0) times.set(g.name, kth);
    }
    return times.get(this.#quorum ?? '') ?? null;
  }

  /** Reads a signed checkpoint and holds it against the policy. Throws Failure 'verify'. */
  async checkpoint(raw: Uint8Array): Promise<Checkpoint> {
    const n = parseSigned(raw);
    const held = await verifySigned(n, [this.#key('log'), ...this.witnesses.values()]);
    if (!held.has(this.#key('log'))) throw refuse('ledger: the log has not signed its checkpoint');
    const tree = treeOf(n.text, this.origin);
    if (!this.witnessed) return { ...tree, witnessed: null };
    const witnessed = this.#since(this.#times(held));
    if (witnessed === null) throw new NotWitnessed();
    return { ...tree, witnessed };
  }

  /** Which witnesses of the policy vouch for a checkpoint, and since when (unix seconds). Throws Failure 'verify'. */
  async cosigners(raw: Uint8Array): Promise<ReadonlyMap<string, number>> {
    return this.#times(await verifySigned(parseSigned(raw), [...this.witnesses.values()]));
  }

  #times(held: ReadonlyMap<Key, SignatureLine>): Map<string, number> {
    const times = new Map<string, number>();
    for (const [name, key] of this.witnesses) {
      const line = held.get(key);
      if (line !== undefined) times.set(name, timeOf(line));
    }
    return times;
  }

  /** Reads a signed set note and holds it against the policy. Throws Failure 'verify'. */
  async set(raw: Uint8Array): Promise<SetNote> {
    const n = parseSigned(raw);
    const held = await verifySigned(n, [this.#key('operator'), ...this.auditors.values()]);
    if (!held.has(this.#key('operator'))) throw refuse('ledger: the operator has not signed the set');
    if (this.auditors.size > 0 && ![...this.auditors.values()].some((k) => held.has(k))) throw refuse('ledger: no auditor vouches for the set');
    return setOf(n.text, this.origin);
  }

  /** The text of a checkpoint of this log, which nobody has signed. */
  namedText(t: Tree): Bytes {
    return utf8(`${this.origin}\n${t.size}\n${b64(t.root)}\n`);
  }

  /** The set note that is an entry of the log: as the operator alone had signed it. Throws Failure 'verify'. */
  async loggedSet(entry: Uint8Array): Promise<SetNote> {
    const e = parseEntry(entry);
    if (e.kind !== 'public') throw refuse('ledger: the entry is no set');
    return setOf(await this.said(e.note), this.origin);
  }

  /** Reads a signed release note: two of the releasers have signed it. Throws Failure 'verify'. */
  async release(raw: Uint8Array): Promise<Release> {
    const n = parseSigned(raw);
    const held = await verifySigned(n, [...this.releasers.values()]);
    if (held.size < releaseSigners) throw refuse('ledger: fewer releasers than it takes have signed the release');
    return releaseOf(n.text);
  }

  /** Reads a signed staff note: the staff root has signed it. Throws Failure 'verify'. */
  async staff(raw: Uint8Array): Promise<Staff> {
    const n = parseSigned(raw);
    const held = await verifySigned(n, [...this.staffRoots.values()]);
    if (held.size === 0) throw refuse('ledger: the staff root has not signed who is staff');
    return staffOf(n.text);
  }

  /** The text of a note that the operator has signed. Throws Failure 'verify'. */
  async said(raw: Uint8Array): Promise<string> {
    const n = parseSigned(raw);
    const operator = this.#key('operator');
    if (!(await verifySigned(n, [operator])).has(operator)) throw refuse('ledger: the operator has not signed the note');
    return n.text;
  }

  /** The log's entry for a set note: as the operator alone had signed it. */
  setEntry(raw: Uint8Array): Bytes {
    const n: Signed = parseSigned(raw);
    const operator = this.#key('operator');
    const line = n.lines.find((l) => l.name === operator.name && `${l.id}` === `${operator.id}`);
    if (line === undefined) throw refuse('ledger: the operator has not signed the set');
    return encodeEntry({ kind: 'public', note: utf8(`${n.text}\n${line.line}`) });
  }
}

function keyIn([vkey, , ...more]: readonly string[], type: KeyType): Key {
  const key = vkey === undefined || more.length > 0 ? null : parseKey(vkey, type);
  if (key === null) throw refuse('ledger: a policy with something that is no key of its kind');
  return key;
}

function treeOf(text: string, origin: string): Tree {
  const [name, size, root, ...rest] = text.split('\n');
  const [n, hash] = [decimal(size), root === undefined ? null : parseB64(root, 32)];
  if (name !== origin || n === null || hash === null || rest.pop() !== '' || rest.includes('')) throw refuse('ledger: no checkpoint of this log');
  return { size: n, root: hash };
}

function setOf(text: string, origin: string): SetNote {
  const [, name, size, count, root, time] = /^latchkey\/v1 set\norigin (.*)\nsize (.*)\ncount (.*)\nroot (.*)\ntime (.*)\n$/.exec(text) ?? [];
  const [n, tags, hash, at] = [decimal(size), decimal(count), root === undefined ? null : parseB64(root, 32), decimal(time)];
  if (name !== origin || n === null || tags === null || hash === null || at === null) throw refuse('ledger: no set of this log');
  return { size: n, count: tags, root: hash, time: at };
}

function releaseOf(text: string): Release {
  const [, kind, version, hash, source] = /^latchkey\/v1 release\nkind (web|app|hub)\nversion ([!-~]{1,128})\nhash (.*)\nsource ([!-~]{1,128})\n$/.exec(text) ?? [];
  const sum = hash === undefined ? null : parseB64(hash, 32);
  if (kind === undefined || version === undefined || sum === null || source === undefined) throw refuse('ledger: no release');
  return { kind, version, hash: sum, source };
}
