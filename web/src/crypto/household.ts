/**
 * A signed-in household: everything the pages ask for, wired once. Made when a
 * member is there, closed when he leaves.
 */
import type { AccessHandlers } from '../owner/access/calls';
import type { Camera, CameraId, Download, DownloadProgress, Hub, HomeChange, InviteStep, Kid, NewCamera, NewPerson, Person, Preview, Session, Timeline, Trust } from '../owner/types';
import { CommandResult, type HubPresence } from '../api/latchkey/v1/latchkey_pb';
import { type Bytes, hex, unhex } from './bytes';
import { CameraBook, findCamera } from './cameras';
import { type CameraDecl, type ChainState, type HubKeys, type Member as Listed } from './chain';
import { random } from './cipher';
import type { Code } from './code';
import { type Op, sealCommand } from './command';
import type { Devices } from './devices';
import { EpochBook } from './epochs';
import { Failure, isKind } from './failure';
import { Footage } from './footage';
import type { Help } from './helpops';
import type { InviteRooms, InviteTalk } from './invite';
import { LiveSocket } from './live';
import type { LogBook } from './logbook';
import type { DownloadArgs } from './messages';
import type { Member } from './member';
import type { Contacts } from './contacts';
import { NameBook } from './names';
import type { People } from './people';
import { PreviewRoom } from './preview';
import type { Shares } from './share';
import { grantedOf, tracksSeen } from './rights';
import { nowSeconds } from './signin';
import type { Fault } from './reader';
import type { TrackDecl } from './statement';
import { TrustBook } from './trust';
import { appError, WordedFailure, worded } from './words';

const refreshEvery = 20_000;
/** How long a new hub may take to connect until the next regular look has to tell. */
const connectsWithinMs = 20_000;
const maxFaults = 200;
/** Epochs overlap the last quarter of an hour: their newest heads come along. */
const recentSeconds = 900;
/** Who has just joined is told the names within seconds: until then it is asked for more often. */
const namelessEvery = 1500;
const namelessTimes = 20;

export class Household {
  readonly footage: Footage;
  readonly live: LiveSocket;
  readonly trustBook: TrustBook;
  #contacts: Promise<Contacts> | null = null;
  #log: Promise<LogBook> | null = null;
  #access: Promise<AccessHandlers> | null = null;
  #shares: Promise<Shares> | null = null;
  #help: Promise<Help> | null = null;
  readonly #member: Member;
  readonly #epochs: EpochBook;
  readonly #names: NameBook;
  readonly #cameras: CameraBook;
  readonly #previews: PreviewRoom;
  readonly #changed: (what: HomeChange) => void;
  readonly #faults = new Map<CameraId, Fault[]>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #firstRefresh: Promise<void>;
  #presence: readonly HubPresence[] = [];
  #tending = false;
  #nameless = 0;
  #closed = false;
  readonly #closing = new AbortController();

