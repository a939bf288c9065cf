// @vitest-environment node
/** Invitations, joining and people against a server that may lie, and tabs that are closed at any step. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Kid, MemberInviteStep, NewPerson } from '../owner/types';
import { type Bytes, fromUtf8, hex } from './bytes';
import { replay } from './chain';
import { random } from './cipher';
import { recover } from './enter';
import { Code } from './code';
import { EpochBook } from './epochs';
import { Failure } from './failure';
import { beginFounding, found } from './founding';
import { kidOf } from './hash';
import { Invitation, type InviteRooms, type InviteTalk } from './invite';
import { Joiner } from './join';
import type { Place } from './account';
import { Member } from './member';
import { NameBook } from './names';
import { newKeys } from './newkeys';
import { signNote } from './note';
import { People } from './people';
import { changeCode, changeKeys } from './rotate';
import { nowSeconds } from './signin';
import { statementText } from './statement';
import { TestLog } from './testlog';
import { provenAll, provenAt } from './testproof';
import { TestServer, TestStore, testVkey } from './testserver';

const never = new AbortController().signal;
const sam: NewPerson = { name: 'Sam', role: 'viewer', rights: { all: true }, history: 'none' };

interface Admin {
  readonly member: Member;
  readonly rooms: InviteRooms;
  readonly people: People;
  readonly problems: unknown[];
}

function roomsOf(member: Member): Admin {
  const problems: unknown[] = [];
  provenAll(member);
  const epochs = new EpochBook(member, () => undefined);
  const names = new NameBook(member, () => undefined);
  const rooms = { member, epochs, names, tell: (err: unknown) => void problems.push(err), proven: (seq: number, signal: AbortSignal) => provenAt(server, member, seq, signal) };
  return { member, rooms, people: new People(rooms), problems };
}

let server: TestServer;
let here: Place & { readonly store: TestStore };
let ann: Admin;

beforeEach(async () => {
  server = new TestServer();
  server.log = await TestLog.start();
  here = server.browser();
  ann = roomsOf(await found(here, await beginFounding(here.api, 'Elm Street 4', 'Ann')));
});

/** A guest's browser that can be closed and opened again. */
class Guest {
  readonly store = new TestStore();
  digits = '';
  code: Code | null = null;
  place = server.browser('Firefox on Android', this.store);

  reopen(): void {
    this.place = server.browser('Firefox on Android', this.store);
  }

  async begin(code: Code): Promise<Joiner> {
    const joiner = await Joiner.begin(this.place, code, 'Sam');
    const { parseCode } = await import('./code');
    this.code = parseCode(joiner.reveal());
    return joiner;
  }

  async join(code: Code, signal: AbortSignal = never): Promise<Member> {
    const joiner = await this.begin(code);
    if (this.code === null) throw new Error('no code');
    return joiner.finish(this.code, (d) => (this.digits = d), signal);
  }
}

interface Talked extends InviteTalk {
  readonly steps: MemberInviteStep[];
  shown: string;
}

/** An admin who confirms when the digits are those that `same` knows. */
function talk(same: () => string): Talked {
  let yes: () => void = () => undefined;
  const out: Talked = {
    steps: [],
    shown: '',
    confirmed: new Promise((resolve) => (yes = resolve)),
    step: (s) => {
      out.steps.push(s);
      if (s !== 'compare') return;
      void (async () => {
        while (same() === '') await new Promise((resolve) => setTimeout(resolve, 5));
        if (same() === out.shown) yes();
      })();
    },
    digits: (d) => (out.shown = d),
  };
  return out;
}

async function invited(person: NewPerson = sam, guest = new Guest()): Promise<{ guest: Guest; member: Member; kid: Kid; steps: MemberInviteStep[] }> {
  const code = Code.fresh();
  const said = talk(() => guest.digits);
  const [kid, member] = await Promise.all([Invitation.begin(ann.rooms, code, person).run(said, never), guest.join(code)]);
  expect(member.safe.vault.ktag).toEqual(ann.member.safe.vault.ktag);
  return { guest, member, kid, steps: said.steps };
}

