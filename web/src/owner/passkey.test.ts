/** What leaves the page with a passkey: never the secret it derives, whatever the browser puts where. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { touch } from './passkey';
import { passkeySupport } from './passkey-support';

const secret = Uint8Array.from({ length: 32 }, (_, i) => 0xa0 + i);
const url = (b: Uint8Array): string => Buffer.from(b).toString('base64url');
const spellings = (b: Uint8Array): string[] => [
  Buffer.from(b).toString('hex'), Buffer.from(b).toString('base64').replace(/=+$/, ''), url(b), [...b].join(','), Buffer.from(b).toString('latin1'),
];

interface Results {
  prf?: { enabled?: boolean; results?: { first: ArrayBuffer } };
}

/** A credential as browsers make them: its JSON has the results of the extensions in it. */
class FakeCredential {
  readonly rawId = new Uint8Array([1, 2, 3, 250]).buffer;
  readonly results: Results;
  readonly response: object;
  constructor(results: Results, response: object) {
    this.results = results;
    this.response = response;
  }
  getClientExtensionResults(): Results {
    // A new object each time, over the same bytes.
    const { prf } = this.results;
    return prf === undefined ? {} : { prf: { ...prf, ...(prf.results === undefined ? {} : { results: { ...prf.results } }) } };
  }
  toJSON(): never {
    throw new Error('a credential must not serialise itself');
  }
  static getClientCapabilities: () => Promise<Record<string, boolean>>;
  static signalUnknownCredential = vi.fn((_: object) => Promise.resolve());
}

const buffer = (text: string): ArrayBuffer => new TextEncoder().encode(text).buffer;
const registration = { clientDataJSON: buffer('client'), attestationObject: buffer('attested'), getTransports: () => ['internal'] };
const assertion = { clientDataJSON: buffer('client'), authenticatorData: buffer('data'), signature: buffer('signed'), userHandle: buffer('handle') };
const prf = (): { enabled: boolean; results: { first: ArrayBuffer } } => ({ enabled: true, results: { first: secret.slice().buffer } });

const creating = JSON.stringify({
  challenge: url(new Uint8Array([9, 9])), rp: { id: 'cam.example', name: 'Latchkey' }, user: { id: url(new Uint8Array(32)), name: 'server’s', displayName: 'server’s' },
  pubKeyCredParams: [{ type: 'public-key', alg: -8 }], excludeCredentials: [{ type: 'public-key', id: url(new Uint8Array([4])) }],
  extensions: { prf: { eval: { first: 'another input' } }, largeBlob: { support: 'required' } }, attestation: 'direct', authenticatorSelection: { userVerification: 'discouraged' },
});
const asking = JSON.stringify({ challenge: url(new Uint8Array([8])), rpId: 'cam.example', userVerification: 'discouraged', extensions: { prf: { eval: { first: 'another input' } } } });

let create: ReturnType<typeof vi.fn>;
let get: ReturnType<typeof vi.fn>;

beforeEach(() => {
  create = vi.fn();
  get = vi.fn();
  vi.stubGlobal('navigator', { credentials: { create, get } });
  vi.stubGlobal('PublicKeyCredential', FakeCredential);
  vi.stubGlobal('location', { hostname: 'cam.example' });
  vi.stubGlobal('isSecureContext', true);
  FakeCredential.getClientCapabilities = () => Promise.resolve({ 'extension:prf': true });
  FakeCredential.signalUnknownCredential.mockClear();
});
afterEach(() => vi.unstubAllGlobals());

function expectNothingOf(json: string): void {
  for (const spelling of spellings(secret)) expect(json).not.toContain(spelling);
  expect(JSON.parse(json)).toMatchObject({ type: 'public-key', clientExtensionResults: {} });
  expect(Object.keys((JSON.parse(json) as { clientExtensionResults: object }).clientExtensionResults)).toEqual([]);
}

const ask = { kind: 'create', options: creating, name: 'Ann', displayName: 'Ann, Elm Street 4' } as const;

