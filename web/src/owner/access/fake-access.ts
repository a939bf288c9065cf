/** The public log and the statements of the home in memory. It keeps the contract of {@link HomeAccess}; never part of the built app. */
import type { AppError, CameraId, HomeChange, Kid, Result } from '../types';
import type { AccessRow, Breach, BreachKind, Decision, Given, HomeAccess, LogState, PageRelease, Party, StatementProof } from './types';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ok = <T>(value: T): Result<T> => ({ ok: true, value });
const id = (text: string): string => Array.from({ length: 16 }, (_, i) => ((text.charCodeAt(i % text.length) * (i + 7)) % 256).toString(16).padStart(2, '0')).join('');
const notYet: AppError = { kind: 'not-found', what: 'There is no proof yet.', safe: 'Nothing was changed.', next: 'Wait a minute.' };

export class FakeAccess implements HomeAccess {
  readonly calls: string[] = [];
  /** what tests change, followed by `tell` */
  state: LogState;
  list: AccessRow[];
  unread: readonly number[];
  release: PageRelease = { state: 'released', version: '1.4.0', source: '4c26716', entry: 812, files: 101 };
  readonly #tell: (what: HomeChange) => void;
  readonly #began = Date.now();

  constructor(tell: (what: HomeChange) => void, me: string) {
    this.#tell = tell;
    this.list = this.#story(me).reverse();
    const n = this.list.length;
    this.unread = [];
    this.state = {
      state: 'complete', until: this.#began - 20_000, breach: null, away: false, total: n, proven: n, covered: n,
      watch: { log: 'log.example/log/2026', size: 48_211, witnesses: 2, witnessed: true, auditors: 1 },
    };
  }

  break(kind: BreachKind): void {
    const breach: Breach = { kind, at: this.#began - HOUR / 2, seq: kind === 'gap' ? 3 : null };
    this.change({ state: 'broken', breach });
  }

  change(part: Partial<LogState>): void {
    this.state = { ...this.state, ...part };
    this.#tell('log');
  }

  /** Somebody does something now: it waits for the log. */
  add(by: Party, what: Decision): void {
    const seq = this.list.length;
    this.list = [{ seq, at: Date.now(), by, what, hash: btoa(`hash ${seq}`.padEnd(32, '.')), leaf: null, covered: false }, ...this.list];
    this.change({ total: seq + 1 });
  }

  prove(): void {
    this.list = this.list.map((r) => ({ ...r, leaf: r.leaf ?? 900 + r.seq, covered: true }));
    this.change({ proven: this.list.length, covered: this.list.length, until: Date.now() });
  }

  party(name: string, me = false): Party {
    return { kid: id(name) as Kid, name, me };
  }

  log(): Promise<Result<LogState>> {
    return Promise.resolve(ok(this.state));
  }

  rows(): Promise<Result<AccessRow[]>> {
    return Promise.resolve(ok([...this.list]));
  }

  proof(seq: number): Promise<Result<StatementProof>> {
    this.calls.push(`proof ${seq}`);
    const row = this.list.find((r) => r.seq === seq);
    if (row === undefined || row.leaf === null) return Promise.resolve({ ok: false, error: notYet });
    const witnesses = [{ name: 'anna.example', at: this.#began - 30_000 }, { name: 'ben.example', at: this.#began - 28_000 }];
    return Promise.resolve(ok({ file: 'c2sp.org/tlog-proof@v1\n', leaf: row.leaf, log: 'log.example/log/2026', size: 48_211, witnesses }));
  }

  completeness(): Promise<Result<{ file: string; until: number }>> {
    this.calls.push('completeness');
    return Promise.resolve(this.state.until === null ? { ok: false, error: notYet } : ok({ file: 'latchkey/v1 completeness\n', until: this.state.until }));
  }

  again({ acceptPolicy }: { acceptPolicy: boolean }): Promise<Result<LogState>> {
    this.calls.push(acceptPolicy ? 'again, accepted' : 'again');
    if (this.state.breach?.kind !== 'policy' || acceptPolicy) this.change({ state: 'complete', breach: null, until: Date.now() });
    return Promise.resolve(ok(this.state));
  }

  news(): Promise<Result<AccessRow[]>> {
    return Promise.resolve(ok(this.list.filter((r) => this.unread.includes(r.seq))));
  }

  seen(seq: number): Promise<Result<void>> {
    this.calls.push(`seen ${seq}`);
    this.unread = this.unread.filter((s) => s > seq);
    return Promise.resolve(ok(undefined));
  }

  page(): Promise<Result<PageRelease>> {
    this.calls.push('page');
    return Promise.resolve(ok(this.release));
  }

  #story(me: string): AccessRow[] {
    const who = (name: string): Party => this.party(name, name === me);
    const camera = (name: string): { camera: CameraId; name: string } => ({ camera: id(name) as CameraId, name });
    const given = (part: Partial<Given>): Given => ({
      kind: 'link', to: null, purpose: 'share', standing: false, ended: null, until: this.#began + 3 * DAY,
      footage: [{ ...camera('Porch'), sound: false, from: this.#began - 3 * HOUR, until: this.#began - 3 * HOUR + 180_000 }], ...part,
    });
    const some = [{ ...camera('Porch'), sound: true }, { ...camera('Driveway'), sound: false }];
    const gate = [{ ...camera('Garden gate'), sound: false }];
    const story: readonly [number, string, Decision][] = [
      [40, 'Ann', { type: 'founded' }],
      [40, 'Ann', { type: 'hub', hub: { kid: id('hub') as Kid, name: 'Cupboard', me: false } }],
      [40, 'Ann', { type: 'camera', camera: camera('Porch'), kinds: ['video', 'video-sub', 'audio', 'meta'], first: true }],
      [39, 'Ann', { type: 'camera', camera: camera('Driveway'), kinds: ['video', 'meta'], first: true }],
      [39, 'Ann', { type: 'camera', camera: camera('Garden gate'), kinds: ['video', 'meta'], first: true }],
      [30, 'Ann', { type: 'member', person: who('Sam'), role: 'member', share: true, sees: some.slice(1), before: null }],
      [30, 'Ann', { type: 'given', given: given({ kind: 'member', to: who('Sam'), purpose: 'history', until: this.#began - 20 * DAY }) }],
      [22, 'Ann', { type: 'member', person: who('Sam'), role: 'member', share: true, sees: some, before: some.slice(1) }],
      [12, 'Ann', { type: 'member', person: who('Mina'), role: 'viewer', share: false, sees: gate, before: null }],
      [9, 'Ann', { type: 'retain', camera: null, seconds: 30 * 86_400 }],
      [4, 'Sam', { type: 'given', given: given({ ended: this.#began - 2 * DAY }) }],
      [2, 'Sam', { type: 'ended', seq: 10, given: given({ ended: this.#began - 2 * DAY }) }],
      [1, 'Cupboard', { type: 'seal', hub: { kid: id('hub') as Kid, name: 'Cupboard', me: false }, epochs: 96 }],
      [0.1, 'Sam', { type: 'given', given: given({}) }],
    ];
    return story.map(([days, by, what], seq) => ({
      seq, at: this.#began - days * DAY, by: who(by), what, hash: btoa(`hash ${seq}`.padEnd(32, '.')), leaf: 900 + seq, covered: true,
    }));
  }
}