describe('new keys of somebody else', () => {
  const told = async (who: Admin, kid: Kid): Promise<unknown> => {
    await who.member.sync();
    const keys = (await who.people.one(kid)).newKeys;
    return keys === null ? null : { byCode: keys.byCode, seen: keys.seen };
  };
  const kidOfMember = (m: Member): Kid => hex(m.keys.kid) as Kid;

  it('are told until they were read, and not to who comes later', async () => {
    const { member } = await invited();
    expect(await told(ann, kidOfMember(member))).toBeNull();
    await changeCode(member, Code.fresh());
    expect(await told(ann, kidOfMember(member))).toBeNull();
    const renewed = await changeKeys(member, Code.fresh());
    expect(await told(ann, kidOfMember(renewed))).toEqual({ byCode: false, seen: false });
    // The same browser, opened again.
    await ann.people.seenNewKeys(kidOfMember(renewed));
    const again = await Member.resume(here);
    expect(await told(roomsOf(again!), kidOfMember(renewed))).toEqual({ byCode: false, seen: true });
    const later = await invited({ ...sam, name: 'Mina' });
    expect(await told(roomsOf(later.member), kidOfMember(renewed))).toEqual({ byCode: false, seen: true });
    await changeKeys(renewed, Code.fresh());
    const last = [...ann.member.chain.head.members.keys()];
    await ann.member.sync();
    const [kid] = [...ann.member.chain.head.members.keys()].filter((k) => !last.includes(k));
    expect(await told(ann, kid as Kid)).toEqual({ byCode: false, seen: false });
  });

  it('are told when the recovery code put any of them in place', async () => {
    const { guest, member } = await invited();
    const code = await guest.code!.recoverySigner();
    const next = await Code.fresh().recoverySigner();
    const { head, notes } = member.chain;
    const text = statementText(
      { household: head.household, seq: head.seq + 1, prev: head.hash, time: head.time, by: kidOf(code.publicKey), salt: random(16) },
      { type: 'rekey', kid: member.keys.kid, ed: null, x: null, recovery: next.publicKey },
    );
    const chain = await replay([...notes, await signNote(text, code)], nowSeconds());
    expect(newKeys(chain).get(kidOfMember(member))).toEqual({ seq: head.seq + 1, time: head.time, byCode: true });
  });
});

describe('an invitation', () => {
  it('lets somebody in after both have seen the same digits', async () => {
    const { guest, member, kid, steps } = await invited();
    expect(guest.digits).toMatch(/^(\d{4} ){5}\d{4}$/);
    expect(steps).toEqual(['waiting', 'found', 'compare', 'signed', 'joined']);
    expect(kid).toBe(hex(member.keys.kid));
    const names = new NameBook(member, () => undefined);
    await names.refresh();
    expect([names.household, names.person(member.chain.head.members.get(kid)!)]).toEqual(['Elm Street 4', 'Sam']);
    expect((await ann.people.list()).map((p) => [p.name, p.role, p.me, p.removable])).toEqual([['Ann', 'admin', true, false], ['Sam', 'viewer', false, true]]);
    expect(guest.store.joined).toBeNull();
    expect(here.store.account?.inviting).toEqual({});
    const again = await Member.resume(server.browser('x', guest.store));
    expect(await again?.sync()).toBe(false);
    expect(server.member(member.keys.kid).devices.map((d) => [d.by, d.label.length > 0])).toEqual([['joining', true]]);
  });

  it('opens for the guest again by his own code', async () => {
    const { guest, member } = await invited();
    const elsewhere = await recover(server.browser(), guest.code!);
    expect(hex(elsewhere.keys.kid)).toBe(hex(member.keys.kid));
    expect(elsewhere.safe.vault.used).toBe(true);
  });

  it('sends no offer before the recovery code was typed back', async () => {
    const guest = new Guest();
    const joiner = await guest.begin(Code.fresh());
    await expect(joiner.finish(Code.fresh(), () => undefined, never)).rejects.toMatchObject({ kind: 'wrong-code' });
    expect(server.heard.filter((h) => h.call === 'putMail')).toEqual([]);
  });

  it('signs nobody in whose digits were not the same', async () => {
    const [guest, code, stop] = [new Guest(), Code.fresh(), new AbortController()];
    const said = talk(() => (guest.digits === '' ? '' : 'other digits'));
    const inviting = Invitation.begin(ann.rooms, code, sam).run(said, stop.signal);
    const joining = guest.join(code, stop.signal);
    await vi.waitFor(() => expect(said.steps).toContain('compare'));
    stop.abort();
    await expect(inviting).rejects.toMatchObject({ kind: 'network' });
    await expect(joining).rejects.toMatchObject({ kind: 'network' });
    expect(ann.member.chain.head.members.size).toBe(1);
    expect([here.store.account?.inviting, guest.store.joined]).toEqual([{}, null]);
  });

  it('takes the first offer made with the code, past up to nine others, and dies of ten', async () => {
    const code = Code.fresh();
    server.offers.set(hex(code.rendezvous()), Array.from({ length: 9 }, () => random(1333)));
    const guest = new Guest();
    const said = talk(() => guest.digits);
    await Promise.all([Invitation.begin(ann.rooms, code, sam).run(said, never), guest.join(code)]);
    const second = Code.fresh();
    server.offers.set(hex(second.rendezvous()), Array.from({ length: 10 }, () => random(1333)));
    await expect(Invitation.begin(ann.rooms, second, sam).run(talk(() => ''), never)).rejects.toThrow('Ten others');
  });

  it('asks for a touch where the admin has a passkey', async () => {
    const devices = new (await import('./devices')).Devices(ann.member, () => undefined);
    await devices.addPasskey('Key', { person: 'Ann', household: 'Elm Street 4' });
    await invited();
    expect(server.touches).toBe(1);
  });
});

