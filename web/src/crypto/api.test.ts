/** What a page hears of a server that refuses, is gone, or has forgotten the session. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { connectApi } from './api';
import { Failure } from './failure';

const answer = (status: number, code: string): Response =>
  new Response(JSON.stringify({ code, message: code }), { status, headers: { 'Content-Type': 'application/json' } });

async function failureOf(call: Promise<unknown>): Promise<string> {
  const thrown: unknown = await call.then(() => null, (err: unknown) => err);
  return thrown instanceof Failure ? thrown.kind : `no Failure: ${String(thrown)}`;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe('the failures of a call', () => {
  it.each([
    [401, 'unauthenticated', 'refused'],
    [403, 'permission_denied', 'refused'],
    [404, 'not_found', 'not-found'],
    [409, 'aborted', 'conflict'],
    [503, 'unavailable', 'network'],
  ])('%i is a Failure of its kind', async (status, code, kind) => {
    vi.stubGlobal('fetch', () => Promise.resolve(answer(status, code)));
    const api = connectApi('http://127.0.0.1');
    expect(await failureOf(api.account.login({ note: new Uint8Array(), cookie: true }))).toBe(kind);
  });

  it('says network when nobody answers', async () => {
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('Failed to fetch')));
    expect(await failureOf(connectApi('http://127.0.0.1').hub.listHubs({}))).toBe('network');
  });

  it('signs in once when the session is gone, and tells why that failed', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(answer(401, 'unauthenticated')));
    const api = connectApi('http://127.0.0.1');
    const signIn = vi.fn(() => Promise.reject(new Failure('wrong-code', 'test')));
    api.signIn = signIn;
    expect(await failureOf(api.hub.listHubs({}))).toBe('wrong-code');
    expect(signIn).toHaveBeenCalledTimes(1);
  });
});