  constructor(member: Member, changed: (what: HomeChange) => void) {
    this.#member = member;
    this.#changed = changed;
    const { api } = member;
    this.#epochs = new EpochBook(member, (epoch, raw) => void this.trustBook.takeHeads(epoch, raw));
    this.footage = new Footage(api, this.#epochs);
    this.live = new LiveSocket({
      origin: api.origin,
      epochs: this.#epochs,
      events: {
        heads: (epoch, note) => void this.trustBook.takeHeads(epoch, note),
        hub: () => {
          changed('hubs');
        },
        garbage: (cause) => {
          this.trustBook.report(null, cause);
        },
      },
      beforeRetry: () => api.account.whoAmI({}),
    });
    this.trustBook = new TrustBook((track) => this.live.position(track), () => {
      changed('trust');
    });
    this.#cameras = new CameraBook({ epochs: this.#epochs, footage: this.footage, live: this.live, trust: this.trustBook, changed, granted: (c) => grantedOf(member.chain.head, this.#me, c, nowSeconds()) });
    this.#previews = new PreviewRoom(this.footage);
    this.#names = new NameBook(member, () => {
      changed('people');
      changed('hubs');
      changed('session');
    });
    this.#timer = setInterval(() => void this.#refresh(), refreshEvery);
    this.#firstRefresh = this.#refresh();
    // By others, or by this browser itself.
    member.onGrown = () => {
      for (const what of ['cameras', 'hubs', 'people', 'log'] as const) changed(what);
      void this.#log?.then((log) => { log.grown(); });
    };
    // Additions count now: who waited for names gets them, a new hub's footage is there.
    member.cover.onRaise = () => {
      for (const what of ['cameras', 'hubs', 'people'] as const) changed(what);
      void this.#refresh();
    };
    void this.#firstRefresh.then(() => this.#readLog()).catch(this.#tell);
    void this.#refreshVault();
    void this.#resumePending();
  }

  /** What an earlier page left half done. */
  async #resumePending(): Promise<void> {
    const account = await this.#member.place.store.load();
    await this.#firstRefresh;
    if (Object.keys(account?.sharing ?? {}).length > 0) void this.shares().then((s) => s.resume()).catch(this.#tell);
    if (Object.keys(account?.helping ?? {}).length > 0) void this.help().then((h) => h.resume()).catch(this.#tell);
    if (Object.keys(account?.inviting ?? {}).length === 0) return;
    const { Invitation } = await import('./invite');
    await Invitation.resume(this.#rooms).catch(this.#tell);
  }

  /** Footage given away: loaded when a page first asks. */
  shares(): Promise<Shares> {
    this.#shares ??= import('./share').then(({ Shares: Room }) => new Room({
      member: this.#member, epochs: this.#epochs, tell: this.#tell,
      policy: () => this.#pinned(),
      proven: async (seq, wait, signal) => (await import('./logproof')).provenInLog({ log: await this.#logBook(), api: this.#member.api }, seq, wait, signal),
      person: (kid) => this.#nameOf(kid),
      camera: (id) => this.#cameraName(id),
      changed: () => { this.#changed('shares'); },
    }));
    return this.#shares;
  }

  /** The operator's help: loaded when a page first asks. */
  help(): Promise<Help> {
    this.#help ??= import('./helpops').then(({ helpOps }) => helpOps({
      member: this.#member, epochs: this.#epochs, tell: this.#tell, policy: () => this.#pinned(),
      proven: async (seq, wait, signal) => (await import('./logproof')).provenInLog({ log: await this.#logBook(), api: this.#member.api }, seq, wait, signal),
      person: (kid) => this.#nameOf(kid), camera: (id) => this.#cameraName(id),
      command: (hub, op, args) => this.#command(hub, op, args),
      changed: () => { this.#changed('help'); },
    }));
    return this.#help;
  }

  /** Support was ever let see anything. */
  get givenToStaff(): boolean {
    return [...this.#member.chain.head.grants.values()].some((g) => g.kind === 'staff');
  }

  /** The policy of the public log that this browser has pinned; looks once where there is none. */
  async #pinned(): Promise<string | null> {
    const log = await this.#logBook();
    if (log.state().watch === null) await log.look();
    return (await this.#member.place.store.load())?.log?.policy ?? null;
  }

  /** Trusted contacts: loaded when a page first asks. */
  contacts(): Promise<Contacts> {
    this.#contacts ??= import('./contacts').then(
      ({ Contacts: Room }) => new Room({ member: this.#member, nameOf: (kid) => this.#nameOf(kid), changed: () => { this.#changed('contacts'); } }),
    );
    return this.#contacts;
  }

  /** The public log: read after the first pictures, and from then on by itself. */
  #logBook(): Promise<LogBook> {
    this.#log ??= import('./logbook').then(({ LogBook: Room }) => new Room(this.#member, () => { this.#changed('log'); }));
    return this.#log;
  }

  async #readLog(): Promise<void> {
    const log = await this.#logBook();
    if (this.#closed) return;
    await log.look();
    // What was given to this person is believed only under the pinned policy: now there is one.
    if (await this.#epochs.refreshGrants()) this.#changed('cameras');
  }

  /** What the access page asks for: loaded when a page does. */
  access(): Promise<AccessHandlers> {
    this.#access ??= Promise.all([import('./accessops'), this.#logBook()]).then(([{ accessOps }, log]) => accessOps({
      member: this.#member, log,
      person: (kid) => this.#nameOf(kid),
      hub: (kid) => this.#hubName(kid, this.#cameras.hubState(kid)?.hub.name ?? ''),
      camera: (id) => this.#cameraName(id),
    }));
    return this.#access;
  }

  #cameraName(id: string): string {
    const decl = findCamera(this.#seen, unhex(id));
    const said = decl === null ? '' : this.#cameras.describe(decl)?.name ?? '';
    return said === '' ? this.#member.name(id) : said;
  }

  async people(): Promise<People> {
    const { People } = await import('./people');
    return new People(this.#rooms);
  }

  /** This person's own devices and passkeys. */
  async devices(): Promise<Devices> {
    const { Devices } = await import('./devices');
    return new Devices(this.#member, () => {
      this.#changed('devices');
      this.#changed('session');
    });
  }

  #nameOf(kid: string): string {
    const m = [...this.#member.chain.head.members.values()].find((x) => [x.kid, ...x.pastEd].some((k) => hex(k) === kid));
    return m === undefined ? (this.#names.names.people.get(kid) ?? '') : this.#names.person(m);
  }

  get #rooms(): InviteRooms {
    return { member: this.#member, epochs: this.#epochs, names: this.#names, tell: this.#tell, proven: (seq, signal) => this.#proven(seq, signal) };
  }

  async #proven(seq: number, signal: AbortSignal): Promise<Bytes> {
    const either = AbortSignal.any([signal, this.#closing.signal]);
    const { provenInLog } = await import('./logproof');
    return provenInLog({ log: await this.#logBook(), api: this.#member.api }, seq, { step: () => undefined, away: () => undefined }, either);
  }

  /** What did not verify is told; a failure of the line waits for the next round. */
  readonly #tell = (err: unknown): void => {
    if (isKind(err, 'verify')) this.trustBook.report(null, err);
  };

  async #refreshVault(): Promise<void> {
    const { safe } = this.#member;
    const before = [safe.vault.used, safe.passkeys];
    try {
      await safe.refresh();
    } catch (err) {
      this.#tell(err);
    }
    if (safe.vault.used !== before[0] || safe.passkeys !== before[1]) this.#changed('session');
  }

  get session(): Session {
    const host = new URL(this.#member.server).host;
    return {
      household: hex(this.#member.household) as Session['household'],
      householdName: this.#names.household,
      person: this.#names.person(this.#me),
      server: this.#member.server,
      trust: { tier: 3, words: `This page was served by ${host}: this session trusts ${host} not to serve a changed page.` },
      role: this.#me.role,
      codeUsed: this.#member.safe.vault.used,
      passkeys: this.#member.safe.passkeys,
    };
  }

  /** This person as the chain has him; as it had him last when he is gone. */
  get #me(): Listed {
    const { chain, keys } = this.#member;
    const kid = hex(keys.kid);
    for (let seq = chain.length - 1; seq >= 0; seq--) {
      const me = chain.at(seq)?.members.get(kid);
      if (me !== undefined) return me;
    }
    throw new Failure('verify', 'household: this member is not in the chain');
  }

  /** The chain as this person may see it: no camera and no track beyond his rights and what stands granted to him. */
  get #seen(): ChainState {
    const { chain } = this.#member;
    const cameras = [...chain.head.cameras].flatMap(([id, decl]) => {
      const mine = tracksSeen(chain.head, this.#me, decl, nowSeconds());
      return mine.length === 0 ? [] : [[id, { ...decl, tracks: mine }] as const];
    });
    return { ...chain.head, cameras: new Map(cameras) };
  }

  /** Ends everything that runs for this household; the member stays. */
  close(): void {
    this.#closed = true;
    this.#closing.abort();
    clearInterval(this.#timer);
    void this.#log?.then((log) => { log.close(); });
    void this.#shares?.then((s) => { s.close(); });
    void this.#help?.then((h) => { h.end(); });
    this.#cameras.close();
    this.live.close();
    this.trustBook.close();
  }

  /** The chain's news, names and the newest heads of all hubs. A failure waits for the next round, a lie is told. */
  async #refresh(): Promise<void> {
    const before = this.#me;
    // Beside the rest: pictures do not wait for it.
    void this.#lookForHubs().then((other) => { if (other) this.#changed('hubs'); });
    try {
      if (await this.#member.sync()) this.#grown(before);
      if (await this.#epochs.refreshGrants()) this.#changed('cameras');
      await this.#names.refresh();
      const now = nowSeconds();
      for await (const _ of this.#epochs.between(now - recentSeconds, now + 60, this.#tell)) {
        // Their heads came along.
      }
    } catch (err) {
      this.#tell(err);
    }
    void this.#tend();
    this.trustBook.refresh();
    if (this.#names.household === '' && !this.#closed && this.#nameless++ < namelessTimes) setTimeout(() => void this.#refresh(), namelessEvery);
  }

  /** What this browser knows already has been read. */
  ready(): Promise<void> {
    return this.#names.loaded;
  }

  #grown(before: Listed): void {
    const { chain, keys } = this.#member;
    if (!chain.head.members.has(hex(keys.kid))) this.#member.onEnd('removed', false);
    if (this.#me.role !== before.role) this.#changed('session');
    // What is there for this person may be more or less now.
    this.#changed('cameras');
  }

  /** An admin's browser keeps the directory up to date: for members with new keys, and for those who came. */
  async #tend(): Promise<void> {
    if (this.#tending || this.#me.role !== 'admin' || !this.#names.stale()) return;
    this.#tending = true;
    try {
      await this.#names.change(() => undefined);
    } catch (err) {
      this.#tell(err);
    } finally {
      this.#tending = false;
    }
  }

  async cameras(): Promise<Camera[]> {
    // The newest epochs tell which cameras are still there.
    await Promise.all([this.#cameras.look(this.#seen), this.#firstRefresh]);
    return this.#cameras.list(this.#seen);
  }

  /** The camera as last described, without asking anybody; for players. */
  camera(id: CameraId): Camera | null {
    return this.#cameras.describe(this.#decl(id));
  }

  /** Whose footage the trust state of a picture is about. */
  seal(id: CameraId): { state: Trust['state']; words: string } {
    const hub = this.camera(id)?.hub ?? null;
    return { state: this.trustBook.ofHub(hub), words: this.trustBook.overall(hub === null ? [] : [hub]).words };
  }

  /** A reader met something that it could not show. */
  fault(id: CameraId, fault: Fault): void {
    // Nobody gave this person keys for it: the timeline says so.
    if (fault.why === 'not-shared') return;
    const list = this.#faults.get(id) ?? [];
    this.#faults.set(id, [...list, fault].slice(-maxFaults));
    if (fault.cause === null) this.trustBook.missing(id, fault.from, fault.to);
    else this.trustBook.report(id, fault.cause);
  }

  async hubs(): Promise<Hub[]> {
    await this.#lookForHubs();
    return [...this.#member.chain.head.hubs.values()].map((h) => this.#hub(h));
  }

  /** The server's word on who is connected; without it the rest is still worth showing. True when it is another than before. */
  async #lookForHubs(): Promise<boolean> {
    const reply = await this.#member.api.hub.listHubs({}).catch(() => null);
    if (reply === null) return false;
    const online = (list: readonly HubPresence[]): string => list.filter((p) => p.online).map((p) => hex(p.kid)).sort().join(' ');
    const before = online(this.#presence);
    this.#presence = reply.hubs;
    return online(reply.hubs) !== before;
  }

  /** A hub that was let in connects a moment later; without a camera no live line tells of it. */
  async #awaitHub(kid: Kid): Promise<void> {
    for (const until = Date.now() + connectsWithinMs; !this.#closed && Date.now() < until; ) {
      if (await this.#lookForHubs()) this.#changed('hubs');
      if (this.#presence.some((p) => p.online && hex(p.kid) === kid)) return;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }

  #hub(h: HubKeys): Hub {
    const kid = hex(h.kid);
    const said = this.#cameras.hubState(kid);
    const present = this.#presence.find((p) => hex(p.kid) === kid);
    return {
      kid: kid as Kid,
      name: this.#hubName(kid, said?.hub.name ?? ''),
      online: present?.online ?? false,
      lastSeen: present !== undefined && present.lastSeenMs > 0n ? Number(present.lastSeenMs) : (said?.at ?? null),
      spoolParts: said?.hub.spoolParts ?? 0,
      spoolBytes: said?.hub.spoolBytes ?? 0,
      spoolLimit: said?.hub.spoolLimit ?? 0,
      uplink: said?.hub.uplink ?? 'unknown',
      version: said?.hub.version ?? '',
      doubled: this.#doubled(kid, Number(present?.doubledMs ?? 0n)),
      headsAgeSeconds: this.trustBook.headsAge(kid),
    };
  }

  #hubName(kid: string, said: string): string {
    const name = this.#names.names.hubs.get(kid) ?? '';
    return name === '' ? said : name;
  }

  /** By the server's word, or by notes that contradict each other, which nobody can make up. */
  #doubled(kid: string, serverSays: number): number | null {
    if (serverSays > 0) return serverSays;
    return this.#epochs.doubled(kid) ? Date.now() : null;
  }

  /** A passkey for this person; the names are for the authenticator's own list. */
  async addPasskey(label: string): Promise<void> {
    const devices = await this.devices();
    await devices.addPasskey(label, { person: this.#names.person(this.#me), household: this.#names.household });
  }

  async seenNewKeys(kid: Kid): Promise<void> {
    await (await this.people()).seenNewKeys(kid);
    this.#changed('people');
  }

  /** From a code to somebody who has joined. */
  async inviteMember(code: Code, person: NewPerson, talk: InviteTalk, signal: AbortSignal): Promise<Person> {
    const { Invitation } = await import('./invite');
    const kid = await Invitation.begin(this.#rooms, code, person).run(talk, signal);
    this.#changed('people');
    return (await this.people()).one(kid);
  }

  /** Throws in words unless this person may change who belongs to the household. */
  wantAdmin(): void {
    if (this.#me.role === 'admin') return;
    throw worded('refused', { what: 'Only an admin of your household can do this.', safe: 'Nothing was changed.', next: 'Ask one of them.' });
  }

  async inviteHub(code: Code, step: (s: InviteStep) => void, signal: AbortSignal): Promise<Hub> {
    const { pairHub } = await import('./pairhub');
    const kid = await pairHub(this.#member, code, step, signal);
    this.#changed('hubs');
    void this.#awaitHub(kid);
    const hub = (await this.hubs()).find((h) => h.kid === kid);
    if (hub === undefined) throw new Failure('internal', 'household: the new hub is not in the chain');
    return hub;
  }

  async removeHub(kid: Kid): Promise<void> {
    await this.#member.append({ type: 'unhub', kid: unhex(kid) });
    this.#changed('hubs');
  }

  /** Declares the camera in the chain, then tells its hub (design 0001, Commands). */
  async addCamera(a: NewCamera): Promise<CameraId> {
    await this.#wantOnline(a.hub);
    const camera = random(16);
    const tracks = declare(a, []);
    await this.#member.append({ type: 'camera', camera, tracks });
    return this.#describe(hex(camera) as CameraId, a, tracks);
  }

  /** The same camera and tracks; kinds it did not have before are declared first. None is ever taken away. */
  async changeCamera(id: CameraId, a: NewCamera): Promise<void> {
    await this.#wantOnline(a.hub);
    const decl = findCamera(this.#member.chain.head, unhex(id)) ?? this.#decl(id);
    const tracks = declare(a, decl.tracks);
    const added = tracks.filter((t) => !decl.tracks.includes(t));
    if (added.length > 0) await this.#member.append({ type: 'camera', camera: decl.camera, tracks: [...decl.tracks, ...added] });
    await this.#describe(id, a, tracks);
  }

  /** Tells the hub how to reach the camera and which of its declared tracks to record. */
  async #describe(id: CameraId, a: NewCamera, tracks: readonly TrackDecl[]): Promise<CameraId> {
    await this.#command(unhex(a.hub), 'camera', {
      camera: id,
      name: a.name,
      url: a.url,
      ...(a.subUrl === undefined ? {} : { sub_url: a.subUrl }),
      ...(a.user === undefined ? {} : { user: a.user }),
      ...(a.password === undefined ? {} : { password: a.password }),
      mode: a.mode,
      audio: a.audio,
      tracks: Object.fromEntries(tracks.map((t) => [t.kind, hex(t.track)])),
    });
    this.#cameras.expect(id, a.hub, a.name, { mode: a.mode });
    // The hub has it; a name that the vault lacks only costs the command line a prettier list.
    await this.#member.rename(id, a.name).catch(() => undefined);
    this.#changed('cameras');
    return id;
  }

  async removeCamera(id: CameraId): Promise<void> {
    await this.#command(this.#hubOf(id), 'camera-remove', { camera: id });
    this.#cameras.forget(id);
    await this.#member.rename(id, null).catch(() => undefined);
  }

  async startEvent(id: CameraId, seconds: number): Promise<void> {
    await this.#command(this.#hubOf(id), 'event-start', { camera: id, label: 'manual', seconds });
  }

  async timeline(id: CameraId, from: number, to: number, signal: AbortSignal): Promise<Timeline> {
    const { timeline } = await import('./timeline');
    const sharing = { chain: this.#member.chain, kid: this.#member.keys.kid, epochs: this.#epochs };
    const source = { api: this.#member.api, footage: this.footage, sharing, faultsOf: (c: CameraId) => this.#faults.get(c) ?? [] };
    return timeline(source, this.#decl(id), from, to, signal);
  }

  preview(id: CameraId, at: number, signal: AbortSignal): Promise<Preview> {
    const tracks = [this.track(id, 'video-sub'), this.track(id, 'video')].filter((t) => t !== null);
    return this.#previews.at(tracks, at, (f) => { this.fault(id, f); }, signal);
  }

  async download(a: DownloadArgs, progress: (p: DownloadProgress) => void, signal: AbortSignal): Promise<Download> {
    const video = this.track(a.camera, 'video');
    if (video === null) throw new Failure('not-found', 'household: the camera has no picture');
    const { gaps } = await this.timeline(a.camera, a.from, a.to, signal);
    const name = this.camera(a.camera)?.name ?? '';
    const audio = a.audio ? this.track(a.camera, 'audio') : null;
    const onFault = (f: Fault): void => { this.fault(a.camera, f); };
    // Few visits end in a file: who only looks does not load what writes one.
    const source = { footage: this.footage, ...a, name, video, audio, gaps, onFault };
    if (a.as === 'movie') return (await import('./download')).download(source, progress, signal);
    const { downloadEvidence } = await import('./evidencefile');
    const { api, chain } = this.#member;
    const log = await this.#logBook();
    const policy = async (): Promise<string | null> => (await (await import('./logproof')).pinnedPolicy(this.#member))?.text ?? null;
    return downloadEvidence(source, { api, chain, epochs: this.#epochs, log, policy }, progress, signal);
  }

  trust(): Trust {
    return this.trustBook.overall([...this.#member.chain.head.hubs.keys()]);
  }

  /** The track of a kind as the chain declares it; null when there is none. */
  track(id: CameraId, kind: TrackDecl['kind']): string | null {
    const t = this.#decl(id).tracks.find((x) => x.kind === kind);
    return t === undefined ? null : hex(t.track);
  }

  #decl(id: CameraId): CameraDecl {
    const decl = findCamera(this.#seen, unhex(id));
    if (decl === null) throw new Failure('not-found', 'household: no such camera');
    return decl;
  }

  #hubOf(id: CameraId): Bytes {
    const known = this.camera(id)?.hub;
    const hubs = [...this.#member.chain.head.hubs.values()];
    if (known !== null && known !== undefined) return unhex(known);
    // A camera that never spoke: with one hub there is no question whose it is.
    const only = hubs.length === 1 ? hubs[0] : undefined;
    if (only === undefined) throw new Failure('not-found', 'household: it is not known which hub has this camera');
    return only.kid;
  }

  /** Before anything is declared or sealed to it: the log has proven the hub, and it is there. */
  async #wantOnline(kid: Kid): Promise<void> {
    await this.#member.cover.reached(this.#member.chain.head.hubs.get(kid)?.seq ?? 0, 'this hub');
    const { hubs } = await this.#member.api.hub.listHubs({});
    if (hubs.find((h) => hex(h.kid) === kid)?.online !== true) throw new Failure('hub-offline', 'household: the hub is not connected');
  }

  async #command(hub: Bytes, op: Op, args: unknown): Promise<void> {
    const keys = this.#member.chain.head.hubs.get(hex(hub));
    if (keys === undefined) throw new Failure('not-found', 'household: no such hub');
    await this.#member.cover.reached(keys.seq, 'this hub');
    const { household } = this.#member;
    const sealed = await sealCommand({ household, hub, hubX: keys.x, op, args, now: nowSeconds() }, this.#member.keys.signer);
    const { result } = await this.#member.api.hub.sendCommand({ hub, sealed }).catch((err: unknown) => {
      throw err instanceof Failure && err.kind === 'network' ? new Failure('hub-offline', 'household: the hub is not connected', { cause: err }) : err;
    });
    if (result === CommandResult.DONE) return;
    throw new WordedFailure(
      result === CommandResult.REFUSED
        ? appError('refused', { what: 'The hub refused this.', next: 'Check that this device’s clock is right, then try again.' })
        : appError('internal', { what: 'The hub could not carry this out.', next: 'The camera’s page says why; correct it and try again.' }),
    );
  }
}

/** One track of each kind the camera shall record: the one it has, else a new one. */
function declare(a: NewCamera, has: readonly TrackDecl[]): TrackDecl[] {
  const kinds: TrackDecl['kind'][] = ['video', ...(a.subUrl === undefined ? [] : (['video-sub'] as const)), ...(a.audio ? (['audio'] as const) : []), 'meta'];
  return kinds.map((kind) => has.find((t) => t.kind === kind) ?? { track: random(16), kind });
}