describe('a tab that is closed', () => {
  /** Answers that never come: the tab is closed while the call is under way, before or after the server has done it. */
  function closing(call: string, when: 'before' | 'after', times = 1): { closed: Promise<void> } {
    let close: () => void = () => undefined;
    const closed = new Promise<void>((resolve) => (close = resolve));
    let left = times;
    const hang = (c: string): Promise<void> => {
      if (c !== call || left === 0) return Promise.resolve();
      if (--left > 0) return Promise.resolve();
      close();
      return new Promise(() => undefined);
    };
    server[when] = hang;
    return { closed };
  }
  const open = (): void => {
    server.before = () => Promise.resolve();
    server.after = () => Promise.resolve();
  };

  /** The same for one browser's own calls. */
  function closingIn(place: Place, service: 'account' | 'chain', call: string, when: 'before' | 'after'): Promise<void> {
    const methods = place.api[service] as unknown as Record<string, (r: unknown) => Promise<unknown>>;
    const real = methods[call]!;
    return new Promise((close) => {
      methods[call] = async (r) => {
        if (when === 'after') await real(r);
        close();
        return new Promise(() => undefined);
      };
    });
  }

  it.each([
    ['account', 'challenge', 'before'], ['account', 'login', 'before'], ['account', 'login', 'after'], ['account', 'putVault', 'before'],
    ['account', 'putVault', 'after'], ['chain', 'getChain', 'before'],
  ] as const)('in the guest’s browser, %s %s %s: he is in when he opens it again', async (service, call, when) => {
    const [guest, code] = [new Guest(), Code.fresh()];
    const closed = closingIn(guest.place, service, call, when);
    void guest.join(code);
    await Invitation.begin(ann.rooms, code, sam).run(talk(() => guest.digits), never);
    await closed;
    expect(guest.store.account).toBeNull();
    guest.reopen();
    const member = await Joiner.resume(guest.place);
    expect(member?.name('me')).toBe('Sam');
    expect(guest.store.joined).toBeNull();
    expect(await member?.sync()).toBe(false);
    await expect(recover(server.browser(), guest.code!)).resolves.toBeDefined();
  });

  it('in the guest’s browser while he waits: the answer finds him later', async () => {
    const [guest, code] = [new Guest(), Code.fresh()];
    Object.assign(guest.place.api.pairing, { getMail: () => new Promise(() => undefined) });
    void guest.join(code);
    await vi.waitFor(() => expect(guest.digits).not.toBe(''));
    guest.reopen();
    expect(await Joiner.resume(guest.place)).toBeNull();
    await Invitation.begin(ann.rooms, code, sam).run(talk(() => guest.digits), never);
    expect((await Joiner.resume(guest.place))?.name('me')).toBe('Sam');
  });

  it('before anything was sent: the same keys and code are there for the same invitation, others for another', async () => {
    const [guest, code] = [new Guest(), Code.fresh()];
    const first = (await guest.begin(code)).reveal();
    guest.reopen();
    expect(await Joiner.resume(guest.place)).toBeNull();
    expect((await guest.begin(code)).reveal()).toBe(first);
    expect((await guest.begin(Code.fresh())).reveal()).not.toBe(first);
  });

  it('with an invitation that is long over: nothing is left of it', async () => {
    const guest = new Guest();
    await guest.begin(Code.fresh());
    vi.useFakeTimers({ now: Date.now() + 3_600_000, toFake: ['Date'] });
    try {
      expect(await Joiner.resume(guest.place)).toBeNull();
      expect(guest.store.joined).toBeNull();
    } finally {
      vi.useRealTimers();
    }
  });

  it.each([
    ['appendStatement', 'after'], ['putMail', 'before'], ['putMail', 'after'], ['putDirectory', 'before'], ['putDirectory', 'after'],
  ] as const)('in the admin’s browser, %s %s: the guest gets the rest when it is opened again', async (call, when) => {
    const [guest, code] = [new Guest(), Code.fresh()];
    const said = talk(() => guest.digits);
    const joining = guest.join(code);
    await vi.waitFor(() => expect(guest.digits).not.toBe(''));
    const { closed } = closing(call, when);
    void Invitation.begin(ann.rooms, code, sam).run(said, never);
    await closed;
    open();
    const again = roomsOf((await Member.resume(server.browser('x', here.store)))!);
    await Invitation.resume(again.rooms);
    const member = await joining;
    await again.member.sync();
    expect((await again.people.list()).map((p) => p.name)).toEqual(['Ann', 'Sam']);
    expect(here.store.account?.inviting).toEqual({});
    const names = new NameBook(member, () => undefined);
    await names.refresh();
    expect(names.household).toBe('Elm Street 4');
  });

  it('in the admin’s browser before he signed: nobody is in, and nothing is left', async () => {
    const [guest, code, stop] = [new Guest(), Code.fresh(), new AbortController()];
    const joining = guest.join(code, stop.signal);
    joining.catch(() => undefined);
    void Invitation.begin(ann.rooms, code, sam).run(talk(() => ''), never);
    await vi.waitFor(() => expect(Object.keys(here.store.account?.inviting ?? {})).toHaveLength(1));
    const again = roomsOf((await Member.resume(server.browser('x', here.store)))!);
    await Invitation.resume(again.rooms);
    expect(again.member.chain.head.members.size).toBe(1);
    vi.useFakeTimers({ now: Date.now() + 3_600_000, toFake: ['Date'] });
    try {
      await Invitation.resume(again.rooms);
      expect(here.store.account?.inviting).toEqual({});
    } finally {
      vi.useRealTimers();
      stop.abort();
    }
  });
});

