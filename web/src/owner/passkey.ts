/**
 * Passkeys, as far as only a page can do them: the browser asks for a touch
 * here. What comes back goes to the worker; the secret that a passkey derives
 * (PRF) goes beside it, never inside what is serialised, and nothing of it stays.
 *
 * The server's options are read field by field: it names the challenge and the
 * credentials, not which extensions run.
 */
import type { AppError, Result } from './types';

type Bytes = Uint8Array<ArrayBuffer>;

/** What the worker asks of the page. `options` is the server's JSON. */
export type Ask =
  /** A new passkey. The names are for the authenticator's own list and go nowhere else. */
  | { readonly kind: 'create'; readonly options: string; readonly name: string; readonly displayName: string }
  /** A touch of one that exists; with `prf` also the secret that opens the vault. */
  | { readonly kind: 'get'; readonly options: string; readonly prf: boolean };

export interface Touched {
  readonly credential: Bytes;
  /** For the server: WebAuthn's JSON, without any extension's results. */
  readonly json: string;
  /** 32 bytes, or null when none were asked for. Whoever takes them wipes them. */
  readonly prf: Bytes | null;
}

/** What the vault's secret is derived for (spec/keys, "Vault"). */
const prfInput = 'latchkey/v1 vault';
const prfSize = 32;
const touchMs = 5 * 60_000;

class Refused extends Error {
  constructor(readonly error: AppError) {
    super(error.what);
  }
}

const words = {
  cancelled: {
    kind: 'refused',
    what: 'No passkey was used.',
    safe: 'Nothing was changed.',
    next: 'Try again, and confirm when your device asks.',
  },
  known: {
    kind: 'conflict',
    what: 'This device has a passkey for your home already.',
    safe: 'It keeps working; nothing was changed.',
    next: 'Use that one, or choose another device.',
  },
  noSecret: {
    kind: 'unsupported',
    what: 'This passkey can sign in, but it cannot open your home’s keys.',
    safe: 'It was not added. Your recovery code opens everything, as before.',
    next: 'Try another browser or another place to keep the passkey, or go on with the recovery code.',
  },
  notHere: {
    kind: 'unsupported',
    what: 'This browser cannot use passkeys here.',
    safe: 'Nothing was changed. Your recovery code opens everything.',
    next: 'Use the recovery code, or another browser.',
  },
  strange: {
    kind: 'verify',
    what: 'The server asked for something that is no passkey request.',
    safe: 'Nothing was sent.',
    next: 'Try again. If it stays, ask whoever runs the server.',
  },
} satisfies Record<string, AppError>;

/** Does what the worker asks. Needs a person; answers in words when he does not want to. */
export async function touch(ask: Ask): Promise<Result<Touched>> {
  try {
    return { ok: true, value: ask.kind === 'create' ? await create(ask) : await get(requestOf(ask.options), ask.prf) };
  } catch (thrown) {
    return { ok: false, error: errorOf(thrown) };
  }
}

function errorOf(thrown: unknown): AppError {
  if (thrown instanceof Refused) return thrown.error;
  const name = thrown instanceof DOMException ? thrown.name : '';
  if (name === 'InvalidStateError') return words.known;
  if (name === 'NotSupportedError' || name === 'SecurityError') return words.notHere;
  return words.cancelled;
}

async function create(ask: Extract<Ask, { kind: 'create' }>): Promise<Touched> {
  const options = creationOf(ask);
  const made = await navigator.credentials.create({ publicKey: options });
  if (!(made instanceof PublicKeyCredential)) throw new Refused(words.cancelled);
  const prf = takeSecret(made) ?? (await askForSecret(options, made));
  return { credential: bytesOf(made.rawId), json: registrationJson(made), prf };
}

/** Many authenticators derive nothing while they register: then a second touch, of which nothing is sent. */
async function askForSecret(options: PublicKeyCredentialCreationOptions, made: PublicKeyCredential): Promise<Bytes> {
  const rpId = options.rp.id;
  if (made.getClientExtensionResults().prf?.enabled === true) {
    const { prf } = await get({
      challenge: crypto.getRandomValues(new Uint8Array(32)), allowCredentials: [{ type: 'public-key', id: made.rawId }], ...ofSite(rpId), ...always,
    }, true);
    if (prf !== null) return prf;
  }
  // It is in the authenticator and nobody will ever ask for it: where a browser can, it is told so.
  if (rpId !== undefined) await PublicKeyCredential.signalUnknownCredential?.({ rpId, credentialId: url64(bytesOf(made.rawId)) }).catch(() => undefined);
  throw new Refused(words.noSecret);
}

async function get(options: PublicKeyCredentialRequestOptions, prf: boolean): Promise<Touched> {
  const got = await navigator.credentials.get({ publicKey: prf ? { ...options, ...withSecret() } : options });
  if (!(got instanceof PublicKeyCredential)) throw new Refused(words.cancelled);
  const secret = prf ? takeSecret(got) : null;
  if (prf && secret === null) throw new Refused({ ...words.noSecret, safe: 'Nothing was changed. Your recovery code opens everything, as before.' });
  return { credential: bytesOf(got.rawId), json: assertionJson(got), prf: secret };
}

