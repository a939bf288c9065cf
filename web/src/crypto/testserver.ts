/**
 * For tests only: a server in memory. It keeps what it is given, checks what a
 * server checks, and fails on calls that make no sense. Each call of `browser`
 * is another browser, with a cookie of its own. Tests make it lie by changing
 * its fields.
 */
import type { EndReason } from '../owner/types';
import type { Api } from './api';
import { type Bytes, b64, concat, equal, fromUtf8, hex, own, utf8 } from './bytes';
import { apply, type ChainState } from './chain';
import { random } from './cipher';
import { Failure } from './failure';
import { kidsOf } from './grant';
import { H, kidOf } from './hash';
import type { Place } from './account';
import { parseNote, verifyNote } from './note';
import type { Ask, Page, Touched } from './page';
import { nowSeconds } from './signin';
import type { Account, Joining, Store } from './store';
import type { TestEpoch } from './testhub';
import { TestDesk } from './testdesk';
import { TestLinks } from './testlinks';
import type { TestLog } from './testlog';
import { vaultVersion, wrapIsFor, wrapKind } from './vault';

export const testOrigin = 'http://localhost:1';

interface TestDevice {
  readonly id: Bytes;
  label: Bytes;
  readonly secret: Bytes;
  readonly by: string;
  ended: boolean;
}

interface TestPasskey {
  readonly id: Bytes;
  readonly label: Bytes;
}

/** What the server keeps of a member, by kid. */
interface Held {
  vault: Bytes;
  wraps: Bytes[];
  recoveryId: Bytes;
  devices: TestDevice[];
  passkeys: TestPasskey[];
}

interface Put {
  readonly vault: Bytes;
  readonly expectedVersion: number;
  readonly wraps?: readonly Bytes[];
  readonly recoveryId?: Bytes;
  readonly stepUp?: StepUp;
}

interface StepUp {
  readonly ticket: Bytes;
  readonly assertionJson: string;
}

interface Introduced {
  readonly id: Bytes;
  readonly label: Bytes;
  readonly secret: Bytes;
}

const refused = (what: string, reason = ''): Failure => new Failure('refused', what, { reason });
const wraps = H(new TextEncoder().encode('wraps') as Bytes);

/** A verifier key that nobody signs with. */
export function testVkey(name: string): string {
  const key = concat(new Uint8Array([1]), random(32));
  return `${name}+${hex(H(utf8(`${name}\n`), key).slice(0, 4))}+${b64(key)}`;
}

export class TestServer {
  notes: Bytes[] = [];
  logTagKey: Bytes = new Uint8Array();
  logPolicy = `log ${testVkey('test.invalid/log/2026')}\noperator ${testVkey('test.invalid')}\nquorum none\n`;
  state: ChainState | null = null;
  readonly held = new Map<string, Held>();
  readonly newcomers = new Set<string>();
  readonly offers = new Map<string, Bytes[]>();
  readonly answers = new Map<string, Bytes>();
  readonly capsules = new Map<string, { readonly capsule: Bytes; readonly proof: Bytes }>();
  readonly links = new TestLinks(this);
  readonly desk = new TestDesk(this);
  readonly letters = new Map<string, Bytes>();
  directory = 0;
  epochs: { note: Bytes; seals: { kid: Bytes; hash: Bytes }[]; capsules: ReadonlyMap<string, Bytes>; heads: Bytes }[] = [];
  hubs: { kid: Bytes; online: boolean; lastSeenMs: bigint; doubledMs: bigint }[] = [];
  /** null: this server has none */
  log: TestLog | null = null;
  /** files of the page, by path */
  readonly page = new Map<string, Bytes>();
  logins = 0;
  touches = 0;
  /** Everything that clients sent, call by call. */
  readonly heard: { readonly call: string; readonly request: unknown }[] = [];
  /** Runs before each call; may throw, or never answer. */
  before: (call: string) => Promise<void> = () => Promise.resolve();
  /** Runs after each call: an answer that gets lost throws here. */
  after: (call: string) => Promise<void> = () => Promise.resolve();
  readonly #nonces = new Set<string>();
  readonly #tickets = new Map<string, string>();