describe('C10: a server that swaps keys', () => {
  const swapped = (mail: Bytes, at: number): Bytes => {
    const out = mail.slice();
    out[at] = (out[at] ?? 0) ^ 1;
    return out;
  };

  it.each([['signing key', 10], ['sealing key', 100], ['recovery key', 4 + 1 + 32 + 1216 + 3]])('in the offer (%s): the code takes no notice of it', async (_name, at) => {
    const [guest, code, stop] = [new Guest(), Code.fresh(), new AbortController()];
    guest.join(code, stop.signal).catch(() => undefined);
    const box = hex(code.rendezvous());
    await vi.waitFor(() => expect(server.offers.get(box)).toHaveLength(1));
    server.offers.set(box, server.offers.get(box)!.map((m) => swapped(m, at)));
    const said = talk(() => guest.digits);
    const inviting = Invitation.begin(ann.rooms, code, sam).run(said, stop.signal);
    inviting.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(said.steps).toEqual(['waiting']);
    expect(ann.member.chain.head.members.size).toBe(1);
    stop.abort();
    await expect(inviting).rejects.toThrow();
  });

  it('in the answer (another household, another statement): the guest refuses it', async () => {
    for (const at of [6, 27, 40]) {
      const [guest, code] = [new Guest(), Code.fresh()];
      const said = talk(() => guest.digits);
      const inviting = Invitation.begin(ann.rooms, code, sam).run(said, never);
      const box = hex(code.rendezvous());
      server.before = (call) => {
        const mail = server.answers.get(box);
        if (call === 'getMail' && mail !== undefined) server.answers.set(box, swapped(mail, at));
        return Promise.resolve();
      };
      await expect(guest.join(code)).rejects.toMatchObject({ kind: 'verify' });
      server.before = () => Promise.resolve();
      expect(guest.store.account).toBeNull();
      await inviting;
    }
  });

  it('in the roster: a chain in which somebody else stands for the guest is refused', async () => {
    const evil = new TestServer();
    const eve = roomsOf(await found(evil.browser(), await beginFounding(evil.browser().api, 'Evil', 'Eve')));
    const [mallory, second] = [new Guest(), Code.fresh()];
    mallory.place = evil.browser('x', mallory.store);
    await Promise.all([Invitation.begin(eve.rooms, second, sam).run(talk(() => mallory.digits), never), mallory.join(second)]);
    const honest = (n: bigint): Bytes[] => server.notes.slice(Number(n));
    const chains: ((from: bigint) => Bytes[])[] = [
      (from) => evil.notes.slice(Number(from)),
      (from) => honest(from).slice(0, from === 0n ? 1 : 0),
      (from) => (from === 0n ? [honest(0n)[0]!, evil.notes[1]!] : []),
    ];
    for (const lie of chains) {
      const [guest, code] = [new Guest(), Code.fresh()];
      Object.assign(guest.place.api.chain, { getChain: (r: { fromSeq: bigint }) => Promise.resolve({ notes: lie(r.fromSeq) }) });
      const joining = guest.join(code);
      joining.catch(() => undefined);
      await Invitation.begin(ann.rooms, code, sam).run(talk(() => guest.digits), never);
      await expect(joining).rejects.toMatchObject({ kind: 'verify' });
      expect(guest.store.account).toBeNull();
    }
  });

  it('in the log tag key: another than genesis names is refused', async () => {
    for (const key of [random(32), new Uint8Array(), server.logTagKey.slice(1)]) {
      const [guest, code] = [new Guest(), Code.fresh()];
      Object.assign(guest.place.api.chain, { getLogTagKey: () => Promise.resolve({ key }) });
      const joining = guest.join(code);
      joining.catch(() => undefined);
      await Invitation.begin(ann.rooms, code, sam).run(talk(() => guest.digits), never);
      await expect(joining).rejects.toMatchObject({ kind: 'verify' });
      expect(guest.store.account).toBeNull();
    }
  });

  it('in its public log: another than genesis names is refused, and the vault keeps the one that was pinned', async () => {
    const honest = fromUtf8(server.log?.files.get('policy') ?? new Uint8Array());
    const stranger = `log ${testVkey('test.invalid/log/2026')}\noperator ${testVkey('test.invalid')}\nquorum none\n`;
    for (const lie of [stranger, honest.replaceAll('/log/2026', '/log/2027'), 'quorum none\n', '']) {
      const [guest, code] = [new Guest(), Code.fresh()];
      Object.assign(guest.place.api, { logPolicy: () => Promise.resolve(lie) });
      const joining = guest.join(code);
      joining.catch(() => undefined);
      await Invitation.begin(ann.rooms, code, sam).run(talk(() => guest.digits), never);
      await expect(joining).rejects.toMatchObject({ kind: 'verify' });
      expect(guest.store.account).toBeNull();
    }
    const { member } = await invited();
    expect([ann.member.safe.vault.policy, member.safe.vault.policy]).toEqual([honest, honest]);
  });

  it('in the directory: a letter of its own making is refused', async () => {
    const { member } = await invited();
    const evil = new TestServer();
    const eve = roomsOf(await found(evil.browser(), await beginFounding(evil.browser().api, 'Evil', 'Eve')));
    const names = new NameBook(member, () => undefined);
    const honest = server.letters.get(hex(member.keys.kid))!;
    const { sealLetter } = await import('./letter');
    const { directoryText } = await import('./directory');
    const { signNote } = await import('./note');
    const forge = async (n: number): Promise<Bytes> => {
      const text = directoryText({ household: member.household, by: ann.member.keys.kid, n, time: 1, names: { household: 'Evil', people: new Map(), hubs: new Map() } });
      return sealLetter(member.household, member.keys.sealing[0]!.publicKey, await signNote(text, eve.member.keys.signer));
    };
    for (const lie of [await forge(1), await forge(7), random(1500), server.letters.get(hex(ann.member.keys.kid))!]) {
      server.letters.set(hex(member.keys.kid), lie);
      await expect(names.refresh()).rejects.toMatchObject({ kind: 'verify' });
      expect(names.household).toBe('');
    }
    server.letters.set(hex(member.keys.kid), honest);
    await names.refresh();
    expect(names.household).toBe('Elm Street 4');
  });
});

