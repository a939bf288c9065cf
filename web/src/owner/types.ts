/**
 * The contract between the household pages and everything below them: what a
 * page may ask of {@link Home} and {@link Player}, and what it is told back.
 * Types only; nothing here runs. Keys never appear: they stay in the worker of
 * src/crypto.
 *
 * Identifiers are 32 lower-case hex digits. Times are Unix milliseconds (UTC)
 * unless a name says otherwise.
 */

import type { HomeAccess } from './access/types';
import type { HomeHelp } from './help/types';
import type { HomeSharing } from './sharing/types';

/** Marks a string as one kind of identifier, so that a track is never passed for a camera. */
export type Branded<Name extends string> = string & { readonly __id: Name };

/** A household: the hash of its founding statement, 16 bytes. */
export type HouseholdId = Branded<'household'>;
/** A camera, 16 random bytes drawn by the member who added it. */
export type CameraId = Branded<'camera'>;
/** One track (picture, small picture, sound, events) of one camera. */
export type TrackId = Branded<'track'>;
/** One epoch of one hub. */
export type EpochId = Branded<'epoch'>;
/** The short name of a public key. */
export type Kid = Branded<'kid'>;

/** What kind of failure it was; a page chooses its tone (not its words) by it. */
export type AppErrorKind =
  | 'network'
  | 'refused'
  | 'verify'
  | 'conflict'
  | 'not-found'
  | 'wrong-code'
  | 'hub-offline'
  | 'storage'
  | 'unsupported'
  | 'internal';

/** A failure in the words of the interface: what happened, what is safe, what to do. */
export interface AppError {
  readonly kind: AppErrorKind;
  readonly what: string;
  readonly safe: string;
  readonly next: string;
}

/** Every answer is one of two things; nothing is thrown across the worker. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: AppError };

/** How far this session can be trusted (protocol 2.16), in honest words. */
export interface TrustTier {
  readonly tier: 1 | 2 | 3;
  readonly words: string;
}

/** Who is signed in, on which household. */
export interface Session {
  readonly household: HouseholdId;
  readonly householdName: string;
  readonly person: string;
  /** Origin of the server, such as `https://cam.example`. */
  readonly server: string;
  readonly trust: TrustTier;
  readonly role: Role;
  /** The recovery code has been used and no new one was made yet. */
  readonly codeUsed: boolean;
  /** Passkeys of this person. */
  readonly passkeys: number;
}

export type CameraMode = 'continuous' | 'events';
export type CameraStatus =
  | 'recording'
  | 'waiting'
  | 'connecting'
  | 'offline'
  | 'refused'
  | 'off'
  | 'error'
  /** no state has been read yet: the camera was just declared, or its hub has not spoken */
  | 'unknown';
export type TrackKind = 'video' | 'video-sub' | 'audio' | 'meta' | 'bio';

/** One track as the hub last described it. Sizes are 0 and codec is empty while unknown. */
export interface TrackInfo {
  readonly track: TrackId;
  /** RFC 6381, such as `avc1.640028`. */
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly kbps: number;
}

export interface Camera {
  readonly id: CameraId;
  readonly name: string;
  readonly mode: CameraMode;
  readonly status: CameraStatus;
  /** A plain sentence, or empty. */
  readonly error: string;
  readonly tracks: Readonly<Partial<Record<TrackKind, TrackInfo>>>;
  /** When the hub last wrote this camera's state; null before the first. */
  readonly lastSeen: number | null;
  /** The hub that carries it; null while unknown. */
  readonly hub: Kid | null;
  /** The stretches of it that this person was given, where nothing of it is his by right: there is no more of it for him. Else empty. */
  readonly granted: readonly TimeRange[];
}

export interface Hub {
  readonly kid: Kid;
  readonly name: string;
  readonly online: boolean;
  readonly lastSeen: number | null;
  readonly spoolParts: number;
  readonly spoolBytes: number;
  readonly spoolLimit: number;
  readonly uplink: 'connected' | 'waiting' | 'off' | 'unknown';
  readonly version: string;
  /** When a second machine last tried to connect as this hub; null: never. A hard failure, to be shown. */
  readonly doubled: number | null;
  /** Age of the newest verified heads note; null when there is none. */
  readonly headsAgeSeconds: number | null;
}