  /** Takes an epoch as a hub would hand it over. */
  announce(e: TestEpoch): void {
    this.epochs.push({ note: e.bundle.note, seals: [...e.bundle.seals], capsules: e.capsules, heads: new Uint8Array() });
  }

  /** A browser of its own at this server, with its store and a page that touches every passkey asked for. */
  browser(name = 'Chromium on Linux', store: TestStore = new TestStore(), page: Page = new TestPage(name)): Place & { readonly store: TestStore } {
    return { api: this.#client(), store, page };
  }

  member(kid: Bytes): Held {
    const held = this.held.get(hex(kid));
    if (held === undefined) throw new Failure('not-found', 'no vault');
    return held;
  }

  get chain(): ChainState {
    if (this.state === null) throw new Error('illegal call: no household');
    return this.state;
  }

  get #publicLog(): TestLog {
    if (this.log === null) throw new Failure('not-found', 'no log');
    return this.log;
  }

  /** The log takes all statements there are, and proves them. */
  async proves(): Promise<void> {
    await this.#publicLog.take(this.logTagKey, this.notes.map((n) => parseNote(n).hash));
  }

  #client(): Api {
    const session: { kid: Bytes | null; device: Bytes } = { kid: null, device: new Uint8Array() };
    const api: Partial<Record<string, unknown>> & { signIn?: () => Promise<void>; ended?: () => void } = {
      origin: testOrigin,
      logPolicy: () => Promise.resolve(this.log === null ? this.logPolicy : fromUtf8(this.log.files.get('policy') ?? new Uint8Array())),
      signIn: () => Promise.reject(refused('not signed in')),
      ended: () => undefined,
      pageFile: (path: string) => Promise.resolve(this.page.get(path) ?? null),
      logFile: (path: string) => this.before('logFile').then(() => this.#publicLog.fetch(path)),
    };
    const mine = (): Bytes => {
      const kid = session.kid;
      const device = kid === null ? undefined : this.held.get(hex(kid))?.devices.find((d) => equal(d.id, session.device));
      if (kid === null || this.state?.members.has(hex(kid)) !== true) throw refused('sign in');
      if (device?.ended === true) throw refused('ended', 'device-ended');
      return kid;
    };
    const enter = (kid: Bytes, d: Introduced, by: string): Bytes => {
      const secret = this.#enter(kid, d, by);
      Object.assign(session, { kid, device: d.id });
      return secret;
    };
    const calls = this.#calls(mine, enter, session);
    for (const [service, methods] of Object.entries(calls)) {
      api[service] = Object.fromEntries(Object.entries(methods).map(([call, run]) => [call, (request: never) => this.#run(api, call, run, request)]));
    }
    return api as unknown as Api;
  }

  async #run(api: { signIn?: () => Promise<void>; ended?: () => void }, call: string, run: (r: never) => unknown, request: never): Promise<unknown> {
    this.heard.push({ call, request });
    await this.before(call);
    const once = async (): Promise<unknown> => run(request);
    try {
      return await once();
    } catch (err) {
      const gone = err instanceof Failure && err.message === 'sign in';
      if (err instanceof Failure && err.reason === 'device-ended' && call !== 'login') api.ended?.();
      if (!gone || api.signIn === undefined) throw err;
      await api.signIn();
      return await once();
    } finally {
      await this.after(call);
    }
  }

  #enter(kid: Bytes, d: Introduced, by: string): Bytes {
    const held = this.#holding(kid);
    const known = held.devices.find((x) => equal(x.id, d.id));
    if (d.secret.length > 0) {
      if (known === undefined || !equal(known.secret, d.secret)) throw refused('unknown device', 'device-unknown');
      if (known.ended) throw refused('ended', 'device-ended');
      if (d.label.length > 0) known.label = d.label;
      return new Uint8Array();
    }
    if (by === 'joining' && !this.newcomers.has(hex(kid))) throw refused('unknown device', 'device-unknown');
    this.newcomers.delete(hex(kid));
    const device = { id: d.id, label: d.label, secret: random(32), by, ended: false };
    held.devices = [...held.devices.filter((x) => x !== known), device];
    return device.secret;
  }

  #holding(kid: Bytes): Held {
    const held = this.held.get(hex(kid)) ?? { vault: new Uint8Array(), wraps: [], recoveryId: new Uint8Array(), devices: [], passkeys: [] };
    this.held.set(hex(kid), held);
    return held;
  }

