/**
 * The people, devices and codes of the home in memory. It keeps the contract of
 * {@link HomePeople}: what the contract forbids throws, what a person can get
 * wrong is answered.
 */
import { readCode } from './code';
import type {
  AppError, AppErrorKind, CameraId, EndReason, HomeChange, HomePeople, Hub, HouseholdId, Kid, MemberInvite, MemberInviteStep, NewPerson, OwnDevice,
  PasskeyInfo, PasskeySupport, Person, RemovalReport, Result, Rights, Role, Session,
} from './types';

/** What kind of home to play. */
export type Scenario =
  | 'new' | 'no-hub' | 'no-camera' | 'home' | 'trouble' | 'stale'
  /** seen by somebody who is no admin, with some of it shared */
  | 'member' | 'viewer' | 'nothing-shared'
  | 'code-used' | 'doubled'
  /** the public log is not as it should be; or somebody gave footage away */
  | 'log-broken' | 'log-policy' | 'log-stale' | 'log-checking' | 'given'
  /** support asks for footage; it has opened some */
  | 'help' | 'help-light'
  /** somebody's keys were replaced with the recovery code */
  | 'new-keys'
  /** nobody is signed in any more, and it was not done here */
  | 'ended' | 'removed';

export const FAKE_CODE = '5J2K-9QWX-0TFD-M7VC-3HRB-ZN4Y-81GA-E6PS';
export const FAKE_INVITATION = '7C4T-01ZD-QM8X-KV5N-9RHW-2EJG-P6SA-B3FY';
export const FAKE_NEW_CODE = 'T3WA-6HZQ-94KD-0VNM-8PXJ-C5RB-E1GY-S7F2';
export const FAKE_DIGITS = '4821 0937 5566 1204 7789 3310';
const HOUR = 3_600_000;

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });
export const id = <T extends string>(text: string): T => Array.from({ length: 16 }, (_, i) => ((text.charCodeAt(i % text.length) * (i + 7)) % 256).toString(16).padStart(2, '0')).join('') as T;

export function fakeError(kind: AppErrorKind, what = 'It did not work.'): AppError {
  return { kind, what, safe: 'Nothing earlier is affected.', next: 'Try again in a minute.' };
}
const failed = (error: AppError): { ok: false; error: AppError } => ({ ok: false, error });
const noLine = failed({ kind: 'network', what: 'The server cannot be reached right now.', safe: 'Your hub goes on recording and sends everything later.', next: 'Check this device’s connection; we try again by ourselves.' });
const wrongCode = failed({ ...fakeError('wrong-code', 'That is not the code on your sheet.'), next: 'Compare it group by group and type it again.' });
const cancelled = failed({ kind: 'refused', what: 'Stopped.', safe: 'Nobody was let in.', next: 'Make a new invitation when you want to.' });

/** A pattern with a QR code's look, not its meaning. */
export const fakeQr = (): boolean[][] => Array.from({ length: 29 }, (_, y) => Array.from({ length: 29 }, (__, x) => (x * 7 + y * 13 + x * y) % 5 < 2 || x % 28 === 0 || y % 28 === 0));

const fakeDevice = (label: string, how: OwnDevice['how'], hoursAgo: number, current = false): OwnDevice => ({
  id: id(label), label, how, current, online: hoursAgo < 1, created: Date.now() - 40 * 24 * HOUR, lastUse: Date.now() - hoursAgo * HOUR,
});

export abstract class FakePeople implements HomePeople {
  /** Every call in order, for tests. */
  readonly calls: string[] = [];
  /** How fast things happen: 1 as for people, 0 at once. */
  pace = 1;
  /** The server is away; the line of this device is not. */
  down = false;
  support: PasskeySupport = 'yes';
  /** What the next removal comes to; null: everybody hears of it. */
  removal: RemovalReport | null = null;

  readonly #listeners = new Set<(what: HomeChange) => void>();
  protected current: Session | null;
  #ended: EndReason | null = null;
  #code = FAKE_CODE;
  #people: Person[] = [];
  #devices: OwnDevice[] = [];
  #passkeys: PasskeyInfo[] = [];
  #joining: { person: string } | null = null;
  #renewing: 'code' | 'keys' | null = null;