export type InviteStep = 'waiting' | 'found' | 'checked' | 'signed' | 'paired';

/** A pairing that is under way. */
export interface HubInvite {
  /** 32 characters in 8 groups of 4. */
  readonly code: string;
  /** Rows of modules, true = dark, without a quiet zone; encodes `LK1:` and the 32 characters. */
  readonly qr: boolean[][];
  /** Settles when the hub has joined, the code died (15 minutes), or cancel was called. */
  readonly done: Promise<Result<Hub>>;
  cancel(): void;
}

export interface NewCamera {
  readonly hub: Kid;
  readonly name: string;
  readonly url: string;
  readonly subUrl?: string;
  readonly user?: string;
  readonly password?: string;
  readonly mode: CameraMode;
  readonly audio: boolean;
}

export interface TimeRange {
  readonly from: number;
  /** exclusive */
  readonly to: number;
}

/** Why a stretch has no footage: a hub's own words, or what this browser found. */
export type GapReason =
  | 'camera-offline'
  | 'wrong-password'
  | 'camera-changed'
  | 'hub-off'
  | 'disk-full'
  | 'disk-error'
  | 'spool-full'
  | 'clock-step'
  | 'not-recording'
  | 'switched-off'
  /** the hub says that it has yet to send this */
  | 'backlog'
  /** from before this person joined, or outside what he may see: nobody gave him these keys */
  | 'not-shared'
  /** the household's own rules order it to be gone */
  | 'deleted'
  /** parts are missing and no hub said why */
  | 'missing'
  /** parts were there and did not verify */
  | 'unverified';

export interface Gap extends TimeRange {
  readonly why: GapReason;
  /** A short plain sentence. */
  readonly words: string;
  /** True when nobody honest explained it: shown loud. */
  readonly alarm: boolean;
}

export interface TimelineEvent {
  readonly id: string;
  readonly from: number;
  /** null while it lasts */
  readonly to: number | null;
  readonly label: string;
}

export interface Timeline {
  readonly ranges: TimeRange[];
  readonly gaps: Gap[];
  readonly events: TimelineEvent[];
  /** The range was too long to read the hub's records: no events, and no gap has a reason. */
  readonly coarse?: boolean;
}

/** One picture. The receiver owns `image` and closes it; ask again for another. */
export interface Preview {
  readonly image: ImageBitmap;
  /** Capture time of exactly this picture. */
  readonly at: number;
}

export interface DownloadProgress {
  readonly bytes: number;
  readonly total: number | null;
  readonly secondsLeft: number | null;
}

/** `evidence`: a file that proves itself (docs/evidence.md). */
export type DownloadAs = 'movie' | 'evidence';

export interface Download {
  readonly blob: Blob;
  readonly filename: string;
  /** Stretches of the asked range that the file does not show. */
  readonly gaps: Gap[];
}

export type TrustState = 'verified' | 'verifying' | 'stale' | 'broken';

/** Something that did not verify or is missing, newest first. */
export interface Problem {
  readonly at: number;
  /** null when it concerns the whole household */
  readonly camera: CameraId | null;
  readonly error: AppError;
}

export interface Trust {
  readonly state: TrustState;
  /** Complete and verified up to here (`stale`), or since when the state holds. */
  readonly since: number | null;
  readonly words: string;
  readonly problems: Problem[];
}

export type HomeChange = 'cameras' | 'hubs' | 'people' | 'devices' | 'contacts' | 'trust' | 'log' | 'shares' | 'help' | 'session';

export type Role = 'admin' | 'member' | 'viewer';

/** What a person may see. `all` includes cameras that are added later. */
export type Rights =
  | { readonly all: true }
  | { readonly all: false; readonly cameras: readonly { readonly camera: CameraId; readonly sound: boolean }[] };

/** Somebody's keys were replaced: by himself, or by whoever had a device or a code of his. */
export interface NewKeys {
  /** unix milliseconds, by the clock of who did it */
  readonly at: number;
  /** With the recovery code; else with the keys of before. */
  readonly byCode: boolean;
  /** Said to the reader already, or older than his own place in the home. */
  readonly seen: boolean;
}