  #stepUp(kid: Bytes, purpose: Bytes, brought: StepUp | undefined): void {
    if (this.#holding(kid).passkeys.length === 0) return;
    const ticket = brought === undefined ? '' : hex(brought.ticket);
    if (this.#tickets.get(ticket) !== hex(purpose)) throw refused('a touch is needed', 'step-up');
    this.#tickets.delete(ticket);
    this.touches++;
  }

  #put(kid: Bytes, r: Put): void {
    const held = this.#holding(kid);
    const version = held.vault.length === 0 ? 0 : vaultVersion(held.vault);
    if (r.expectedVersion !== version || vaultVersion(r.vault) <= version) throw new Failure('conflict', 'version');
    if (!equal(r.vault.subarray(8, 24), kid)) throw new Error('illegal call: a vault of somebody else');
    if (version === 0 && (r.wraps ?? []).length === 0) throw new Error('illegal call: a first vault without wraps');
    held.vault = own(r.vault);
    if (r.recoveryId !== undefined && r.recoveryId.length > 0) held.recoveryId = r.recoveryId;
    if (r.wraps === undefined || r.wraps.length === 0) return;
    if (!r.wraps.some((w) => wrapKind(w) === 2)) throw new Error('illegal call: no recovery wrap');
    held.wraps = [...r.wraps];
    held.passkeys = held.passkeys.filter((p) => held.wraps.some((w) => wrapIsFor(p.id, w)));
  }