const always = { userVerification: 'required', timeout: touchMs } as const;

function withSecret(): { extensions: AuthenticationExtensionsClientInputs } {
  return { extensions: { prf: { eval: { first: new TextEncoder().encode(prfInput) } } } };
}

/** Copies the derived secret out, wipes the browser's, and takes it off the results. */
function takeSecret(credential: PublicKeyCredential): Bytes | null {
  const results = credential.getClientExtensionResults();
  const first = results.prf?.results?.first;
  if (first === undefined) return null;
  const held = ArrayBuffer.isView(first) ? new Uint8Array(first.buffer, first.byteOffset, first.byteLength) : new Uint8Array(first);
  const secret = held.slice();
  held.fill(0);
  if (results.prf !== undefined) delete results.prf.results;
  return secret.length === prfSize ? new Uint8Array(secret) : null;
}

/** WebAuthn's RegistrationResponseJSON. Written field by field: no extension's results can be in it. */
function registrationJson(c: PublicKeyCredential): string {
  const r = c.response as AuthenticatorAttestationResponse;
  return responseJson(c, {
    clientDataJSON: url64(bytesOf(r.clientDataJSON)),
    attestationObject: url64(bytesOf(r.attestationObject)),
    transports: r.getTransports(),
  });
}

/** WebAuthn's AuthenticationResponseJSON, likewise. */
function assertionJson(c: PublicKeyCredential): string {
  const r = c.response as AuthenticatorAssertionResponse;
  return responseJson(c, {
    clientDataJSON: url64(bytesOf(r.clientDataJSON)),
    authenticatorData: url64(bytesOf(r.authenticatorData)),
    signature: url64(bytesOf(r.signature)),
    ...(r.userHandle === null ? {} : { userHandle: url64(bytesOf(r.userHandle)) }),
  });
}

function responseJson(c: PublicKeyCredential, response: Readonly<Record<string, string | readonly string[]>>): string {
  const id = url64(bytesOf(c.rawId));
  return JSON.stringify({ id, rawId: id, type: 'public-key', response, clientExtensionResults: {} });
}

function bytesOf(b: ArrayBuffer): Bytes {
  return new Uint8Array(b);
}

function url64(b: Bytes): string {
  return btoa(String.fromCharCode(...b)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

type Doc = Readonly<Record<string, unknown>>;

function creationOf(ask: Extract<Ask, { kind: 'create' }>): PublicKeyCredentialCreationOptions {
  const d = parse(ask.options);
  const rp = doc(d['rp']);
  return {
    challenge: binary(d['challenge']),
    rp: { name: text(rp['name']), ...(rp['id'] === undefined ? {} : { id: text(rp['id']) }) },
    user: { id: binary(doc(d['user'])['id']), name: ask.name, displayName: ask.displayName },
    pubKeyCredParams: list(d['pubKeyCredParams']).map((p) => ({ type: 'public-key', alg: number(doc(p)['alg']) })),
    excludeCredentials: list(d['excludeCredentials'] ?? []).map(descriptor),
    authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
    attestation: 'none',
    timeout: touchMs,
    ...withSecret(),
  };
}

function requestOf(options: string): PublicKeyCredentialRequestOptions {
  const d = parse(options);
  return {
    challenge: binary(d['challenge']),
    ...ofSite(d['rpId'] === undefined ? undefined : text(d['rpId'])),
    allowCredentials: list(d['allowCredentials'] ?? []).map(descriptor),
    ...always,
  };
}

function ofSite(rpId: string | undefined): { rpId?: string } {
  return rpId === undefined ? {} : { rpId };
}

function descriptor(v: unknown): PublicKeyCredentialDescriptor {
  const d = doc(v);
  const transports = list(d['transports'] ?? []).map(text) as AuthenticatorTransport[];
  return { type: 'public-key', id: binary(d['id']), ...(transports.length === 0 ? {} : { transports }) };
}

function parse(options: string): Doc {
  try {
    return doc(JSON.parse(options));
  } catch {
    throw new Refused(words.strange);
  }
}

function doc(v: unknown): Doc {
  if (typeof v !== 'object' || v === null) throw new Refused(words.strange);
  return v as Doc;
}

function list(v: unknown): readonly unknown[] {
  if (!Array.isArray(v)) throw new Refused(words.strange);
  return v;
}

function text(v: unknown): string {
  if (typeof v !== 'string') throw new Refused(words.strange);
  return v;
}

function number(v: unknown): number {
  if (typeof v !== 'number') throw new Refused(words.strange);
  return v;
}

function binary(v: unknown): Bytes {
  try {
    return Uint8Array.from(atob(text(v).replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
  } catch {
    throw new Refused(words.strange);
  }
}