/** One person of the household. */
export interface Person {
  readonly kid: Kid;
  /** Empty while unknown. */
  readonly name: string;
  readonly role: Role;
  readonly rights: Rights;
  readonly me: boolean;
  /** False for the last admin, and for oneself. */
  readonly removable: boolean;
  /** The last time; null when they are those he came with. */
  readonly newKeys: NewKeys | null;
}

export interface NewPerson {
  readonly name: string;
  readonly role: Role;
  readonly rights: Rights;
  /** How far back they may look: nothing, these many days, or everything. */
  readonly history: { readonly days: number } | 'none' | 'all';
}

export type MemberInviteStep = 'waiting' | 'found' | 'compare' | 'signed' | 'history' | 'joined';

/** An invitation that is under way, on the admin's side. */
export interface MemberInvite {
  /** `<origin>/#join=<code>`, to be handed over in person or by a messenger. */
  readonly link: string;
  /** 32 characters in 8 groups of 4. */
  readonly code: string;
  readonly qr: boolean[][];
  /** Settles when somebody has joined, the invitation ended, or cancel was called. */
  readonly done: Promise<Result<Person>>;
  /** After step `compare`, when both have read the same digits. Asks for a passkey touch where there is one. */
  confirm(): void;
  cancel(): void;
}

/** A device (browser or command line) of the person who asks. */
export interface OwnDevice {
  readonly id: string;
  readonly label: string;
  readonly created: number;
  readonly lastUse: number;
  readonly how: 'founding' | 'recovery' | 'passkey' | 'joining' | 'rekey';
  readonly current: boolean;
  readonly online: boolean;
}

export interface PasskeyInfo {
  readonly id: string;
  readonly label: string;
  readonly created: number;
  readonly lastUse: number | null;
}

/** Whether passkeys can open a vault here: `no-prf`, the browser has passkeys without PRF. */
export type PasskeySupport = 'yes' | 'no-prf' | 'no';

/** Why nobody is signed in here any more, when that was not asked for in this browser. */
export type EndReason = 'device-ended' | 'removed';

/** Who has heard of a removal. Any one of them is enough for the next epoch. */
export interface RemovalReport {
  readonly server: 'done' | 'failed';
  readonly hubs: readonly { readonly kid: Kid; readonly heard: boolean }[];
}

/** People, devices, passkeys and codes. Methods that a passkey touch protects ask for it themselves. */
export interface HomePeople {
  people(): Promise<Result<Person[]>>;
  /** onDigits is told the 24 digits to compare, in groups, at step `compare`. */
  inviteMember(a: NewPerson, onStep: (step: MemberInviteStep) => void, onDigits: (digits: string) => void): Promise<Result<MemberInvite>>;
  changeMember(kid: Kid, a: { role: Role; rights: Rights }): Promise<Result<void>>;
  renameMember(kid: Kid, name: string): Promise<Result<void>>;
  removeMember(kid: Kid): Promise<Result<RemovalReport>>;
  /** The reader has read that this person's keys were replaced. */
  seenNewKeys(kid: Kid): Promise<Result<void>>;

  /** The guest's side: makes keys and the recovery code to show. Nothing is sent yet. */
  beginJoin(a: { code: string; person: string }): Promise<Result<{ code: string }>>;
  /** The recovery code typed back; then offers, tells the digits, and waits for the admin. */
  finishJoin(a: { typed: string }, onDigits: (digits: string) => void, cancel?: AbortSignal): Promise<Result<Session>>;

  passkeySupport(): Promise<PasskeySupport>;
  signInWithPasskey(): Promise<Result<Session>>;
  addPasskey(a: { label: string }): Promise<Result<void>>;
  passkeys(): Promise<Result<PasskeyInfo[]>>;
  removePasskey(id: string): Promise<Result<void>>;

  /** Why the last session of this browser ended, kept until the next one begins; null when it was signed out here, or never in. */
  endReason(): Promise<EndReason | null>;

  /** Always asks the server, and changes nothing there. */
  devices(): Promise<Result<OwnDevice[]>>;
  endDevice(id: string): Promise<Result<void>>;
  endOtherDevices(): Promise<Result<number>>;

  /** A new recovery code to show; the old one counts until finishNewCode. */
  beginNewCode(): Promise<Result<{ code: string }>>;
  finishNewCode(a: { typed: string }): Promise<Result<void>>;
  /** For a lost device: new keys, a new code, all other devices and passkeys out. Begins like a new code. */
  beginNewKeys(): Promise<Result<{ code: string }>>;
  finishNewKeys(a: { typed: string }): Promise<Result<void>>;
}

