/**
 * New codes and new keys (spec/keys, "A new recovery code", "New keys"): the
 * statement and the vault change in one step at the server, so that at every
 * moment exactly one code that its owner has seen opens everything.
 */
import { type Bytes, hex } from './bytes';
import { random, signer, storeOpen, storeSeal } from './cipher';
import type { Code } from './code';
import { Failure, isKind } from './failure';
import { kidOf } from './hash';
import { newSealingKey } from './hpke';
import type { Place } from './account';
import { Member } from './member';
import type { Kept } from './safe';
import { signInByKey } from './signin';
import type { Account } from './store';
import { openVault, sealRecoveryWrap, sealVault, type Vault } from './vault';

/** Puts a code that was typed back in place of the old one. */
export async function changeCode(member: Member, code: Code): Promise<void> {
  const recovery = (await code.recoverySigner()).publicKey;
  let kept: Kept | null = null;
  await member.append({ type: 'rekey', kid: member.keys.kid, ed: null, x: null, recovery }, async () => {
    const { kept: next, ...put } = await member.safe.withCode(code);
    kept = next;
    return put;
  });
  if (kept !== null) await member.safe.took(kept);
}

/**
 * Replaces all keys of this person, for a device that is in wrong hands: a new
 * vault under a new key, opened by the new code alone. Other devices and all
 * passkeys are out. The new account is sealed here before the statement leaves.
 */
export async function changeKeys(member: Member, code: Code): Promise<Member> {
  const { place, guard } = member;
  const [edSeed, x, vk] = [random(32), await newSealingKey(), random(32)];
  const sign = await signer(edSeed);
  const recovery = await code.recoverySigner();
  const body = { type: 'rekey' as const, kid: member.keys.kid, ed: sign.publicKey, x: x.publicKey, recovery: recovery.publicKey };
  await member.append(body, async () => {
    await member.safe.refresh();
    const { seq, hash } = member.chain.head;
    const old = member.safe.vault;
    const vault: Vault = { ...old, edSeed, xSeeds: [x.seed, ...old.xSeeds], seq, hash, used: false };
    const sealed = await sealVault(vault, vk, member.safe.version + 1);
    const next = { vault: sealed, vk: await storeSeal(guard, vk) };
    await member.keep((a) => ({ ...a, next }));
    return { vault: sealed, expectedVersion: member.safe.version, wraps: [await sealRecoveryWrap(code.recoverySecret(), vk)], recoveryId: code.recoveryId() };
  });
  vk.fill(0);
  await member.keep(promoted);
  const again = await Member.resume(place);
  if (again === null) throw new Failure('storage', 'rotate: the new keys are not in the store');
  return again;
}

/** The account with the new keys in place of the old. */
function promoted(a: Account): Account {
  if (a.next === null) return a;
  const version = new DataView(a.next.vault.buffer, a.next.vault.byteOffset).getUint32(4);
  return { ...a, vault: a.next.vault, vk: a.next.vk, vaultVersion: version, passkeys: 0, next: null };
}

/**
 * After a crash in the middle of a change of keys: finds out whether the chain
 * has the new ones, and lets the others go. Without a network nothing is settled.
 */
export async function settleKeys(place: Place): Promise<void> {
  const account = await place.store.load();
  if (account === null || account.next === null) return;
  const { vault } = await openVault(await storeOpen(account.guard, account.next.vk), account.next.vault);
  const fresh = await signer(vault.edSeed);
  const kid = hex(kidOf(fresh.publicKey));
  const old = await Member.resume(place);
  if (old === null) return;
  if (await hasKid(old, kid, () => signInWith(place, account, vault.household, fresh))) await old.keep(promoted);
  else await old.keep((a) => ({ ...a, next: null }));
}

async function hasKid(old: Member, kid: string, enter: () => Promise<unknown>): Promise<boolean> {
  try {
    await old.sync();
  } catch (err) {
    // The old key opens no session any more when the new one has taken its place.
    if (!isKind(err, 'refused')) throw err;
    await enter();
    await old.sync();
  }
  return old.chain.head.members.has(kid);
}

async function signInWith(place: Place, account: Account, household: Bytes, fresh: Awaited<ReturnType<typeof signer>>): Promise<void> {
  const device = { id: account.device.id, label: new Uint8Array(), secret: await storeOpen(account.guard, account.device.secret) };
  await signInByKey(place.api, { household, kid: kidOf(fresh.publicKey), signer: fresh, device });
}