describe('C24: a server that shows what is over', () => {
  it('is refused with an older directory, or none', async () => {
    const { member, kid } = await invited();
    const names = new NameBook(member, () => undefined);
    await names.refresh();
    const [n, letter] = [server.directory, server.letters.get(kid)!];
    await ann.people.rename(kid, 'Robin');
    await names.refresh();
    expect(names.person(member.chain.head.members.get(kid)!)).toBe('Robin');
    const newest = [server.directory, server.letters.get(kid)!] as const;
    Object.assign(server, { directory: n });
    server.letters.set(kid, letter);
    await expect(names.refresh()).rejects.toThrow('older');
    server.letters.delete(kid);
    await expect(names.refresh()).rejects.toThrow('none any more');
    // What was seen is pinned in the store: a new page refuses it, too.
    Object.assign(server, { directory: n });
    server.letters.set(kid, letter);
    const reloaded = new NameBook((await Member.resume(member.place))!, () => undefined);
    await expect(reloaded.refresh()).rejects.toThrow('older');
    Object.assign(server, { directory: newest[0] });
    server.letters.set(kid, newest[1]);
    await reloaded.refresh();
  });

  it('is refused with a directory of an admin who is none any more, and its names stay as they were', async () => {
    const { member, kid } = await invited({ ...sam, role: 'admin' });
    await member.sync();
    const names = new NameBook(member, () => undefined);
    await names.refresh();
    await ann.people.rename(hex(ann.member.keys.kid) as Kid, 'Anna');
    await new People({ ...ann.rooms, member, names }).change(hex(ann.member.keys.kid) as Kid, { role: 'member', rights: { all: true } });
    const fresh = new NameBook((await Member.resume(server.browser('x', member.place.store as TestStore)))!, () => undefined);
    await fresh.refresh();
    expect(fresh.person(member.chain.head.members.get(hex(ann.member.keys.kid))!)).toBe('Ann');
    expect(fresh.stale()).toBe(true);
    expect(kid).toBe(hex(member.keys.kid));
  });
});

