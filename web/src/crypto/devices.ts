/** A person's own devices and passkeys at the server. */
import type { OwnDevice, PasskeyInfo } from '../owner/types';
import { type Bytes, concat, equal, hex, own, unhex, utf8 } from './bytes';
import { refuse } from './failure';
import { H } from './hash';
import { openLabel, sealLabel } from './letter';
import type { Member } from './member';
import { sealPasskeyWrap } from './vault';
import { worded } from './words';

const how: readonly OwnDevice['how'][] = ['founding', 'recovery', 'passkey', 'joining', 'rekey'];

export class Devices {
  readonly #member: Member;
  readonly #changed: () => void;

  constructor(member: Member, changed: () => void) {
    this.#member = member;
    this.#changed = changed;
  }

  /** Throws Failure 'verify' on a list that is older than what was done from here. */
  async list(): Promise<OwnDevice[]> {
    const { api, place, device } = this.#member;
    const [{ devices }, account] = await Promise.all([api.account.listDevices({}), place.store.load()]);
    const here = devices.filter((d) => d.current);
    if (here.length !== 1 || here[0] === undefined || !equal(own(here[0].id), device.id)) throw refuse('devices: the list does not have this one');
    if (devices.some((d) => account?.ended.some((id) => equal(id, own(d.id))) === true)) throw refuse('devices: the list has one that was ended from here');
    return Promise.all(devices.map(async (d): Promise<OwnDevice> => ({
      id: hex(d.id),
      label: await this.#label(own(d.label)),
      created: Number(d.createdMs),
      lastUse: Number(d.seenMs),
      how: how.find((h) => h === d.enrolledBy) ?? 'recovery',
      current: d.current,
      online: d.online,
    })));
  }

  #label(sealed: Bytes): Promise<string> {
    return openLabel(this.#member.household, this.#member.keys.sealing, sealed);
  }

  async end(id: string): Promise<void> {
    await this.#member.api.account.endDevice({ id: unhex(id) });
    await this.#remember([unhex(id)]);
    this.#changed();
  }

  /** Ends all but this one; answers how many. */
  async endOthers(): Promise<number> {
    const { api, device } = this.#member;
    const before = (await api.account.listDevices({})).devices.map((d) => own(d.id)).filter((id) => !equal(id, device.id));
    const { ended } = await api.account.endOtherDevices({});
    await this.#remember(before);
    this.#changed();
    return ended;
  }

  async #remember(ended: readonly Bytes[]): Promise<void> {
    await this.#member.keep((a) => ({ ...a, ended: [...a.ended, ...ended].slice(-200) }));
  }

  async passkeys(): Promise<PasskeyInfo[]> {
    const { passkeys } = await this.#member.api.passkey.listPasskeys({});
    return Promise.all(passkeys.map(async (p): Promise<PasskeyInfo> => ({
      id: hex(p.credentialId),
      label: await this.#label(own(p.label)),
      created: Number(p.createdMs),
      lastUse: p.usedMs === 0n || p.usedMs === p.createdMs ? null : Number(p.usedMs),
    })));
  }

  /** A new passkey that opens the vault: a touch of one that exists, where there is one, then the new one’s own. */
  async addPasskey(label: string, names: { readonly person: string; readonly household: string }): Promise<void> {
    const { api, place, safe, household, keys } = this.#member;
    const x = keys.sealing[0]?.publicKey;
    if (x === undefined) throw refuse('devices: a vault without a sealing key');
    const allowed = await this.#member.touchFor(H(utf8('wraps')));
    const { ticket, optionsJson } = await api.passkey.beginPasskey({});
    const displayName = names.household === '' ? names.person : `${names.person}, ${names.household}`;
    const made = await place.page.touch({ kind: 'create', options: optionsJson, name: names.person, displayName });
    const prf = made.prf;
    if (prf === null) throw worded('unsupported', { what: 'This passkey cannot open your home’s keys.', next: 'Keep using your recovery code, or try another browser.' });
    try {
      const wrap = await safe.wrap((vk) => sealPasskeyWrap(made.credential, prf, vk));
      await api.passkey.addPasskey({ ticket, credentialJson: made.json, wrap, label: await sealLabel(household, x, label), ...allowed });
    } finally {
      prf.fill(0);
    }
    await safe.refresh();
    this.#changed();
  }

  async removePasskey(id: string): Promise<void> {
    const credentialId = unhex(id);
    const allowed = await this.#member.touchFor(H(concat(utf8('passkey'), credentialId)));
    await this.#member.api.passkey.removePasskey({ credentialId, ...allowed });
    await this.#member.safe.refresh();
    this.#changed();
  }
}