describe('registering', () => {
  it('hands the secret over beside what is sent, and wipes the browser’s copy', async () => {
    const made = new FakeCredential({ prf: prf() }, registration);
    create.mockResolvedValue(made);
    const answer = await touch(ask);
    if (!answer.ok) throw new Error(answer.error.what);
    expect(answer.value.prf).toEqual(secret);
    expect([...answer.value.credential]).toEqual([1, 2, 3, 250]);
    expectNothingOf(answer.value.json);
    expect(new Uint8Array(made.results.prf?.results?.first ?? new ArrayBuffer(1))).toEqual(new Uint8Array(32));
    expect(get).not.toHaveBeenCalled();
  });

  it('asks a second time, for itself, when the first touch derives nothing', async () => {
    create.mockResolvedValue(new FakeCredential({ prf: { enabled: true } }, registration));
    get.mockResolvedValue(new FakeCredential({ prf: { results: { first: secret.slice().buffer } } }, assertion));
    const answer = await touch(ask);
    if (!answer.ok) throw new Error(answer.error.what);
    expect(answer.value.prf).toEqual(secret);
    expectNothingOf(answer.value.json);
    expect(JSON.parse(answer.value.json)).toMatchObject({ response: { attestationObject: url(new TextEncoder().encode('attested')), transports: ['internal'] } });
    const { publicKey } = get.mock.calls[0]?.[0] as { publicKey: PublicKeyCredentialRequestOptions };
    expect(publicKey.allowCredentials?.map((c) => [...new Uint8Array(c.id as ArrayBuffer)])).toEqual([[1, 2, 3, 250]]);
    expect([...(publicKey.challenge as Uint8Array)]).not.toEqual([9, 9]);
  });

  it('says so, and has it forgotten, when a passkey derives no secret', async () => {
    create.mockResolvedValue(new FakeCredential({}, registration));
    expect(await touch(ask)).toMatchObject({ ok: false, error: { kind: 'unsupported' } });
    expect(FakeCredential.signalUnknownCredential).toHaveBeenCalledWith({ rpId: 'cam.example', credentialId: url(new Uint8Array([1, 2, 3, 250])) });
  });

  it('takes challenge, site, handle and known credentials from the server, and nothing else', async () => {
    create.mockResolvedValue(new FakeCredential({ prf: prf() }, registration));
    await touch(ask);
    const { publicKey } = create.mock.calls[0]?.[0] as { publicKey: PublicKeyCredentialCreationOptions };
    expect([...(publicKey.challenge as Uint8Array)]).toEqual([9, 9]);
    expect(publicKey).toMatchObject({
      user: { name: 'Ann', displayName: 'Ann, Elm Street 4' }, attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
    });
    expect(Object.keys(publicKey.extensions ?? {})).toEqual(['prf']);
    expect(new TextDecoder().decode(publicKey.extensions?.prf?.eval?.first as Uint8Array)).toBe('latchkey/v1 vault');
  });

  it('refuses what is no request', async () => {
    for (const options of ['', '{}', '[]', '{"challenge":1}']) expect(await touch({ ...ask, options })).toMatchObject({ ok: false, error: { kind: 'verify' } });
    expect(create).not.toHaveBeenCalled();
  });
});

describe('a touch', () => {
  it('opens the vault with one, and sends nothing of it', async () => {
    get.mockResolvedValue(new FakeCredential({ prf: { results: { first: secret.slice().buffer } } }, assertion));
    const answer = await touch({ kind: 'get', options: asking, prf: true });
    if (!answer.ok) throw new Error(answer.error.what);
    expect(answer.value.prf).toEqual(secret);
    expectNothingOf(answer.value.json);
    expect(JSON.parse(answer.value.json)).toMatchObject({ response: { userHandle: url(new TextEncoder().encode('handle')) } });
  });

  it('derives nothing where only a yes is wanted', async () => {
    get.mockResolvedValue(new FakeCredential({}, assertion));
    expect(await touch({ kind: 'get', options: asking, prf: false })).toMatchObject({ ok: true, value: { prf: null } });
    const { publicKey } = get.mock.calls[0]?.[0] as { publicKey: PublicKeyCredentialRequestOptions };
    expect(publicKey).toMatchObject({ userVerification: 'required' });
    expect(publicKey.extensions).toBeUndefined();
  });

  it('has words for a person who says no', async () => {
    get.mockRejectedValue(new DOMException('', 'NotAllowedError'));
    expect(await touch({ kind: 'get', options: asking, prf: true })).toMatchObject({ ok: false, error: { what: 'No passkey was used.' } });
    get.mockResolvedValue(null);
    expect(await touch({ kind: 'get', options: asking, prf: true })).toMatchObject({ ok: false });
  });
});

describe('whether passkeys work here', () => {
  it('is said by the browser, and never yes for an address of numbers', async () => {
    expect(await passkeySupport()).toBe('yes');
    FakeCredential.getClientCapabilities = () => Promise.resolve({ 'extension:prf': false });
    expect(await passkeySupport()).toBe('no-prf');
    FakeCredential.getClientCapabilities = () => Promise.reject(new Error('older'));
    expect(await passkeySupport()).toBe('yes');
    for (const hostname of ['127.0.0.1', '[::1]']) {
      vi.stubGlobal('location', { hostname });
      expect(await passkeySupport()).toBe('no');
    }
    vi.stubGlobal('location', { hostname: 'localhost' });
    expect(await passkeySupport()).toBe('yes');
    vi.stubGlobal('isSecureContext', false);
    expect(await passkeySupport()).toBe('no');
  });
});
