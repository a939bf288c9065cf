/**
 * What travels between the page and the worker that owns the keys: one request
 * has one reply, some have news on the way. The worker asks the page, too: only
 * a page can ask a person for a touch. Nothing secret is in any of it, but the
 * codes that a person sees or types himself, and, on its way into the worker,
 * what a passkey derives: its bytes are moved, not copied.
 */
import type { AccessCalls } from '../owner/access/calls';
import type { ContactCalls } from '../owner/contacts/calls';
import type { HelpCalls } from '../owner/help/calls';
import type { ShareCalls } from '../owner/sharing/calls';
import type {
  Camera,
  CameraId,
  Download,
  DownloadAs,
  DownloadProgress,
  EndReason,
  HomeChange,
  Hub,
  InviteStep,
  Kid,
  MemberInviteStep,
  NewCamera,
  NewPerson,
  OwnDevice,
  PasskeyInfo,
  Person,
  Preview,
  RemovalReport,
  Result,
  Rights,
  Role,
  Session,
  Timeline,
  Trust,
} from '../owner/types';
import type { Ask, Touched } from './page';

/** Every operation: what it takes, what it answers, what it reports on the way. */
export interface Calls extends ContactCalls, AccessCalls, ShareCalls, HelpCalls {
  session: { args: null; value: Session | null; news: never };
  beginHousehold: { args: { readonly name: string; readonly person: string }; value: { code: string }; news: never };
  finishHousehold: { args: { readonly typed: string }; value: Session; news: never };
  recover: { args: { readonly code: string }; value: Session; news: never };
  signOut: { args: null; value: undefined; news: never };
  cameras: { args: null; value: Camera[]; news: never };
  hubs: { args: null; value: Hub[]; news: never };
  inviteHub: { args: null; value: Hub; news: InviteNews };
  removeHub: { args: { readonly kid: Kid }; value: undefined; news: never };
  addCamera: { args: NewCamera; value: CameraId; news: never };
  changeCamera: { args: { readonly id: CameraId; readonly camera: NewCamera }; value: undefined; news: never };
  removeCamera: { args: { readonly id: CameraId }; value: undefined; news: never };
  startEvent: { args: { readonly id: CameraId; readonly seconds: number }; value: undefined; news: never };
  timeline: { args: { readonly camera: CameraId; readonly from: number; readonly to: number }; value: Timeline; news: never };
  preview: { args: { readonly camera: CameraId; readonly at: number }; value: Preview; news: never };
  download: { args: DownloadArgs; value: Download; news: DownloadProgress };
  trust: { args: null; value: Trust; news: never };
  people: { args: null; value: Person[]; news: never };
  inviteMember: { args: NewPerson; value: Person; news: MemberNews };
  changeMember: { args: { readonly kid: Kid; readonly role: Role; readonly rights: Rights }; value: undefined; news: never };
  renameMember: { args: { readonly kid: Kid; readonly name: string }; value: undefined; news: never };
  removeMember: { args: { readonly kid: Kid }; value: RemovalReport; news: never };
  seenNewKeys: { args: { readonly kid: Kid }; value: undefined; news: never };
  beginJoin: { args: { readonly code: string; readonly person: string }; value: { code: string }; news: never };
  finishJoin: { args: { readonly typed: string }; value: Session; news: { readonly digits: string } };
  signInWithPasskey: { args: null; value: Session; news: never };
  addPasskey: { args: { readonly label: string }; value: undefined; news: never };
  passkeys: { args: null; value: PasskeyInfo[]; news: never };
  removePasskey: { args: { readonly id: string }; value: undefined; news: never };
  endReason: { args: null; value: EndReason | null; news: never };
  devices: { args: null; value: OwnDevice[]; news: never };
  endDevice: { args: { readonly id: string }; value: undefined; news: never };
  endOtherDevices: { args: null; value: number; news: never };
  beginNewCode: { args: null; value: { code: string }; news: never };
  finishNewCode: { args: { readonly typed: string }; value: undefined; news: never };
  beginNewKeys: { args: null; value: { code: string }; news: never };
  finishNewKeys: { args: { readonly typed: string }; value: undefined; news: never };
}

export interface DownloadArgs {
  readonly camera: CameraId;
  readonly from: number;
  readonly to: number;
  readonly audio: boolean;
  readonly as: DownloadAs;
}

/** The code comes first, then the steps. */
export type InviteNews =
  | { readonly kind: 'code'; readonly code: string; readonly qr: boolean[][] }
  | { readonly kind: 'step'; readonly step: InviteStep };

/** The invitation comes first, then the steps; the digits with step `compare`. */
export type MemberNews =
  | { readonly kind: 'code'; readonly link: string; readonly code: string; readonly qr: boolean[][] }
  | { readonly kind: 'step'; readonly step: MemberInviteStep }
  | { readonly kind: 'digits'; readonly digits: string };

export type Op = keyof Calls;

export type ToWorker =
  /** first of all: what this browser calls itself */
  | { readonly kind: 'page'; readonly browser: string }
  /** the digits of invitation `id` were compared */
  | { readonly kind: 'confirm'; readonly id: number }
  | { readonly kind: 'answer'; readonly id: number; readonly result: Result<Touched> }
  | { readonly kind: 'call'; readonly id: number; readonly op: Op; readonly args: Calls[Op]['args'] }
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'player'; readonly port: MessagePort };

export type FromWorker =
  | { readonly kind: 'reply'; readonly id: number; readonly result: Result<Calls[Op]['value']> }
  | { readonly kind: 'news'; readonly id: number; readonly news: Calls[Op]['news'] }
  | { readonly kind: 'ask'; readonly id: number; readonly ask: Ask }
  | { readonly kind: 'change'; readonly what: HomeChange };

/** What an operation hears from the page while it runs. */
export interface Hearing {
  /** aborts when the page cancels */
  readonly signal: AbortSignal;
  /** resolves when the page confirms */
  readonly confirmed: Promise<void>;
}

/** Runs one operation in the worker. */
export type Handlers = {
  readonly [K in Op]: (args: Calls[K]['args'], news: (n: Calls[K]['news']) => void, hearing: Hearing) => Promise<Calls[K]['value']>;
};