/** Somebody of the household by name. */
export interface PersonRef {
  readonly kid: Kid;
  /** Empty while unknown. */
  readonly name: string;
}

/** The three members who can bring this person back, two of them together. */
export interface TrustedContacts {
  readonly people: readonly PersonRef[];
  readonly since: number | null;
  /** Why they cannot any more, as a sentence: choose again. Empty while they can. */
  readonly broken: string;
}

/** Contacts say that somebody with new keys is a member who has lost his own: what everybody sees of it. */
export interface Claim {
  readonly id: string;
  readonly member: PersonRef;
  /** It is about the person who looks. */
  readonly me: boolean;
  /** Who has confirmed it, under signatures that hold. */
  readonly by: readonly PersonRef[];
  /** 24 digits over the new keys. */
  readonly digits: string;
  readonly state: 'open' | 'stopped' | 'ended' | 'done';
  readonly first: number;
  /** When the wait is over. */
  readonly until: number;
  readonly stoppedBy: PersonRef | null;
  readonly mayStop: boolean;
  /** The person who looks is a trusted contact of the member. */
  readonly mine: boolean;
  readonly signed: boolean;
  /** His share is there. */
  readonly released: boolean;
  /** When this person's own client gives his share; null unless `mine`. */
  readonly releaseAt: number | null;
}

/** A contact's side of helping somebody back, while his link waits. */
export interface HelpInvite {
  /** `<origin>/#help=<code>` */
  readonly link: string;
  readonly code: string;
  readonly qr: boolean[][];
  /** The 24 digits, once somebody has used the link. */
  readonly digits: Promise<Result<string>>;
  /** After both have read the same digits: signs, and the seven days begin. */
  confirm(): Promise<Result<void>>;
  cancel(): void;
}

/** How far a comeback in this browser is. */
export interface Comeback {
  /**
   * code: the new code has to be typed back; link: no contact has answered the link;
   * digits: none has confirmed; second: one has; waiting: two have; ready: come in.
   */
  readonly step: 'code' | 'link' | 'digits' | 'second' | 'waiting' | 'ready' | 'stopped' | 'ended';
  /** What to read to each contact. */
  readonly digits: string;
  /** When the wait is over; null before a contact has confirmed. */
  readonly until: number | null;
  /** How many contacts have confirmed, and how many have given their share. */
  readonly confirmed: number;
  readonly shares: number;
}

/** Trusted contacts (docs/design/0004): the person's own, those who trust him, and the way back. */
export interface HomeContacts {
  /** null: none are chosen. */
  contacts(): Promise<Result<TrustedContacts | null>>;
  setContacts(kids: readonly Kid[]): Promise<Result<void>>;
  removeContacts(): Promise<Result<void>>;
  /** Who has chosen this person. */
  entrusted(): Promise<Result<PersonRef[]>>;
  help(member: Kid): Promise<Result<HelpInvite>>;

  /** Of the last 30 days, newest first. Shares whose wait is over are given on the way. */
  claims(): Promise<Result<Claim[]>>;
  /** After comparing the digits with whoever is helped. */
  confirmClaim(id: string): Promise<Result<void>>;
  stopClaim(id: string): Promise<Result<void>>;
  releaseShare(id: string): Promise<Result<void>>;

  /** What was begun in this browser; null: nothing. */
  comeback(): Promise<Result<Comeback | null>>;
  /** New keys and a new recovery code to show. With the code of another link, takes up what is there. */
  beginComeback(a: { code: string }): Promise<Result<{ code: string }>>;
  /** The recovery code typed back: only now anything leaves this browser. Waits for the contact's answer. */
  meetContact(a: { typed: string }, cancel?: AbortSignal): Promise<Result<Comeback>>;
  /** When it is ready. */
  finishComeback(): Promise<Result<Session>>;
  abandonComeback(): Promise<Result<void>>;
}

