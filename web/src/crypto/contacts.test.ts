// @vitest-environment node
/** Trusted contacts from both sides, against a server in memory that may lie. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ClaimState } from '../api/latchkey/v1/contact_pb';
import { type Bytes, equal, hex, own, utf8 } from './bytes';
import { apply, Chain } from './chain';
import { random } from './cipher';
import { Code } from './code';
import { Comeback } from './comeback';
import type { ComebackStore, KeptComeback } from './comebackstore';
import { claimId, parseClaim } from './contactnote';
import { Contacts, contactWait } from './contacts';
import { Failure } from './failure';

import { kidOf } from './hash';
import { fetchChain, type Place } from './account';
import { recover } from './enter';
import { beginFounding, found } from './founding';
import { storeFirst } from './join';
import type { Member } from './member';
import { parseNote, verifyNote } from './note';
import { enrolled, newDevice, nowSeconds, signInByKey } from './signin';
import { provenAll } from './testproof';
import { TestServer } from './testserver';
import { keysOf, type Vault, vaultVersion } from './vault';

const wait = contactWait;

interface HeldClaim {
  id: Bytes;
  member: Bytes;
  notes: Bytes[];
  shares: Map<string, Bytes>;
  state: ClaimState;
  first: number;
  stoppedBy: Bytes;
}

/** The contact service of a server in memory. */
class ContactServer {
  sets = new Map<string, { owner: Bytes; set: Bytes; wrap: Bytes; letters: { kid: Bytes; body: Bytes }[] }>();
  claims: HeldClaim[] = [];
  /** ms; what this server calls seven days */
  wait = wait;
  /** changes what listClaims answers */
  lie: (c: HeldClaim) => HeldClaim = (c) => c;
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
  }

  /** A browser at this server; `who` is whose session it has. */
  browser(who: { kid: Bytes | null }): Place {
    const place = this.#server.browser();
    Object.assign(place.api, { contact: this.#calls(() => who.kid ?? new Uint8Array(16)) });
    return place;
  }

  #info(c: HeldClaim): object {
    return {
      claim: c.id, member: c.member, notes: c.notes, state: c.state, firstMs: BigInt(c.first), untilMs: BigInt(c.first + this.wait), stoppedBy: c.stoppedBy,
      released: [...c.shares.keys()].map((k) => Uint8Array.from(Buffer.from(k, 'hex'))),
    };
  }

  async #claimant(login: Bytes): Promise<HeldClaim> {
    const n = parseNote(login);
    for (const c of this.claims) {
      const [first] = c.notes;
      if (first === undefined) continue;
      const claim = parseClaim(parseNote(first));
      if (await verifyNote(n, claim.ed).then(() => true, () => false)) return c;
    }
    throw new Failure('refused', 'no claim names this key');
  }

  #calls(mine: () => Bytes): Record<string, (r: never) => Promise<object>> {
    const server = this.#server;
    const open = (id: Bytes): HeldClaim => {
      const c = this.claims.find((x) => equal(x.id, id));
      if (c?.state !== ClaimState.OPEN) throw new Failure('refused', 'not open');
      return c;
    };
    return {
      setContacts: (r: { set: Bytes; wrap: Bytes; letters: { kid: Bytes; body: Bytes }[] }) => {
        this.sets.set(hex(mine()), { ...r, owner: mine() });
        for (const c of this.claims) if (equal(c.member, mine()) && c.state === ClaimState.OPEN) c.state = ClaimState.ENDED;
        return Promise.resolve({});
      },
      removeContacts: () => {
        this.sets.delete(hex(mine()));
        return Promise.resolve({});
      },
      getContacts: () => {
        const s = this.sets.get(hex(mine()));
        if (s === undefined) return Promise.reject(new Failure('not-found', 'no set'));
        return Promise.resolve({ set: s.set, contacts: s.letters.map((l) => l.kid), createdMs: 5n, dead: false });
      },
      listEntrusted: () =>
        Promise.resolve({
          entrusted: [...this.sets.values()].flatMap((s) =>
            s.letters.filter((l) => equal(l.kid, mine())).map((l) => ({ owner: s.owner, set: s.set, letter: l.body, createdMs: 5n })),
          ),
        }),
      putClaim: async (r: { note: Bytes }) => {
        const claim = parseClaim(parseNote(r.note));
        const id = claimId(claim);
        const had = this.claims.find((c) => equal(c.id, id));
        if (had !== undefined && had.state !== ClaimState.OPEN) throw new Failure('refused', 'over');
        if (had === undefined) {
          this.claims.unshift({ id, member: claim.member, notes: [r.note], shares: new Map(), state: ClaimState.OPEN, first: Date.now(), stoppedBy: new Uint8Array() });
        } else {
          had.notes.push(r.note);
        }
        return Promise.resolve({ claim: id });
      },
      listClaims: () => Promise.resolve({ claims: this.claims.map((c) => this.#info(this.lie(c))) }),
      stopClaim: (r: { claim: Bytes }) => {
        Object.assign(open(r.claim), { state: ClaimState.STOPPED, stoppedBy: mine() });
        return Promise.resolve({});
      },
      putShare: (r: { claim: Bytes; letter: Bytes }) => {
        const c = open(r.claim);
        if (Date.now() < c.first + this.wait) throw new Failure('refused', 'the wait is not over');
        c.shares.set(hex(mine()), r.letter);
        return Promise.resolve({});
      },
      pollClaim: async (r: { login: Bytes; fromSeq: bigint }) => {
        const c = await this.#claimant(r.login);
        const set = this.sets.get(hex(c.member));
        const ripe = c.state === ClaimState.OPEN && c.shares.size >= 2 && Date.now() >= c.first + this.wait && set !== undefined;
        const held = ripe ? server.member(c.member) : null;
        return {
          claim: this.#info(c), shares: ripe ? [...c.shares.values()] : [], wrap: ripe ? set.wrap : new Uint8Array(), vault: held?.vault ?? new Uint8Array(),
          version: held === null ? 0 : vaultVersion(held.vault), chain: ripe ? server.notes.slice(Number(r.fromSeq), Number(r.fromSeq) + 2) : [],
        };
      },
      finishClaim: async (r: { login: Bytes; note: Bytes; vault: { vault: Bytes; wraps: Bytes[]; recoveryId: Bytes; expectedVersion: number } }) => {
        const c = await this.#claimant(r.login);
        const after = await apply(server.state, parseNote(r.note), nowSeconds());
        const [note] = c.notes;
        if (note === undefined) throw new Error('illegal call');
        const kid = kidOf(parseClaim(parseNote(note)).ed);
        if (!after.members.has(hex(kid))) throw new Error('illegal call: a rekey of other keys');
        server.held.set(hex(kid), { vault: own(r.vault.vault), wraps: [...r.vault.wraps], recoveryId: r.vault.recoveryId, devices: [], passkeys: [] });
        server.newcomers.add(hex(kid));
        server.state = after;
        server.notes.push(own(r.note));
        this.sets.delete(hex(c.member));
        c.state = ClaimState.DONE;
        return { seq: BigInt(after.seq) };
      },
    };
  }
}

class MemoryComebacks implements ComebackStore {
  kept: KeptComeback | null = null;
  load(): Promise<KeptComeback | null> {
    return Promise.resolve(this.kept);
  }
  save(kept: KeptComeback): Promise<void> {
    this.kept = kept;
    return Promise.resolve();
  }
  forget(): Promise<void> {
    this.kept = null;
    return Promise.resolve();
  }
}

interface Someone {
  readonly member: Member;
  readonly contacts: Contacts;
}

let server: TestServer;
let service: ContactServer;
let dora: Someone;
let ann: Someone;
let ben: Someone;
let carl: Someone;
let eve: Someone;

const withContacts = (member: Member): Someone => ({ member: provenAll(member), contacts: new Contacts({ member, nameOf: (kid) => kid.slice(0, 4), changed: () => undefined }) });

/** Lets somebody in by a statement of dora's. */
async function join(): Promise<Someone> {
  const who: { kid: Bytes | null } = { kid: null };
  const place = service.browser(who);
  const code = Code.fresh();
  const draft: Vault = { household: dora.member.household, edSeed: random(32), xSeeds: [random(32)], ktag: null, seq: 0, hash: new Uint8Array(32), names: { me: 'x' }, used: false, policy: null };
  const keys = await keysOf(draft);
  who.kid = keys.kid;
  const x = keys.sealing[0]?.publicKey;
  if (x === undefined) throw new Error('no key');
  const { seq, hash } = await dora.member.append({
    type: 'member', ed: keys.signer.publicKey, x, recovery: (await code.recoverySigner()).publicKey, role: 'member', share: false, tracks: 'all',
  });
  const device = newDevice();
  const secret = await signInByKey(place.api, { household: draft.household, kid: keys.kid, signer: keys.signer, device });
  const chain = await fetchChain(place.api, new Chain());
  return withContacts(await storeFirst(place, { vault: { ...draft, seq, hash }, chain, code, vk: random(32), device: enrolled(device, secret) }));
}

const kid = (s: Someone): Bytes => s.member.keys.kid;
/** Seven days go by. */
const week = (): void => {
  vi.setSystemTime(Date.now() + wait + 1000);
};
const trust = (): Promise<void> => ann.contacts.choose([kid(ben), kid(carl), kid(dora)]);

/** The first contact's whole part; answers the claimant and his claim. */
async function help(by: Someone, store = new MemoryComebacks()): Promise<{ back: Comeback; id: string; store: MemoryComebacks; code: string }> {
  const link = Code.fresh();
  const never = new AbortController().signal;
  const waiting = by.contacts.help(link, kid(ann), never);
  const back = await Comeback.begin(service.browser({ kid: null }), store, link);
  expect(await back.confirm(Code.fresh().reveal())).toBe(false);
  expect(await back.confirm(back.code)).toBe(true);
  await back.meet(never);
  const { digits, confirm } = await waiting;
  expect(digits).toBe(back.digits);
  expect((await back.state()).step).toBe('digits');
  await confirm();
  const [claim] = await by.contacts.claims();
  return { back, id: claim?.id ?? '', store, code: back.code };
}

afterEach(() => {
  vi.useRealTimers();
});

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  server = new TestServer();
  service = new ContactServer(server);
  const who: { kid: Bytes | null } = { kid: null };
  const founding = await beginFounding(server.browser().api, 'The house', 'Dora');
  const place = service.browser(who);
  dora = withContacts(await found(place, founding));
  who.kid = kid(dora);
  [ann, ben, carl, eve] = [await join(), await join(), await join(), await join()];
});