  constructor(scenario: Scenario) {
    this.current = ['new', 'ended', 'removed'].includes(scenario) ? null : this.newSession('Elm Street 4', 'Ann');
    if (scenario === 'ended') this.#ended = 'device-ended';
    if (scenario === 'removed') this.#ended = 'removed';
    if (this.current === null) return;
    this.#devices = [fakeDevice('Firefox on Linux', 'founding', 0, true), fakeDevice('Safari on iPhone', 'passkey', 24), fakeDevice('Chrome on Android', 'recovery', 900)];
    this.#passkeys = scenario === 'no-hub' ? [] : [{ id: 'p1', label: 'Safari on iPhone', created: Date.now() - 30 * 24 * HOUR, lastUse: Date.now() - 24 * HOUR }];
    this.#settle(scenario);
  }

  /** Who is here, as the one who looks sees it. */
  #settle(scenario: Scenario): void {
    const some: Rights = { all: false, cameras: [{ camera: id<CameraId>('Porch'), sound: true }, { camera: id<CameraId>('Driveway'), sound: false }] };
    const gate: Rights = { all: false, cameras: [{ camera: id<CameraId>('Garden gate'), sound: false }] };
    const person = (name: string, role: Role, rights: Rights): Person => ({ kid: id<Kid>(name), name, role, rights, me: false, removable: true, newKeys: null });
    const ann = person('Ann', 'admin', { all: true });
    const sam = person('Sam', 'member', some);
    const mina = person('Mina', 'viewer', scenario === 'nothing-shared' ? { all: false, cameras: [] } : gate);
    const mine = scenario === 'member' ? sam : scenario === 'viewer' || scenario === 'nothing-shared' ? mina : ann;
    const alone = ['no-hub', 'no-camera'].includes(scenario);
    this.#people = (alone ? [ann] : [ann, sam, mina]).map((p) => ({ ...p, me: p === mine, removable: p !== mine && p !== ann, newKeys: scenario === 'new-keys' && p === sam ? { at: Date.now() - HOUR, byCode: true, seen: false } : null }));
    this.change({ person: mine.name, role: mine.role, passkeys: this.#passkeys.length, codeUsed: scenario === 'code-used' });
  }

  protected newSession(householdName: string, person: string, role: Role = 'admin'): Session {
    const server = typeof location === 'undefined' ? 'http://127.0.0.1:8440' : location.origin;
    return { household: id<HouseholdId>(householdName), householdName, person, server, trust: { tier: 3, words: `this session trusts ${new URL(server).host}` }, role, codeUsed: false, passkeys: 0 };
  }

  protected change(part: Partial<Session>): void {
    if (this.current !== null) this.current = { ...this.current, ...part };
  }

  protected begin(session: Session): Session {
    this.current = session;
    this.#ended = null;
    const me: Person = { kid: id<Kid>(session.person), name: session.person, role: session.role, rights: { all: true }, me: true, removable: false, newKeys: null };
    if (!this.#people.some((p) => p.me)) this.#people = [...this.#people, me];
    if (!this.#devices.some((d) => d.current)) this.#devices = [fakeDevice('Firefox on Linux', 'founding', 0, true)];
    return session;
  }

  /** As when another device, or an admin, ended this one. */
  end(why: EndReason): void {
    this.#ended = why;
    this.current = null;
    this.tell('session');
  }

  protected mayUse(code: string): boolean {
    return readCode(code).pretty === this.#code;
  }

  protected tell(what: HomeChange): void {
    for (const fn of this.#listeners) fn(what);
  }
  onChange(fn: (what: HomeChange) => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** What a call that needs the server comes to when there is none, or nobody is signed in. */
  protected server<T>(value: () => T): Promise<Result<T>> {
    if (this.down) return Promise.resolve(noLine);
    if (this.current === null) return Promise.resolve(failed(fakeError('refused', 'Nobody is signed in here.')));
    return Promise.resolve(ok(value()));
  }

  /** Pages do not offer others what only admins may do. */
  protected admin(call: string): void {
    this.calls.push(call);
    if (this.current?.role !== 'admin') throw new Error(`fake home: ${call} by somebody who is no admin`);
  }

  protected wait(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms * this.pace));
  }

  abstract hubs(): Promise<Result<Hub[]>>;

  people(): Promise<Result<Person[]>> {
    return this.server(() => [...this.#people]);
  }

  inviteMember(a: NewPerson, onStep: (step: MemberInviteStep) => void, onDigits: (digits: string) => void): Promise<Result<MemberInvite>> {
    this.admin('inviteMember');
    if (a.name.trim() === '' || (!a.rights.all && a.rights.cameras.length === 0)) throw new Error('fake home: an invitation of nobody, or to nothing');
    return this.server(() => this.#invitation(a, onStep, onDigits));
  }

  #invitation(a: NewPerson, onStep: (step: MemberInviteStep) => void, onDigits: (digits: string) => void): MemberInvite {
    let confirm: (yes: boolean) => void = () => undefined;
    let comparing = false;
    let over = false;
    const answer = new Promise<boolean>((resolve) => (confirm = resolve));
    const steps = async (): Promise<Result<Person>> => {
      onStep('waiting');
      await this.wait(5000);
      if (over) return cancelled;
      onStep('found');
      await this.wait(700);
      comparing = true;
      onStep('compare');
      onDigits(FAKE_DIGITS);
      if (!(await answer)) return cancelled;
      for (const step of a.history === 'none' ? (['signed'] as const) : (['signed', 'history'] as const)) {
        onStep(step);
        await this.wait(900);
      }
      onStep('joined');
      const person: Person = { kid: id<Kid>(a.name + 'kid'), name: a.name, role: a.role, rights: a.rights, me: false, removable: true, newKeys: null };
      this.#people = [...this.#people, person];
      this.tell('people');
      return ok(person);
    };
    return {
      link: `${this.current?.server ?? ''}/#join=${FAKE_INVITATION}`,
      code: FAKE_INVITATION,
      qr: fakeQr(),
      done: steps(),
      confirm: () => {
        this.calls.push('confirm');
        if (!comparing) throw new Error('fake home: confirmed before there were digits to compare');
        confirm(true);
      },
      cancel: () => {
        this.calls.push('cancelInvite');
        over = true;
        confirm(false);
      },
    };
  }

  #known(kid: Kid): Person {
    const person = this.#people.find((p) => p.kid === kid);
    if (person === undefined) throw new Error('fake home: no such person');
    return person;
  }

  #setPerson(kid: Kid, part: Partial<Person>): void {
    this.#people = this.#people.map((p) => (p.kid === kid ? { ...p, ...part } : p));
    this.tell('people');
  }

  async changeMember(kid: Kid, a: { role: Role; rights: Rights }): Promise<Result<void>> {
    this.admin('changeMember');
    if (this.#known(kid).me) throw new Error('fake home: somebody changes his own rights');
    await this.wait(600);
    return this.server(() => this.#setPerson(kid, a));
  }

  renameMember(kid: Kid, name: string): Promise<Result<void>> {
    this.admin('renameMember');
    if (name.trim() === '') throw new Error('fake home: a name of nothing');
    return this.server(() => {
      this.#setPerson(kid, { name });
      if (this.#known(kid).me) {
        this.change({ person: name });
        this.tell('session');
      }
    });
  }

  async removeMember(kid: Kid): Promise<Result<RemovalReport>> {
    this.admin('removeMember');
    if (!this.#known(kid).removable) throw new Error('fake home: somebody who cannot be removed was');
    await this.wait(800);
    const hubs = await this.hubs();
    const heard = hubs.ok ? hubs.value.map((hub) => ({ kid: hub.kid, heard: hub.online })) : [];
    const report = this.removal ?? { server: this.down ? 'failed' : 'done', hubs: heard };
    if (report.server === 'done') {
      this.#people = this.#people.filter((p) => p.kid !== kid);
      this.tell('people');
    }
    return ok(report);
  }

  seenNewKeys(kid: Kid): Promise<Result<void>> {
    this.calls.push('seenNewKeys');
    return this.server(() => {
      this.#people = this.#people.map((p) => (p.kid === kid && p.newKeys !== null ? { ...p, newKeys: { ...p.newKeys, seen: true } } : p));
      this.tell('people');
    });
  }

  beginJoin(a: { code: string; person: string }): Promise<Result<{ code: string }>> {
    this.calls.push('beginJoin');
    if (a.person.trim() === '') throw new Error('fake home: joined by nobody');
    if (readCode(a.code).pretty !== FAKE_INVITATION) {
      return Promise.resolve(failed({ kind: 'wrong-code', what: 'This invitation is not whole.', safe: 'Nothing was changed.', next: 'Open the link again, or ask for a new one.' }));
    }
    this.#joining = { person: a.person };
    return Promise.resolve(ok({ code: FAKE_NEW_CODE }));
  }

  async finishJoin(a: { typed: string }, onDigits: (digits: string) => void, cancel?: AbortSignal): Promise<Result<Session>> {
    this.calls.push('finishJoin');
    if (this.#joining === null) throw new Error('fake home: finishJoin before beginJoin');
    if (readCode(a.typed).pretty !== FAKE_NEW_CODE) return wrongCode;
    await this.wait(900);
    if (this.down) return noLine;
    onDigits(FAKE_DIGITS);
    await this.wait(6000);
    if (cancel?.aborted === true) return cancelled;
    this.#code = FAKE_NEW_CODE;
    this.#people = this.#people.map((p) => ({ ...p, me: false }));
    const session = this.begin(this.newSession('Elm Street 4', this.#joining.person, 'viewer'));
    this.#joining = null;
    return ok(session);
  }

  passkeySupport(): Promise<PasskeySupport> {
    return Promise.resolve(this.support);
  }

  async signInWithPasskey(): Promise<Result<Session>> {
    this.calls.push('signInWithPasskey');
    if (this.support !== 'yes') throw new Error('fake home: a passkey where there are none');
    await this.wait(600);
    if (this.down) return noLine;
    return ok(this.begin({ ...this.newSession('Elm Street 4', 'Ann'), passkeys: 1 }));
  }

  async addPasskey(a: { label: string }): Promise<Result<void>> {
    this.calls.push('addPasskey');
    if (this.support !== 'yes' || a.label.trim() === '') throw new Error('fake home: a passkey without support or label');
    await this.wait(600);
    return this.server(() => {
      this.#setPasskeys([{ id: `p${this.#passkeys.length + 1} ${a.label}`, label: a.label, created: Date.now(), lastUse: null }, ...this.#passkeys]);
    });
  }

  #setPasskeys(passkeys: PasskeyInfo[]): void {
    this.#passkeys = passkeys;
    this.change({ passkeys: passkeys.length });
    this.tell('devices');
    this.tell('session');
  }

  passkeys(): Promise<Result<PasskeyInfo[]>> {
    return this.server(() => [...this.#passkeys]);
  }

  removePasskey(passkey: string): Promise<Result<void>> {
    this.calls.push('removePasskey');
    return this.server(() => {
      this.#setPasskeys(this.#passkeys.filter((p) => p.id !== passkey));
    });
  }

  endReason(): Promise<EndReason | null> {
    return Promise.resolve(this.#ended);
  }

  devices(): Promise<Result<OwnDevice[]>> {
    return this.server(() => [...this.#devices]);
  }

  endDevice(device: string): Promise<Result<void>> {
    this.calls.push('endDevice');
    if (!this.#devices.some((d) => d.id === device)) throw new Error('fake home: no such device');
    return this.server(() => {
      this.#devices = this.#devices.filter((d) => d.id !== device);
      this.tell('devices');
    });
  }

  endOtherDevices(): Promise<Result<number>> {
    this.calls.push('endOtherDevices');
    return this.server(() => {
      const before = this.#devices.length;
      this.#devices = this.#devices.filter((d) => d.current);
      this.tell('devices');
      return before - this.#devices.length;
    });
  }

  beginNewCode(): Promise<Result<{ code: string }>> {
    return this.#renew('code');
  }
  finishNewCode(a: { typed: string }): Promise<Result<void>> {
    return this.#renewed('code', a.typed);
  }
  beginNewKeys(): Promise<Result<{ code: string }>> {
    return this.#renew('keys');
  }
  finishNewKeys(a: { typed: string }): Promise<Result<void>> {
    return this.#renewed('keys', a.typed);
  }

  async #renew(what: 'code' | 'keys'): Promise<Result<{ code: string }>> {
    this.calls.push(what === 'code' ? 'beginNewCode' : 'beginNewKeys');
    this.#renewing = what;
    await this.wait(500);
    return ok({ code: FAKE_NEW_CODE });
  }

  async #renewed(what: 'code' | 'keys', typed: string): Promise<Result<void>> {
    this.calls.push(what === 'code' ? 'finishNewCode' : 'finishNewKeys');
    if (this.#renewing !== what) throw new Error('fake home: finished what was not begun');
    if (readCode(typed).pretty !== FAKE_NEW_CODE) return wrongCode;
    await this.wait(700);
    return this.server(() => {
      this.#renewing = null;
      this.#code = FAKE_NEW_CODE;
      if (what === 'keys') {
        this.#devices = this.#devices.filter((d) => d.current).map((d) => ({ ...d, how: 'rekey' as const }));
        this.#setPasskeys([]);
      }
      this.change({ codeUsed: false });
      this.tell('session');
    });
  }
}
