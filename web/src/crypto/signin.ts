/**
 * Ways into an account that end in a session (a cookie that this code never
 * sees) and, for a browser that is new to the server, in a device of its own.
 * Every note names the origin this page came from, never what a reply says: a
 * signature made here is worth nothing at another server.
 */
import type { Api } from './api';
import { type Bytes, own } from './bytes';
import { random, type Signer } from './cipher';
import type { Code } from './code';
import { loginNote } from './command';
import { Failure, isKind } from './failure';
import { kidOf } from './hash';

/** What the server knows this browser by, and the secret it gave for that. */
export interface Device {
  readonly id: Bytes;
  readonly secret: Bytes;
}

/** How a device introduces itself. A new one has no secret yet; without keys to seal it to, no label either. */
export interface Introduction {
  readonly id: Bytes;
  readonly label: Bytes;
  readonly secret: Bytes;
}

const nothing = new Uint8Array();

/** A device that no server has heard of. */
export function newDevice(label: Bytes = nothing): Introduction {
  return { id: random(16), label, secret: nothing };
}

/** The device after the server has answered its introduction; throws when it was given no secret. */
export function enrolled(device: Introduction, secret: Uint8Array): Device {
  if (secret.length !== 32) throw new Failure('refused', 'sign-in: the server did not take this device');
  return { id: device.id, secret: own(secret).slice() };
}

/** Unix seconds. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Signs in by a member's own key, or by his recovery key while the server does not know his recovery id yet. */
export async function signInByKey(api: Api, a: { household: Bytes; kid: Bytes; signer: Signer; device: Introduction }): Promise<Uint8Array> {
  const { nonce } = await api.account.challenge({ household: a.household, who: { case: 'kid', value: a.kid } });
  return login(api, a.household, own(nonce), a.signer, a.device);
}

/** Enrols this browser by a recovery code. The household is what the server says, and checked against vault and genesis after. */
export async function enrolByCode(api: Api, code: Code): Promise<{ household: Bytes; device: Device }> {
  const c = await api.account.challenge({ who: { case: 'recoveryId', value: code.recoveryId() } });
  const household = own(c.household).slice();
  const device = newDevice();
  try {
    const secret = await login(api, household, own(c.nonce), await code.recoverySigner(), device);
    return { household, device: enrolled(device, secret) };
  } catch (err) {
    // An unknown code gets a challenge too; only the sign-in fails.
    if (isKind(err, 'refused')) throw new Failure('wrong-code', 'sign-in: no account has this code', { cause: err });
    throw err;
  }
}

/** Enrols this browser by a new key, which may do so once; after a crash just then, by the recovery key, which always may. */
export async function enrolReturned(api: Api, a: { household: Bytes; signer: Signer; code: Code }): Promise<Device> {
  const device = newDevice();
  const kid = kidOf(a.signer.publicKey);
  try {
    return enrolled(device, await signInByKey(api, { household: a.household, kid, signer: a.signer, device }));
  } catch (err) {
    if (!isKind(err, 'refused')) throw err;
    return enrolled(device, await signInByKey(api, { household: a.household, kid, signer: await a.code.recoverySigner(), device }));
  }
}

async function login(api: Api, household: Bytes, nonce: Bytes, signer: Signer, device: Introduction): Promise<Uint8Array> {
  const note = await loginNote({ household, server: api.origin, nonce, now: nowSeconds() }, signer);
  const { deviceSecret } = await api.account.login({ note, cookie: true, device });
  return deviceSecret;
}

/** The kid that a signing key goes by. */
export function kidOfSigner(signer: Signer): Bytes {
  return kidOf(signer.publicKey);
}
