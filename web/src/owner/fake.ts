/**
 * A whole home in memory, for tests and for working on the pages: no keys, no
 * server, no camera. It keeps the contract of {@link Home} and complains about
 * calls the contract forbids. Never part of the built app.
 */
import { FakeAccess } from './access/fake-access';
import { FakeContacts } from './contacts/fake-contacts';
import { FakePlayer } from './fake-player';
import { drawScene } from './fake-scene';
import { FAKE_CODE, fakeError, FakePeople, fakeQr, id, ok, type Scenario } from './fake-people';
import { FakeHelp } from './help/fake-help';
import { FakeSharing } from './sharing/fake-sharing';
import { readCode } from './code';
import type {
  Camera, CameraId, CameraStatus, Download, DownloadAs, DownloadProgress, Gap, GapReason, Home, Hub,
  HubInvite, InviteStep, Kid, NewCamera, Player, Preview, Result, Session, Timeline, TimelineEvent, TimeRange, TrackId, Trust, TrustState,
} from './types';

export { FAKE_CODE, FAKE_DIGITS, FAKE_INVITATION, FAKE_NEW_CODE, fakeError, type Scenario } from './fake-people';

const HOUR = 3_600_000;

function fakeCamera(name: string, status: CameraStatus, error = ''): Camera {
  const track = (kind: string, width: number, height: number, kbps: number, codec = 'avc1.640028') => ({
    track: id<TrackId>(name + kind), codec, width, height, fps: kind === 'audio' ? 0 : 25, kbps,
  });
  return {
    id: id<CameraId>(name), name, mode: 'continuous', status, error, lastSeen: Date.now() - 4000, hub: id<Kid>('hub'), granted: [],
    tracks: { video: track('video', 1920, 1080, 4012), 'video-sub': track('sub', 640, 360, 420), audio: track('audio', 0, 0, 64, 'mp4a.40.2'), meta: track('meta', 0, 0, 0, '') },
  };
}

const fakeHub = (online: boolean): Hub => ({
  kid: id<Kid>('hub'), name: 'Cupboard', online, lastSeen: Date.now() - (online ? 3000 : 2 * HOUR), spoolParts: online ? 12 : 8210, spoolBytes: online ? 410_000 : 812_000_000,
  spoolLimit: 20_000_000_000, uplink: online ? 'connected' : 'waiting', version: '0.1.0', doubled: null, headsAgeSeconds: online ? 31 : 7200,
});