describe('people', () => {
  const camera = { type: 'camera', camera: random(16), tracks: [{ track: random(16), kind: 'video' }, { track: random(16), kind: 'audio' }, { track: random(16), kind: 'meta' }] } as const;

  it('see only what was chosen, with or without sound', async () => {
    await ann.member.append(camera);
    const id = hex(camera.camera) as never;
    const { kid, member } = await invited({ ...sam, role: 'member', rights: { all: false, cameras: [{ camera: id, sound: false }] } });
    expect((await ann.people.one(kid)).rights).toEqual({ all: false, cameras: [{ camera: id, sound: false }] });
    const rights = (m: Member): number => {
      const t = m.chain.head.members.get(kid)?.tracks;
      return t === 'all' || t === undefined ? -1 : t.length;
    };
    expect(rights(ann.member)).toBe(2);
    await ann.people.change(kid, { role: 'viewer', rights: { all: false, cameras: [{ camera: id, sound: true }] } });
    await member.sync();
    expect([rights(member), (await ann.people.one(kid)).role]).toEqual([3, 'viewer']);
    await ann.people.change(kid, { role: 'admin', rights: { all: true } });
    expect((await ann.people.one(kid)).rights).toEqual({ all: true });
  });

  it('keep at least one admin', async () => {
    const me = hex(ann.member.keys.kid) as Kid;
    await expect(ann.people.change(me, { role: 'viewer', rights: { all: true } })).rejects.toThrow('last admin');
    await expect(ann.people.remove(me)).rejects.toThrow('last admin');
  });

  it('are removed, and the server has heard', async () => {
    const { kid, member } = await invited();
    expect(await ann.people.remove(kid)).toEqual({ server: 'done', hubs: [] });
    expect(await ann.people.list()).toHaveLength(1);
    const ended: string[] = [];
    member.onEnd = (why) => ended.push(why);
    await expect(member.sync()).rejects.toMatchObject({ kind: 'refused' });
    expect(ended).toEqual(['removed']);
    expect(server.letters.has(kid)).toBe(false);
  });

  it('are not removed without the server, and it says so', async () => {
    const { kid } = await invited();
    server.before = (call) => (call === 'appendStatement' || call === 'getChain' ? Promise.reject(new Failure('network', 'gone')) : Promise.resolve());
    expect(await ann.people.remove(kid)).toEqual({ server: 'failed', hubs: [] });
  });
});