/** Everything a page can ask for. One per page, made by `connectHome()`. */
export interface Home extends HomePeople {
  readonly trusted: HomeContacts;
  readonly access: HomeAccess;
  readonly sharing: HomeSharing;
  readonly help: HomeHelp;
  /** The session of this browser's own store; null when nobody is signed in here. */
  session(): Promise<Result<Session | null>>;
  /** Makes the keys and the recovery code to show. Nothing is sent or stored yet. */
  beginHousehold(a: { name: string; person: string }): Promise<Result<{ code: string }>>;
  /** The code typed back; `wrong-code` when it differs, and it may be typed again. */
  finishHousehold(a: { typed: string }): Promise<Result<Session>>;
  /** Opens an existing household with its recovery code. */
  recover(a: { code: string }): Promise<Result<Session>>;
  /** This browser forgets everything. */
  signOut(): Promise<Result<void>>;

  cameras(): Promise<Result<Camera[]>>;
  hubs(): Promise<Result<Hub[]>>;
  /** Calls fn when an answer of the named kind has changed; returns how to stop. */
  onChange(fn: (what: HomeChange) => void): () => void;

  inviteHub(onStep: (step: InviteStep) => void): Promise<Result<HubInvite>>;
  removeHub(kid: Kid): Promise<Result<void>>;
  addCamera(a: NewCamera): Promise<Result<CameraId>>;
  /** Describes the camera anew; what it recorded stays on its timeline. */
  changeCamera(id: CameraId, a: NewCamera): Promise<Result<void>>;
  removeCamera(id: CameraId): Promise<Result<void>>;
  startEvent(id: CameraId, seconds: number): Promise<Result<void>>;

  timeline(camera: CameraId, from: number, to: number): Promise<Result<Timeline>>;
  /** The nearest random-access picture at or before `at`, of the sub stream where there is one. */
  preview(camera: CameraId, at: number): Promise<Result<Preview>>;
  download(
    a: { camera: CameraId; from: number; to: number; audio: boolean; as: DownloadAs },
    onProgress: (p: DownloadProgress) => void,
    /** Aborting it cancels: the answer is then an error, and nothing is fetched any more. */
    cancel?: AbortSignal,
  ): Promise<Result<Download>>;

  trust(): Promise<Result<Trust>>;
  /** A player that owns these two elements: it shows the one in use and hides the other. */
  player(video: HTMLVideoElement, canvas: HTMLCanvasElement): Player;
}

export interface LiveOptions {
  readonly quality: 'main' | 'sub' | 'auto';
  readonly mode: 'auto' | 'mse' | 'webcodecs';
  readonly sound: boolean;
}

export interface SeekOptions {
  /** 0.5 … 8 */
  readonly rate: number;
  readonly sound: boolean;
  readonly paused?: boolean;
}

export type PlayerPhase =
  | 'idle'
  | 'connecting'
  | 'playing'
  | 'buffering'
  | 'paused'
  | 'gap'
  | 'error';

export interface PlayerState {
  readonly phase: PlayerPhase;
  readonly live: boolean;
  /** Capture time of the picture shown. */
  readonly at: number | null;
  /** How far the picture is behind this computer's clock; null when not live. */
  readonly lagMs: number | null;
  readonly mode: 'mse' | 'webcodecs' | null;
  readonly codec: string | null;
  readonly width: number;
  readonly height: number;
  readonly seal: TrustState;
  readonly sealWords: string;
  /** Parts that were left out because this viewer was too slow. */
  readonly skipped: number;
  readonly gap: Gap | null;
  readonly error: AppError | null;
  /** Worth telling quietly, such as which stream is shown instead. */
  readonly notice: string | null;
}

/** What the latency and join tests read; not for pages. */
export interface PlayerMetrics {
  /** live()/seek() to the first picture, null before it. */
  readonly joinMs: number | null;
  readonly frames: number;
  readonly dropped: number;
  /** Capture time of the frame on the glass, and when it was put there. */
  readonly shown: { readonly capture: number; readonly at: number } | null;
}

export interface Player {
  live(camera: CameraId, opts: LiveOptions): void;
  seek(camera: CameraId, atMs: number, opts: SeekOptions): void;
  setRate(rate: number): void;
  setSound(on: boolean): void;
  pause(): void;
  play(): void;
  /** One picture forward or back, while paused. */
  step(frames: 1 | -1): void;
  stop(): void;
  destroy(): void;
  readonly state: PlayerState;
  readonly metrics: PlayerMetrics;
  on(fn: (state: PlayerState) => void): () => void;
}