describe('trusted contacts', () => {
  it('bring a member back with what she had', async () => {
    await trust();
    expect(await ann.contacts.mine()).toMatchObject({ broken: '', people: [{ kid: hex(kid(ben)) }, { kid: hex(kid(carl)) }, { kid: hex(kid(dora)) }] });
    expect((await ben.contacts.entrusted()).map((p) => p.kid)).toEqual([hex(kid(ann))]);
    expect(await eve.contacts.entrusted()).toEqual([]);
    await ann.member.rename('cd', 'Garden');

    const { back, id, store, code } = await help(ben);
    expect(await back.state()).toMatchObject({ step: 'second', confirmed: 1 });
    // The tab is closed and opened again.
    const again = await Comeback.resume(service.browser({ kid: null }), store);
    expect(again?.digits).toBe(back.digits);
    if (again === null) throw new Error('forgotten');

    await expect(ben.contacts.release(id)).rejects.toMatchObject({ kind: 'refused' });
    await carl.contacts.confirm(id);
    week();
    await ben.contacts.claims(); // gives what is due
    await expect(again.finish()).rejects.toMatchObject({ kind: 'refused' });
    await carl.contacts.release(id);
    expect(await again.state()).toMatchObject({ step: 'ready', shares: 2 });
    const member = await again.finish();
    expect(hex(member.keys.kid)).not.toBe(hex(kid(ann)));
    expect([member.name('cd'), store.kept]).toEqual(['Garden', null]);
    expect(member.keys.sealing.map((k) => hex(k.publicKey))).toContain(hex(ann.member.keys.sealing[0]?.publicKey ?? new Uint8Array()));
    expect(await eve.contacts.claims()).toMatchObject([{ state: 'done', by: [{}, {}] }]);
    const recovered = await recover(service.browser({ kid: null }), await import('./code').then((m) => m.parseCode(code)));
    expect(hex(recovered.keys.kid)).toBe(hex(member.keys.kid));
  });

  it('do nothing for whom nobody has asked', async () => {
    await trust();
    await expect(eve.contacts.help(Code.fresh(), kid(ann), new AbortController().signal)).rejects.toMatchObject({ kind: 'refused' });
    const { id } = await help(ben);
    await expect(eve.contacts.confirm(id)).rejects.toMatchObject({ kind: 'refused' });
    expect(await eve.contacts.claims()).toMatchObject([{ state: 'open', mine: false, mayStop: false }]);
    expect(await ann.contacts.claims()).toMatchObject([{ me: true, mayStop: true }]);
    expect(await dora.contacts.claims()).toMatchObject([{ me: false, mayStop: true, mine: true }]);
  });

  it('wait by their own record, whatever the server says', async () => {
    await trust();
    const { id } = await help(ben);
    service.wait = 0;
    service.lie = (c) => ({ ...c, first: 1 });
    await expect(ben.contacts.release(id)).rejects.toMatchObject({ kind: 'refused' });
    await ben.contacts.claims();
    expect(service.claims[0]?.shares.size).toBe(0);
  });

  it('give nothing once it was stopped, also when the server forgets that', async () => {
    await trust();
    const { back, id } = await help(ben);
    await carl.contacts.confirm(id);
    week();
    await ann.contacts.stop(id);
    expect(await carl.contacts.claims()).toMatchObject([{ state: 'stopped', stoppedBy: { kid: hex(kid(ann)) } }]);
    service.lie = (c) => ({ ...c, state: ClaimState.OPEN });
    for (const c of service.claims) c.state = ClaimState.OPEN;
    await expect(carl.contacts.release(id)).rejects.toMatchObject({ kind: 'refused' });
    expect(service.claims[0]?.shares.size).toBe(0);
    for (const c of service.claims) c.state = ClaimState.STOPPED;
    expect((await back.state()).step).toBe('stopped');
    await expect(back.finish()).rejects.toMatchObject({ kind: 'refused' });
  });

  it('notice other keys in a claim', async () => {
    await trust();
    const { id } = await help(ben);
    const { id: other } = await help(ben);
    expect(other).not.toBe(id);
    const notes = service.claims.map((c) => c.notes);
    service.lie = (c) => ({ ...c, notes: notes[0] ?? [] });
    await expect(carl.contacts.claims()).rejects.toMatchObject({ kind: 'verify' });
    service.lie = (c) => ({ ...c, notes: [] });
    await expect(carl.contacts.claims()).rejects.toMatchObject({ kind: 'verify' });
    service.lie = (c) => ({ ...c, notes: c.notes.map((n) => utf8(new TextDecoder().decode(n).replace('\ntime 1', '\ntime 2'))) });
    await expect(carl.contacts.claims()).rejects.toMatchObject({ kind: 'verify' });
  });

  it('are not those whom the server makes up', async () => {
    await trust();
    const set = service.sets.get(hex(kid(ann)));
    if (set === undefined) throw new Error('no set');
    service.sets.set(hex(kid(ann)), { ...set, letters: [{ kid: kid(eve), body: random(1300) }, ...set.letters.slice(1)] });
    expect((await ann.contacts.mine())?.broken).not.toBe('');
    await expect(eve.contacts.entrusted()).rejects.toMatchObject({ kind: 'verify' });
    service.sets.delete(hex(kid(ann)));
    expect((await ann.contacts.mine())?.broken).not.toBe('');
    await ann.contacts.remove();
    expect(await ann.contacts.mine()).toBeNull();
  });

  it('do not hand a claimant another chain, wrap or share', async () => {
    await trust();
    const { back, id } = await help(ben);
    await carl.contacts.confirm(id);
    week();
    for (const s of [ben, carl]) await s.contacts.release(id);
    const [claim] = service.claims;
    const set = service.sets.get(hex(kid(ann)));
    if (claim === undefined || set === undefined) throw new Error('no claim');
    const shares = new Map(claim.shares);
    const one = [...shares.values()][0] ?? new Uint8Array();
    for (const k of claim.shares.keys()) claim.shares.set(k, one); // one share twice
    await expect(back.finish()).rejects.toMatchObject({ kind: 'verify' });
    claim.shares = shares;
    service.sets.set(hex(kid(ann)), { ...set, wrap: random(101) });
    await expect(back.finish()).rejects.toMatchObject({ kind: 'verify' });
    service.sets.set(hex(kid(ann)), set);
    const { notes } = server;
    server.notes = notes.slice(0, 1);
    await expect(back.finish()).rejects.toMatchObject({ kind: 'verify' });
    server.notes = notes;
    await back.finish();
  });
});
