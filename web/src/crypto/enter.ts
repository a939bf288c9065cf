/** Ways into an account that exists: by its recovery code, by a passkey, and by the help of trusted contacts. */
import { openAccount, type Opened, type Place } from './account';
import type { Api } from './api';
import { type Bytes, own } from './bytes';
import type { Signer } from './cipher';
import type { Code } from './code';
import { Failure, isKind } from './failure';
import { Member } from './member';
import { attempts } from './safe';
import { enrolByCode, enrolReturned, enrolled, newDevice } from './signin';
import { openVault, openWrap, sealVault, wrapIsFor, wrapKind } from './vault';
import { worded } from './words';

/** Opens an account with its recovery code: sign-in, vault, the whole chain. The code counts as used from then on. */
export async function recover(place: Place, code: Code): Promise<Member> {
  const { household, device } = await enrolByCode(place.api, code);
  const { sealed, wraps, vk } = await vaultOf(place.api, code);
  const opened = await openAccount(place, { household, sealed, wraps, vk, device });
  const member = await Member.remember(place, await used(place.api, opened));
  await member.introduce();
  return member;
}

/**
 * What a right code opens. Where the server has lost, damaged or exchanged it,
 * the recovery key could sign new keys into the chain; it does not, for without
 * a vault nothing tells whose chain the server shows (design 0002).
 */
async function vaultOf(api: Api, code: Code): Promise<{ sealed: Bytes; wraps: readonly Bytes[]; vk: Bytes }> {
  try {
    const reply = await api.account.getVault({});
    const [sealed, wraps] = [own(reply.vault), reply.wraps.map(own)];
    const wrap = wraps.find((w) => wrapKind(w) === 2);
    if (wrap === undefined) throw new Failure('not-found', 'enter: there is no recovery wrap');
    const vk = await openWrap(code.recoverySecret(), wrap);
    await openVault(vk, sealed);
    return { sealed, wraps, vk };
  } catch (err) {
    if (!isKind(err, 'not-found') && !isKind(err, 'verify')) throw err;
    throw worded('verify', {
      what: 'Your code is right, but the server does not have what it opens any more.',
      safe: 'Nothing was changed. A browser of yours that is signed in goes on working.',
      next: 'Ask whoever runs the server for a backup. If there is none, an admin of your home can remove you and invite you again.',
    }, err);
  }
}

/** Opens an account by a passkey: a touch, and what the touch derives opens the vault. */
export async function byPasskey(place: Place): Promise<Member> {
  const { api, page } = place;
  const begun = await api.passkey.beginSignIn({});
  const touch = await page.touch({ kind: 'get', options: begun.optionsJson, prf: true });
  try {
    const device = newDevice();
    const reply = await api.passkey.finishSignIn({ ticket: begun.ticket, assertionJson: touch.json, device, cookie: true });
    const wraps = reply.wraps.map(own);
    const wrap = wraps.find((w) => wrapIsFor(touch.credential, w));
    if (wrap === undefined || touch.prf === null) throw new Failure('not-found', 'enter: nothing here opens with this passkey');
    const vk = await openWrap(touch.prf, wrap);
    const opened = await openAccount(place, { household: own(reply.household), sealed: own(reply.vault), wraps, vk, device: enrolled(device, reply.deviceSecret) });
    const member = await Member.remember(place, opened);
    await member.introduce();
    return member;
  } finally {
    touch.prf?.fill(0);
  }
}

/** Signs in somebody whose new keys, by a claim of trusted contacts, stand in the chain; his vault is at the server. */
export async function returned(place: Place, a: { household: Bytes; signer: Signer; code: Code; vk: Bytes }): Promise<Member> {
  const device = await enrolReturned(place.api, a);
  const reply = await place.api.account.getVault({});
  const opened = await openAccount(place, { household: a.household, sealed: own(reply.vault), wraps: reply.wraps.map(own), vk: a.vk, device });
  const member = await Member.remember(place, opened);
  await member.introduce();
  return member;
}

/** Says in the vault that its code was used, so that every device says so. Only then the account is remembered. */
async function used(api: Api, a: Opened): Promise<Opened> {
  let now = a;
  for (let i = 0; !now.vault.used; i++) {
    const vault = { ...now.vault, used: true };
    const sealed = await sealVault(vault, a.vk, now.version + 1);
    try {
      await api.account.putVault({ vault: sealed, expectedVersion: now.version });
      return { ...now, vault, sealed, version: now.version + 1 };
    } catch (err) {
      if (!isKind(err, 'conflict') || i + 1 >= attempts) throw err;
      const again = own((await api.account.getVault({})).vault);
      now = { ...now, sealed: again, ...(await openVault(a.vk, again)) };
    }
  }
  return now;
}