export class FakeHome extends FakePeople implements Home {
  readonly #started = Date.now();
  readonly trusted = new FakeContacts((what) => { this.tell(what); });
  readonly access: FakeAccess;
  readonly sharing = new FakeSharing((what) => { this.tell(what); }, () => this.#cameras);
  readonly help = new FakeHelp((what) => { this.tell(what); }, () => this.#cameras);
  #cameras: Camera[];
  #hubs: Hub[];
  #trust: TrustState = 'verified';
  #pending: { name: string; person: string } | null = null;
  /** Somebody who joined lately, or sees a part only, has no keys to what was before. */
  readonly #partly: boolean;

  constructor(scenario: Scenario = 'home') {
    super(scenario);
    this.access = new FakeAccess((what) => { this.tell(what); }, this.current?.person ?? 'Ann');
    this.trusted.people = async () => {
      const answer = await this.people();
      return answer.ok ? answer.value : [];
    };
    this.trusted.enter = () => this.begin(this.newSession('Elm Street 4', 'Ann'));
    this.#partly = ['member', 'viewer'].includes(scenario);
    this.#hubs = scenario === 'no-hub' || this.current === null ? [] : [{ ...fakeHub(scenario !== 'trouble'), doubled: scenario === 'doubled' ? Date.now() - HOUR : null }];
    const full = [fakeCamera('Porch', 'recording'), fakeCamera('Driveway', 'recording'), fakeCamera('Garden gate', 'recording')];
    const troubled = [fakeCamera('Porch', 'recording'), fakeCamera('Driveway', 'refused', 'The driveway camera refused the password. Enter the camera’s password.'), fakeCamera('Garden gate', 'offline')];
    const none = this.current === null || ['no-hub', 'no-camera', 'nothing-shared'].includes(scenario);
    this.#cameras = none ? [] : scenario === 'trouble' ? troubled : scenario === 'member' ? full.slice(0, 2) : scenario === 'viewer' ? full.slice(2) : full;
    if (scenario === 'trouble') this.#trust = 'broken';
    if (scenario === 'stale') this.#trust = 'stale';
    if (scenario === 'log-broken') this.access.break('kept-back');
    if (scenario === 'log-policy') this.access.break('policy');
    if (scenario === 'log-stale') this.access.change({ state: 'stale', until: Date.now() - 30 * HOUR });
    if (scenario === 'log-checking') this.access.change({ state: 'checking', until: null, proven: 5, covered: 0 });
    if (scenario === 'help' || scenario === 'help-light') this.help.begin(scenario === 'help-light');
    if (scenario === 'given') this.access.unread = [10, 11, 13];
  }

  session(): Promise<Result<Session | null>> {
    return Promise.resolve(ok(this.current));
  }

  beginHousehold(a: { name: string; person: string }): Promise<Result<{ code: string }>> {
    this.calls.push('beginHousehold');
    this.#pending = a;
    return Promise.resolve(ok({ code: FAKE_CODE }));
  }

  finishHousehold(a: { typed: string }): Promise<Result<Session>> {
    this.calls.push('finishHousehold');
    if (this.#pending === null) throw new Error('fake home: finishHousehold before beginHousehold');
    if (readCode(a.typed).pretty !== FAKE_CODE) {
      return Promise.resolve({ ok: false, error: { ...fakeError('wrong-code', 'That is not the code on your sheet.'), next: 'Compare it group by group and type it again.' } });
    }
    return Promise.resolve(ok(this.begin(this.newSession(this.#pending.name, this.#pending.person))));
  }

  recover(a: { code: string }): Promise<Result<Session>> {
    this.calls.push('recover');
    if (!this.mayUse(a.code)) {
      return Promise.resolve({ ok: false, error: { kind: 'wrong-code', what: 'No home opens with this code.', safe: 'Nothing was changed.', next: 'Compare it with your recovery sheet, group by group.' } });
    }
    return Promise.resolve(ok(this.begin({ ...this.newSession('Elm Street 4', 'Ann'), codeUsed: true })));
  }

  signOut(): Promise<Result<void>> {
    this.calls.push('signOut');
    this.current = null;
    this.tell('session');
    return Promise.resolve(ok(undefined));
  }

  cameras(): Promise<Result<Camera[]>> {
    return Promise.resolve(ok([...this.#cameras]));
  }
  hubs(): Promise<Result<Hub[]>> {
    return Promise.resolve(ok([...this.#hubs]));
  }

  inviteHub(onStep: (step: InviteStep) => void): Promise<Result<HubInvite>> {
    this.admin('inviteHub');
    let timer: ReturnType<typeof setTimeout> | undefined;
    const done = new Promise<Result<Hub>>((resolve) => {
      const steps: InviteStep[] = ['waiting', 'found', 'checked', 'signed', 'paired'];
      const next = (): void => {
        const step = steps.shift();
        if (step !== undefined) {
          onStep(step);
          timer = setTimeout(next, step === 'waiting' ? 6000 : 700);
          return;
        }
        this.#hubs = [fakeHub(true)];
        this.tell('hubs');
        resolve(ok(fakeHub(true)));
      };
      next();
    });
    return Promise.resolve(ok({ code: FAKE_CODE, qr: fakeQr(), done, cancel: () => clearTimeout(timer) }));
  }

  removeHub(kid: Kid): Promise<Result<void>> {
    this.admin('removeHub');
    this.#hubs = this.#hubs.filter((hub) => hub.kid !== kid);
    this.tell('hubs');
    return Promise.resolve(ok(undefined));
  }

  addCamera(a: NewCamera): Promise<Result<CameraId>> {
    this.admin('addCamera');
    const camera = { ...fakeCamera(a.name, 'connecting'), mode: a.mode };
    this.#cameras = [...this.#cameras, camera];
    this.tell('cameras');
    return Promise.resolve(ok(camera.id));
  }

  changeCamera(camera: CameraId, a: NewCamera): Promise<Result<void>> {
    this.admin('changeCamera');
    this.#cameras = this.#cameras.map((c) => (c.id === camera ? { ...c, name: a.name, mode: a.mode, status: 'connecting', error: '' } : c));
    this.tell('cameras');
    return Promise.resolve(ok(undefined));
  }

  removeCamera(camera: CameraId): Promise<Result<void>> {
    this.admin('removeCamera');
    this.#cameras = this.#cameras.filter((c) => c.id !== camera);
    this.tell('cameras');
    return Promise.resolve(ok(undefined));
  }

  startEvent(_camera: CameraId, _seconds: number): Promise<Result<void>> {
    this.calls.push('startEvent');
    if (this.current?.role === 'viewer') throw new Error('fake home: startEvent by a viewer');
    return this.server(() => undefined);
  }

  timeline(_camera: CameraId, from: number, to: number): Promise<Result<Timeline>> {
    this.calls.push('timeline');
    if (this.down) return this.server((): never => { throw new Error('unreachable'); });
    const inside = (range: { from: number; to: number | null }): boolean => range.from < to && (range.to ?? Infinity) > from;
    const all = this.#timeline();
    return Promise.resolve(ok({ ranges: all.ranges.filter(inside), gaps: all.gaps.filter(inside), events: all.events.filter(inside) }));
  }

  /** Five days with three gaps and a handful of events, up to now. */
  #timeline(): Timeline {
    const now = Date.now();
    const gap = (hoursAgo: number, minutes: number, why: GapReason, words: string, alarm = false): Gap => {
      const from = this.#started - hoursAgo * HOUR;
      return { from, to: from + minutes * 60_000, why, words, alarm };
    };
    const gaps = [
      ...(this.#partly ? [gap(120, 48 * 60, 'not-shared', 'From before you joined, or not shared with you')] : []),
      gap(30, 95, 'hub-off', 'The hub was off'),
      gap(1.2, 4, 'camera-offline', 'The camera was not reachable'),
      ...(this.#trust === 'broken' ? [gap(0.4, 2, 'missing', 'Footage is missing and your hub did not say why', true)] : []),
    ];
    const ranges: TimeRange[] = [];
    let cursor = this.#started - 120 * HOUR;
    for (const hole of gaps) {
      ranges.push({ from: cursor, to: hole.from });
      cursor = hole.to;
    }
    ranges.push({ from: cursor, to: now });
    const event = (minutesAgo: number, seconds: number, label: string): TimelineEvent => {
      const from = this.#started - minutesAgo * 60_000;
      return { id: `e${minutesAgo}`, from, to: from + seconds * 1000, label };
    };
    return { ranges, gaps, events: [event(1700, 40, 'motion'), event(200, 25, 'motion'), event(41, 30, 'manual'), event(12, 18, 'motion'), event(3, 20, 'motion')] };
  }

  preview(camera: CameraId, at: number): Promise<Result<Preview>> {
    const canvas = new OffscreenCanvas(320, 180);
    const ctx = canvas.getContext('2d');
    if (ctx === null) return Promise.resolve({ ok: false, error: fakeError('unsupported') });
    drawScene(ctx, at, parseInt(camera.slice(0, 2), 16));
    return Promise.resolve(ok({ image: canvas.transferToImageBitmap(), at }));
  }

  async download(a: { camera: CameraId; from: number; to: number; audio: boolean; as: DownloadAs }, onProgress: (p: DownloadProgress) => void, cancel?: AbortSignal): Promise<Result<Download>> {
    this.calls.push('download');
    const total = 8_400_000;
    for (let bytes = 0; bytes <= total; bytes += 1_400_000) {
      if (cancel?.aborted === true) return { ok: false, error: fakeError('network') };
      onProgress({ bytes, total, secondsLeft: (total - bytes) / 1_400_000 / 5 });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const blob = new Blob([new Uint8Array([0, 0, 0, 16]), 'ftypisom', new Uint8Array(total)], { type: 'video/mp4' });
    return ok({ blob, filename: a.as === 'movie' ? 'porch.mp4' : 'porch.lkx', gaps: this.#timeline().gaps.filter((g) => g.from < a.to && g.to > a.from) });
  }

  trust(): Promise<Result<Trust>> {
    const camera = this.#cameras[0]?.id ?? null;
    const problem = { at: Date.now() - HOUR / 3, camera, error: { ...fakeError('verify', 'Two minutes of Porch do not verify.'), next: 'Do not rely on this stretch.' } };
    const since = this.#trust === 'stale' ? Date.now() - 2 * HOUR : Date.now() - 20_000;
    return Promise.resolve(ok({ state: this.#trust, since, words: '', problems: this.#trust === 'broken' ? [problem] : [] }));
  }

  player(video: HTMLVideoElement, canvas: HTMLCanvasElement): Player {
    return new FakePlayer(video, canvas, {
      now: () => Date.now(),
      timeline: () => this.#timeline(),
      seal: (camera) => (this.#trust === 'broken' && camera === this.#cameras[0]?.id ? 'broken' : this.#trust === 'stale' ? 'stale' : 'verified'),
    });
  }
}
