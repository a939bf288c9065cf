/**
 * The server as the desk sees it: calls in a shift. A shift is begun by the
 * staff key, its token stays in this worker's memory, and no cookie goes along.
 */
import { Code, ConnectError, createClient, type Client, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { DeskService, StaffService } from '../api/latchkey/v1/desk_pb';
import { type FootageQuery, type FootageReply, footageParams, logFile, lostFetch, parseNext, statusKind } from '../crypto/api';
import { own } from '../crypto/bytes';
import { Failure } from '../crypto/failure';
import { deskText } from '../crypto/opening';
import { signNote } from '../crypto/note';
import { nowSeconds } from '../crypto/signin';
import type { Agent } from './keep';
import type { Problem } from './messages';

/** What the desk's page is told, as an error. */
export class DeskProblem extends Error {
  constructor(readonly kind: Problem['kind'], readonly words = '', cause?: unknown) {
    super(`desk: ${kind}`, { cause });
    this.name = 'DeskProblem';
  }
}

const codes: Partial<Record<Code, Problem['kind']>> = {
  [Code.Unauthenticated]: 'staff', [Code.PermissionDenied]: 'refused', [Code.NotFound]: 'gone', [Code.Aborted]: 'gone', [Code.AlreadyExists]: 'taken',
  [Code.Unavailable]: 'away', [Code.DeadlineExceeded]: 'away', [Code.Canceled]: 'away', [Code.Unknown]: 'away', [Code.ResourceExhausted]: 'away',
};

/** What the server said, without what it says for its own log. */
const said = (message: string): string => message.replace(/^.*?: not allowed: /, '').replace(/^(cloud|member|policy): ([a-z -]+: )*/, '');

export function problemOf(err: unknown): DeskProblem {
  if (err instanceof DeskProblem) return err;
  if (err instanceof ConnectError) {
    const clock = err.metadata.get('Latchkey-Reason') === 'clock';
    return new DeskProblem(clock ? 'clock' : (codes[err.code] ?? 'internal'), said(err.rawMessage), err);
  }
  if (!(err instanceof Failure)) return new DeskProblem('internal', '', err);
  const kinds: Partial<Record<Failure['kind'], Problem['kind']>> = { verify: 'check', network: 'away', 'not-found': 'gone', refused: 'refused' };
  return new DeskProblem(kinds[err.kind] ?? 'internal', err.kind === 'verify' ? err.message : '', err);
}

export interface DeskApi {
  readonly desk: Client<typeof DeskService>;
  readonly staff: Client<typeof StaffService>;
  policy(): Promise<string>;
  /** GET /v1/desk/{ticket}/{grant}/{track} */
  parts(ticket: number, grant: string): (track: string, query: FootageQuery, signal: AbortSignal) => Promise<FootageReply>;
  /** GET /v1/desk/{ticket}/{grant}/hold: lasts as long as the grant does. */
  hold(ticket: number, grant: string, signal: AbortSignal): Promise<ReadableStreamDefaultReader<Uint8Array>>;
  /** Forgets the shift. */
  forget(): void;
}

const bare: typeof fetch = (input, init) => fetch(input, { ...init, credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' });
/** Calls that anybody may make. */
const open = new Set(['BeginShift', 'StartShift', 'Apply', 'ListStaff', 'ListApplicants', 'PublishStaff']);

export function deskApi(origin: string, who: () => Promise<Agent>): DeskApi {
  let token: Promise<string> | null = null;
  const shift = (stale: string | null = null): Promise<string> => {
    const now = token;
    if (now !== null && stale === null) return now;
    return (token = begin().catch((err: unknown) => {
      token = null;
      throw err;
    }));
  };
  const bearer: Interceptor = (next) => async (req) => {
    if (open.has(req.method.name)) return next(req);
    const mine = await shift();
    req.header.set('Authorization', `Bearer ${mine}`);
    try {
      return await next(req);
    } catch (err) {
      if (ConnectError.from(err).code !== Code.Unauthenticated) throw err;
      req.header.set('Authorization', `Bearer ${await shift(mine)}`);
      return next(req);
    }
  };
  const transport = createConnectTransport({ baseUrl: origin, useBinaryFormat: true, fetch: bare, interceptors: [bearer], defaultTimeoutMs: 40_000 });
  const [desk, staff] = [createClient(DeskService, transport), createClient(StaffService, transport)];

  async function begin(): Promise<string> {
    const agent = await who();
    const { nonce } = await desk.beginShift({ kid: agent.kid });
    if (nonce.length !== 16) throw new DeskProblem('server');
    // The origin of this page, never what a reply says: signed here, it is worth nothing elsewhere.
    const text = deskText({ by: agent.kid, server: origin, nonce: own(nonce), time: nowSeconds() });
    return (await desk.startShift({ note: await signNote(text, agent.sign) })).token;
  }

  async function get(url: string, signal: AbortSignal): Promise<Response> {
    const ask = async (bearerToken: string): Promise<Response> => bare(url, { signal, headers: { Authorization: `Bearer ${bearerToken}` } }).catch(lostFetch);
    const mine = await shift();
    let res = await ask(mine);
    if (res.status === 401) res = await ask(await shift(mine));
    if (!res.ok) throw new Failure(statusKind(res.status), `desk: footage: status ${res.status}`);
    return res;
  }

  return {
    desk, staff,
    policy: async () => new TextDecoder('utf-8', { fatal: true }).decode(await logFile(`${origin}/log/policy`)),
    parts: (ticket, grant) => async (track, query, signal) => {
      const res = await get(`${origin}/v1/desk/${ticket}/${grant}/${track}?${footageParams(query)}`, signal);
      return { bytes: new Uint8Array(await res.arrayBuffer().catch(lostFetch)), next: parseNext(res.headers.get('Latchkey-Next')) };
    },
    hold: async (ticket, grant, signal) => {
      const { body } = await get(`${origin}/v1/desk/${ticket}/${grant}/hold`, signal);
      if (body === null) throw new Failure('network', 'desk: an answer without a body');
      return body.getReader();
    },
    forget: () => { token = null; },
  };
}
