/** The server as somebody with a link sees it: no session, no cookie, three kinds of request. */
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { LinkService } from '../api/latchkey/v1/link_pb';
import { type FootageQuery, type FootageReply, footageParams, logFile, lostFetch, parseNext, statusKind, toFailure } from './api';
import { type Bytes, hex } from './bytes';
import { Failure } from './failure';
import type { LinkSource } from './linkopen';
import { nowSeconds } from './signin';

const bare: typeof fetch = (input, init) => fetch(input, { ...init, credentials: 'omit', cache: 'no-store', referrerPolicy: 'no-referrer' });

/** What a link is opened from; `kid` is the link's. */
export function linkSource(origin: string, kid: Bytes): LinkSource {
  const links = createClient(LinkService, createConnectTransport({ baseUrl: origin, useBinaryFormat: true, fetch: bare, defaultTimeoutMs: 40_000 }));
  const parts = async (track: string, query: FootageQuery, signal: AbortSignal): Promise<FootageReply> => {
    const res = await bare(`${origin}/v1/links/${hex(kid)}/${track}?${footageParams(query)}`, { signal }).catch(lostFetch);
    if (!res.ok) throw new Failure(statusKind(res.status), `link: footage: status ${res.status}`);
    const bytes = new Uint8Array(await res.arrayBuffer().catch(lostFetch));
    return { bytes, next: parseNext(res.headers.get('Latchkey-Next')) };
  };
  return {
    open: (key) => links.openLink({ kid: key }).catch((err: unknown) => Promise.reject(toFailure(err))),
    policy: () => logFile(`${origin}/log/policy`),
    parts,
    now: nowSeconds,
  };
}
