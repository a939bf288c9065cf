/** A household before there is one: keys made, nothing sent; then all of it in one call. */
import { Policy } from '../ledger/policy';
import { ownLabel, type Place } from './account';
import type { Api } from './api';
import { type Bytes, equal } from './bytes';
import { replay } from './chain';
import { random } from './cipher';
import { Code } from './code';
import { refuse } from './failure';
import { H } from './hash';
import { newSealingKey } from './hpke';
import { Member } from './member';
import { signNote } from './note';
import { enrolled, newDevice, nowSeconds } from './signin';
import { statementText } from './statement';
import { keysOf, sealRecoveryWrap, sealVault, type Vault } from './vault';

export interface Founding {
  readonly code: Code;
  readonly vault: Vault;
  readonly genesis: Bytes;
}

export async function beginFounding(api: Api, name: string, person: string): Promise<Founding> {
  const log = new Policy(await api.logPolicy());
  const code = Code.fresh();
  const edSeed = random(32);
  const x = await newSealingKey();
  const ktag = random(32);
  const draft: Vault = {
    household: new Uint8Array(16), edSeed, xSeeds: [x.seed], ktag, seq: 0, hash: new Uint8Array(32),
    names: { household: name, me: person }, used: false, policy: log.text,
  };
  const keys = await keysOf(draft);
  const text = statementText(
    { household: null, seq: 0, prev: null, time: nowSeconds(), by: keys.kid, salt: random(16) },
    {
      type: 'genesis', ed: keys.signer.publicKey, x: x.publicKey, recovery: (await code.recoverySigner()).publicKey,
      ktag: H(ktag), operator: log.operator, log: log.origin,
    },
  );
  const hash = H(text);
  return { code, vault: { ...draft, household: hash.slice(0, 16), hash }, genesis: await signNote(text, keys.signer) };
}

/** Finishes founding: genesis, vault and wrap go out in one call, which also signs in. */
export async function found(place: Place, f: Founding): Promise<Member> {
  const vk = random(32);
  const version = 1;
  const vault = await sealVault(f.vault, vk, version);
  const wraps = [await sealRecoveryWrap(f.code.recoverySecret(), vk)];
  const { sealing } = await keysOf(f.vault);
  const device = newDevice(await ownLabel(place, f.vault.household, sealing[0]?.publicKey));
  const reply = await place.api.account.createHousehold({ genesis: f.genesis, vault, wraps, recoveryId: f.code.recoveryId(), cookie: true, device, logTagKey: f.vault.ktag ?? new Uint8Array() });
  if (!equal(reply.household, f.vault.household)) throw refuse('founding: the server founded another household');
  const chain = await replay([f.genesis], nowSeconds());
  return Member.remember(place, { vault: f.vault, sealed: vault, version, wraps, vk, chain, device: enrolled(device, reply.deviceSecret) });
}
