/**
 * The server as this client sees it: Connect services, footage bytes, and the
 * mapping of their failures. The session is a cookie that this code never sees;
 * when it has run out, `signIn` is called once and the call made again.
 */
import { Code, ConnectError, createClient, type Client, type Interceptor, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import {
  AccountService,
  ChainService,
  FootageService,
  HubService,
  PairingService,
  PasskeyService,
} from '../api/latchkey/v1/latchkey_pb';
import type { StaffService, TicketService } from '../api/latchkey/v1/desk_pb';
import type { ContactService } from '../api/latchkey/v1/contact_pb';
import type { LinkService } from '../api/latchkey/v1/link_pb';
import type { AppErrorKind } from '../owner/types';
import type { Bytes } from './bytes';
import { Failure } from './failure';

export interface Api {
  readonly origin: string;
  readonly account: Client<typeof AccountService>;
  readonly chain: Client<typeof ChainService>;
  readonly pairing: Client<typeof PairingService>;
  readonly passkey: Client<typeof PasskeyService>;
  readonly hub: Client<typeof HubService>;
  readonly footage: Client<typeof FootageService>;
  readonly contact: Client<typeof ContactService>;
  readonly link: Client<typeof LinkService>;
  readonly ticket: Client<typeof TicketService>;
  readonly staff: Client<typeof StaffService>;
  /** Called when a session is missing or has run out; installs a new one or throws. */
  signIn: () => Promise<void>;
  /** Called when the server says that this device was signed out by another. */
  ended: () => void;
  /** GET /log/policy: what the server says of its public log. */
  logPolicy(): Promise<string>;
  /** GET /v1/footage/{track}. */
  parts(track: string, query: FootageQuery, signal: AbortSignal): Promise<FootageReply>;
  /** GET /log/{path}: a file of the public log, or its policy. */
  logFile(path: string): Promise<Bytes>;
  /** GET /{path}: a file of the page, as this browser keeps or gets it; null: there is none. */
  pageFile(path: string): Promise<Bytes | null>;
}

/** Either `from`, or `epoch` and `seq` (design 0001, Footage). */
export interface FootageQuery {
  /** unix seconds, fraction allowed */
  readonly from?: number;
  readonly epoch?: string;
  readonly seq?: number;
  /** unix seconds, exclusive */
  readonly to?: number;
  /** bytes */
  readonly max?: number;
  /** only random-access parts */
  readonly rap?: boolean;
}

export interface FootageReply {
  /** concatenated parts, unverified */
  readonly bytes: Bytes;
  readonly next: { readonly epoch: string; readonly seq: number } | null;
}

const kinds: Partial<Record<Code, AppErrorKind>> = {
  [Code.Unauthenticated]: 'refused',
  [Code.PermissionDenied]: 'refused',
  [Code.NotFound]: 'not-found',
  [Code.Aborted]: 'conflict',
  [Code.AlreadyExists]: 'conflict',
  [Code.Unavailable]: 'network',
  [Code.DeadlineExceeded]: 'network',
  [Code.ResourceExhausted]: 'network',
  [Code.Canceled]: 'network',
  [Code.Unknown]: 'network',
};

/** Calls that make a session or need none, and so must not wait for one. */
const open = new Set(['CreateHousehold', 'Challenge', 'Login', 'Logout', 'BeginSignIn', 'FinishSignIn', 'PutMail', 'GetMail', 'PollClaim', 'FinishClaim']);

const reasonHeader = 'Latchkey-Reason';

/** What the server says is to be done about a failure (spec/wire, "Reasons"); empty when it does not say. */
export function reasonOf(err: unknown): string {
  return err instanceof Failure ? err.reason : '';
}

/** Whether this device was signed out by another, or by new keys. */
export function isEnded(err: unknown): boolean {
  return reasonOf(err) === 'device-ended';
}

export function toFailure(err: unknown): Failure {
  if (err instanceof Failure) return err;
  const e = ConnectError.from(err);
  if (e.cause instanceof Failure) return e.cause;
  return new Failure(kinds[e.code] ?? 'internal', `api: ${Code[e.code]}`, { cause: err, reason: e.metadata.get(reasonHeader) ?? '' });
}

/** A transport that fails with a Failure: Connect wraps what an interceptor throws into an error of its own. */
function failing(inner: Transport): Transport {
  return {
    unary: (...call) => inner.unary(...call).catch((err: unknown) => Promise.reject(toFailure(err))),
    stream: inner.stream.bind(inner),
  };
}

/** A client whose description is loaded at its first call: most visits make none. Unary calls only. */
function later<T extends object>(load: () => Promise<T>): T {
  let client: Promise<T> | null = null;
  const loaded = (): Promise<T> => (client ??= load().catch((err: unknown) => {
    client = null;
    throw new Failure('network', 'api: a part of this program could not be loaded', { cause: err });
  }));
  return new Proxy({} as T, {
    get: (_, name) => {
      if (name === 'then') return undefined; // it is no promise
      return async (...args: unknown[]): Promise<unknown> => {
        const call: unknown = Reflect.get(await loaded(), name);
        if (typeof call !== 'function') throw new Failure('internal', 'api: no such call');
        return (call as (...a: unknown[]) => unknown)(...args);
      };
    },
  });
}

/** The API of the server that served this page. */
export function connectApi(origin: string): Api {
  const api: Pick<Api, 'signIn' | 'ended'> = { signIn: () => Promise.reject(new Failure('refused', 'api: not signed in')), ended: () => undefined };
  let signing: Promise<void> | null = null;
  // Many calls may find the session gone at once: they share one sign-in.
  const renew = (): Promise<void> => (signing ??= api.signIn().finally(() => (signing = null)));

  const again = async (failure: Failure): Promise<void> => {
    if (!isEnded(failure)) return renew();
    api.ended();
    throw failure;
  };

  const session: Interceptor = (next) => async (req) => {
    try {
      return await next(req);
    } catch (err) {
      const failure = toFailure(err);
      const gone = ConnectError.from(err).code === Code.Unauthenticated;
      if (!gone || req.stream || open.has(req.method.name)) throw failure;
      await again(failure);
      return next(req).catch((still: unknown) => Promise.reject(toFailure(still)));
    }
  };
  const transport = failing(createConnectTransport({ baseUrl: origin, useBinaryFormat: true, interceptors: [session], defaultTimeoutMs: 40_000 }));

  const parts = async (track: string, query: FootageQuery, signal: AbortSignal): Promise<FootageReply> => {
    const url = `${origin}/v1/footage/${track}?${footageParams(query)}`;
    let res = await footageFetch(url, signal);
    if (res.status === 401) {
      await again(new Failure('refused', 'api: footage: status 401', { reason: res.headers.get(reasonHeader) ?? '' }));
      res = await footageFetch(url, signal);
    }
    if (!res.ok) throw new Failure(statusKind(res.status), `api: footage: status ${res.status}`);
    const bytes = new Uint8Array(await res.arrayBuffer().catch(lostFetch));
    return { bytes, next: parseNext(res.headers.get('Latchkey-Next')) };
  };

  const logPolicy = async (): Promise<string> => {
    const res = await fetch(`${origin}/log/policy`, { cache: 'no-store' }).catch(lostFetch);
    if (!res.ok) throw new Failure(statusKind(res.status), `api: log policy: status ${res.status}`);
    return res.text().catch(lostFetch);
  };

  return Object.assign(api, {
    origin,
    logPolicy,
    account: createClient(AccountService, transport),
    chain: createClient(ChainService, transport),
    pairing: createClient(PairingService, transport),
    passkey: createClient(PasskeyService, transport),
    hub: createClient(HubService, transport),
    footage: createClient(FootageService, transport),
    contact: later(async () => createClient((await import('../api/latchkey/v1/contact_pb')).ContactService, transport)),
    link: later(async () => createClient((await import('../api/latchkey/v1/link_pb')).LinkService, transport)),
    ticket: later(async () => createClient((await import('../api/latchkey/v1/desk_pb')).TicketService, transport)),
    staff: later(async () => createClient((await import('../api/latchkey/v1/desk_pb')).StaffService, transport)),
    parts,
    logFile: (path: string) => logFile(`${origin}/log/${path}`),
    pageFile: (path: string) => pageFile(`${origin}/${path === 'index.html' ? '' : path}`),
  });
}

/** The largest file of a log: a bundle of the largest entries. */
const maxLogFile = 256 * 65_537;

/** Anybody may read the log: no cookie goes along, and no copy stays. */
export async function logFile(url: string): Promise<Bytes> {
  const res = await fetch(url, { credentials: 'omit', cache: 'no-store' }).catch(lostFetch);
  if (!res.ok) throw new Failure(statusKind(res.status), `api: log: status ${res.status}`);
  const bytes = new Uint8Array(await res.arrayBuffer().catch(lostFetch));
  if (bytes.length > maxLogFile) throw new Failure('verify', 'api: log: a file that is too long');
  return bytes;
}

/** From the browser's own copy, where it has one: that is what runs. */
async function pageFile(url: string): Promise<Bytes | null> {
  const res = await fetch(url, { credentials: 'omit' }).catch(lostFetch);
  if (res.status === 404) return null;
  if (!res.ok) throw new Failure(statusKind(res.status), `api: page: status ${res.status}`);
  return new Uint8Array(await res.arrayBuffer().catch(lostFetch));
}

export function footageParams(q: FootageQuery): URLSearchParams {
  const p = new URLSearchParams();
  if (q.from !== undefined) p.set('from', q.from.toFixed(3));
  if (q.epoch !== undefined) p.set('epoch', q.epoch);
  if (q.seq !== undefined) p.set('seq', String(q.seq));
  if (q.to !== undefined) p.set('to', q.to.toFixed(3));
  if (q.max !== undefined) p.set('max', String(q.max));
  if (q.rap === true) p.set('rap', '1');
  return p;
}

export function footageFetch(url: string, signal: AbortSignal): Promise<Response> {
  return fetch(url, { credentials: 'same-origin', cache: 'no-store', signal }).catch(lostFetch);
}

export function lostFetch(cause: unknown): never {
  throw new Failure('network', 'api: the connection was lost', { cause });
}

export function statusKind(status: number): AppErrorKind {
  if (status === 404) return 'not-found';
  if (status === 401 || status === 403) return 'refused';
  return status >= 500 || status === 429 ? 'network' : 'internal';
}

export function parseNext(header: string | null): FootageReply['next'] {
  const m = /^([0-9a-f]{32}):([0-9]+)$/.exec(header ?? '');
  return m?.[1] === undefined ? null : { epoch: m[1], seq: Number(m[2]) };
}