  async #append(kid: Bytes | null, device: Bytes, r: { note: Bytes; stepUp?: StepUp; vault?: Put }): Promise<Bytes | null> {
    const n = parseNote(r.note);
    const seq = Number(n.lines.find((l) => l.key === 'seq')?.value);
    if (seq !== this.notes.length) throw new Failure('conflict', 'somebody was first');
    const before = this.state;
    const after = await apply(before, n, nowSeconds());
    if (kid !== null && ['member', 'unmember', 'unhub', 'rekey', 'grant', 'revoke'].includes(n.type)) this.#stepUp(kid, n.hash, r.stepUp);
    const came = [...after.members.keys()].filter((k) => before?.members.has(k) === false);
    const went = [...(before?.members.keys() ?? [])].filter((k) => !after.members.has(k));
    const [from, to] = [went[0], came[0]];
    let moved: Bytes | null = null;
    if (n.type === 'rekey' && kid !== null) {
      const now = to === undefined ? kid : kidOf(after.members.get(to)?.ed ?? new Uint8Array());
      const held = this.#holding(kid);
      if (r.vault === undefined) throw new Error('illegal call: a rekey without its vault');
      this.held.set(hex(now), held);
      try {
        this.#put(now, r.vault);
      } catch (err) {
        if (hex(now) !== hex(kid)) this.held.delete(hex(now));
        throw err;
      }
      if (hex(now) !== hex(kid)) {
        this.held.set(hex(kid), { ...held, devices: held.devices.filter((d) => !equal(d.id, device)).map((d) => ({ ...d, ended: true })) });
        held.devices = held.devices.filter((d) => equal(d.id, device));
        moved = now;
      }
    } else {
      if (from !== undefined) this.held.delete(from);
      if (to !== undefined) this.newcomers.add(to);
    }
    this.state = after;
    this.notes.push(own(r.note));
    return moved;
  }

  #calls(mine: () => Bytes, enter: (kid: Bytes, d: Introduced, by: string) => Bytes, session: { kid: Bytes | null; device: Bytes }): Record<string, Record<string, (r: never) => unknown>> {
    return {
      account: {
        createHousehold: async (r: { genesis: Bytes; vault: Bytes; wraps: Bytes[]; recoveryId: Bytes; cookie: boolean; device: Introduced; logTagKey: Bytes }) => {
          if (this.state !== null || !r.cookie || r.wraps.length === 0) throw new Error('illegal call');
          await this.#append(null, new Uint8Array(), { note: r.genesis });
          if (!equal(H(r.logTagKey), this.chain.ktag)) throw new Error('illegal call: another log tag key');
          this.logTagKey = own(r.logTagKey);
          const founder = [...this.chain.members.values()][0];
          if (founder === undefined) throw new Error('illegal call: no founder');
          this.#put(founder.kid, { ...r, expectedVersion: 0 });
          return { household: this.chain.household, deviceSecret: enter(founder.kid, r.device, 'founding') };
        },
        challenge: (r: { who: { case: string; value: Bytes } }) => {
          const nonce = random(16);
          this.#nonces.add(hex(nonce));
          const known = r.who.case === 'kid' || [...this.held.values()].some((h) => equal(h.recoveryId, r.who.value));
          return { nonce, household: known ? this.chain.household : random(16), server: 'http://evil.example' };
        },
        login: async (r: { note: Bytes; cookie: boolean; device: Introduced }) => {
          const n = parseNote(r.note);
          const line = (key: string): string => n.lines.find((l) => l.key === key)?.value ?? '';
          if (line('server') !== testOrigin) throw new Error('the client signed for another server');
          for (const m of this.chain.members.values()) {
            for (const [key, by] of [[m.ed, 'joining'], [m.recovery, 'recovery']] as const) {
              if (!(await verifyNote(n, key).then(() => true, () => false))) continue;
              this.logins++;
              return { kid: m.kid, deviceSecret: enter(m.kid, r.device, by) };
            }
          }
          throw refused('no such key');
        },
        getVault: () => {
          const { vault, wraps: kept } = this.member(mine());
          return { vault, wraps: kept, version: vaultVersion(vault) };
        },
        putVault: (r: Put) => {
          const kid = mine();
          if (r.wraps !== undefined && r.wraps.length > 0) this.#stepUp(kid, wraps, r.stepUp);
          this.#put(kid, r);
          return {};
        },
        listDevices: () => ({
          devices: this.#holding(mine()).devices.filter((d) => !d.ended).map((d) => ({
            id: d.id, label: d.label, createdMs: 1n, seenMs: 2n, enrolledBy: d.by, current: equal(d.id, session.device), online: true,
          })),
        }),
        endDevice: (r: { id: Bytes }) => {
          const device = this.#holding(mine()).devices.find((d) => equal(d.id, r.id) && !d.ended);
          if (device === undefined) throw new Failure('not-found', 'no such device');
          device.ended = true;
          return {};
        },
        endOtherDevices: () => {
          const others = this.#holding(mine()).devices.filter((d) => !equal(d.id, session.device) && !d.ended);
          for (const d of others) d.ended = true;
          return { ended: others.length };
        },
        logout: () => ({}),
        whoAmI: () => ({ kid: mine() }),
      },
      passkey: {
        beginPasskey: () => {
          mine();
          return { ticket: random(16), optionsJson: '{}' };
        },
        addPasskey: (r: { credentialJson: string; wrap: Bytes; label: Bytes; stepUp?: StepUp }) => {
          const held = this.#holding(mine());
          this.#stepUp(mine(), wraps, r.stepUp);
          const id = Uint8Array.from(Buffer.from((JSON.parse(r.credentialJson) as { id: string }).id, 'base64url'));
          if (!wrapIsFor(id, r.wrap)) throw new Error('illegal call: a wrap of another passkey');
          held.passkeys.push({ id, label: r.label });
          held.wraps.push(r.wrap);
          return {};
        },
        listPasskeys: () => ({ passkeys: this.#holding(mine()).passkeys.map((p) => ({ credentialId: p.id, label: p.label, createdMs: 1n, usedMs: 0n })) }),
        removePasskey: (r: { credentialId: Bytes; stepUp?: StepUp }) => {
          const held = this.#holding(mine());
          this.#stepUp(mine(), H(new TextEncoder().encode('passkey') as Bytes, r.credentialId), r.stepUp);
          held.passkeys = held.passkeys.filter((p) => !equal(p.id, r.credentialId));
          held.wraps = held.wraps.filter((w) => wrapKind(w) === 2 || !wrapIsFor(r.credentialId, w));
          return {};
        },
        beginSignIn: () => ({ ticket: random(16), optionsJson: '{}' }),
        finishSignIn: (r: { assertionJson: string; device: Introduced; cookie: boolean }) => {
          const id = Uint8Array.from(Buffer.from((JSON.parse(r.assertionJson) as { id: string }).id, 'base64url'));
          const found = [...this.held].find(([, h]) => h.passkeys.some((p) => equal(p.id, id)));
          if (found === undefined || !r.cookie) throw refused('no such passkey');
          const kid = this.chain.members.get(found[0])?.kid;
          if (kid === undefined) throw refused('no such passkey');
          const deviceSecret = enter(kid, r.device, 'passkey');
          return { household: this.chain.household, kid, vault: found[1].vault, wraps: found[1].wraps, version: vaultVersion(found[1].vault), deviceSecret };
        },
        beginStepUp: (r: { purpose: Bytes }) => {
          if (this.#holding(mine()).passkeys.length === 0) return { ticket: new Uint8Array(), optionsJson: '' };
          const ticket = random(16);
          this.#tickets.set(hex(ticket), hex(r.purpose));
          return { ticket, optionsJson: '{}' };
        },
      },
      chain: {
        getChain: (r: { fromSeq: bigint }) => {
          mine();
          return { notes: this.notes.slice(Number(r.fromSeq), Number(r.fromSeq) + 3) };
        },
        getLogTagKey: () => {
          mine();
          return { key: this.logTagKey };
        },
        getLeaves: (r: { fromSeq: bigint }) => {
          mine();
          return { log: this.#publicLog.origin, leaves: this.#publicLog.places.slice(Number(r.fromSeq)).map(BigInt) };
        },
        getCompleteness: () => {
          mine();
          const { proof } = this.#publicLog;
          if (proof === null) throw new Failure('not-found', 'no proof yet');
          return { proof };
        },
        appendStatement: async (r: { note: Bytes; stepUp?: StepUp; vault?: Put }) => {
          const moved = await this.#append(mine(), session.device, r);
          if (moved !== null) session.kid = moved;
          return { seq: BigInt(this.notes.length - 1) };
        },
        putCapsule: (r: { grant: Bytes; capsule: Bytes; proof: Bytes; mask?: Bytes }) => {
          mine();
          if (r.proof.length === 0) throw new Error('illegal call: a capsule without a proof');
          const named = this.chain.grants.get(hex(r.grant))?.mask ?? null;
          if ((named === null) !== (r.mask === undefined) || (named !== null && !equal(H(r.mask ?? named), named))) throw new Error('illegal call: another mask than the grant names');
          this.capsules.set(hex(r.grant), { capsule: r.capsule, proof: r.proof });
          return {};
        },
        getCapsule: (r: { grant: Bytes }) => {
          mine();
          const given = this.capsules.get(hex(r.grant));
          if (given === undefined) throw new Failure('not-found', 'no capsule');
          return given;
        },
        putDirectory: (r: { expectedN: bigint; n: bigint; letters: { kid: Bytes; body: Bytes }[] }) => {
          if (this.chain.members.get(hex(mine()))?.role !== 'admin') throw refused('no admin');
          if (Number(r.expectedN) !== this.directory || r.n <= r.expectedN) throw new Failure('conflict', 'directory');
          this.directory = Number(r.n);
          this.letters.clear();
          for (const l of r.letters) this.letters.set(hex(l.kid), l.body);
          return {};
        },
        getDirectory: () => {
          const letter = this.letters.get(hex(mine()));
          if (letter === undefined) throw new Failure('not-found', 'no directory');
          return { n: BigInt(this.directory), letter };
        },
      },
      link: this.links.calls(mine),
      ...this.desk.calls(mine),
      pairing: {
        putMail: (r: { rendezvous: Bytes; slot: number; body: Bytes }) => {
          const box = hex(r.rendezvous);
          if (r.slot === 2) {
            const had = this.answers.get(box);
            if (had !== undefined && !equal(had, r.body)) throw new Failure('conflict', 'answered');
            this.answers.set(box, r.body);
            return {};
          }
          const offers = this.offers.get(box) ?? [];
          if (!offers.some((o) => equal(o, r.body))) offers.push(r.body);
          this.offers.set(box, offers);
          return {};
        },
        getMail: async (r: { rendezvous: Bytes; slot: number; index?: number }) => {
          const box = hex(r.rendezvous);
          const body = r.slot === 2 ? this.answers.get(box) : this.offers.get(box)?.[r.index ?? 0];
          if (body !== undefined) return { body };
          await new Promise((resolve) => setTimeout(resolve, 5));
          throw new Failure('not-found', 'no mail');
        },
      },
      hub: {
        listHubs: () => {
          mine();
          return { hubs: this.hubs };
        },
      },
      footage: {
        listEpochs: () => ({ epochs: this.#epochsOf(mine()), more: false }),
        getEpochs: (r: { epochs: Bytes[] }) => ({
          epochs: this.#epochsOf(mine()).filter((e) => r.epochs.some((id) => equal(id, e.id))),
        }),
        timeline: () => ({ segments: [], more: false }),
      },
    };
  }

  #epochsOf(kid: Bytes): { id: Bytes; note: Bytes; seals: { kid: Bytes; hash: Bytes }[]; capsule: Bytes; heads: Bytes; receivedMs: bigint }[] {
    const me = this.chain.members.get(hex(kid));
    const kids = me === undefined ? [] : kidsOf(me).map(hex);
    return this.epochs.map((e) => {
      const id = parseNote(e.note).lines.find((l) => l.key === 'epoch')?.value ?? '';
      return { id: Uint8Array.from(Buffer.from(id, 'base64')), note: e.note, seals: e.seals, heads: e.heads, receivedMs: 0n, capsule: kids.map((k) => e.capsules.get(k)).find((c) => c !== undefined) ?? new Uint8Array() };
    });
  }
}

/** What a browser keeps, in memory. */
export class TestStore implements Store {
  account: Account | null = null;
  joined: Joining | null = null;
  ended: EndReason | null = null;
  load(): Promise<Account | null> {
    return Promise.resolve(this.account);
  }
  save(account: Account): Promise<void> {
    this.account = account;
    this.ended = null;
    return Promise.resolve();
  }
  update(device: Bytes, change: (account: Account) => Account): Promise<void> {
    if (this.account !== null && equal(this.account.device.id, device)) this.account = change(this.account);
    return Promise.resolve();
  }
  forget(why: EndReason | null): Promise<void> {
    this.account = null;
    this.ended = why;
    return Promise.resolve();
  }
  endReason(): Promise<EndReason | null> {
    return Promise.resolve(this.ended);
  }
  markEnded(why: EndReason | null): Promise<void> {
    this.ended = why;
    return Promise.resolve();
  }
  joining(): Promise<Joining | null> {
    return Promise.resolve(this.joined);
  }
  keepJoining(joining: Joining | null): Promise<void> {
    this.joined = joining;
    return Promise.resolve();
  }
}

/** A page with an authenticator: one passkey, which derives the same secret each time. */
export class TestPage implements Page {
  readonly browser: string;
  readonly credential: Bytes = random(20);
  readonly secret: Bytes = random(32);
  readonly asked: Ask[] = [];
  /** set to make the person say no */
  no: Failure | null = null;

  constructor(browser: string) {
    this.browser = browser;
  }

  touch(ask: Ask): Promise<Touched> {
    this.asked.push(ask);
    if (this.no !== null) return Promise.reject(this.no);
    const id = Buffer.from(this.credential).toString('base64url');
    const prf = ask.kind === 'create' || ask.prf ? this.secret.slice() : null;
    return Promise.resolve({ credential: this.credential, json: JSON.stringify({ id }), prf });
  }
}
