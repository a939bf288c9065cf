/** The worker's part of trusted contacts: one operation each, over the rooms that do the work. */
import type { Session } from '../owner/types';
import { unhex } from './bytes';
import { Code, parseCode } from './code';
import type { Comeback } from './comeback';
import { browserComebacks, type ComebackStore } from './comebackstore';
import type { ContactHandlers } from '../owner/contacts/calls';
import type { Contacts } from './contacts';
import { Failure } from './failure';
import type { Place } from './account';
import type { Member } from './member';
import { appError, WordedFailure } from './words';

export interface ContactRooms {
  readonly origin: string;
  /** Throws when nobody is signed in. */
  readonly contacts: () => Promise<Contacts>;
  readonly place: () => Promise<Place>;
  readonly enter: (member: Member) => Promise<Session>;
}

export function contactHandlers(rooms: ContactRooms): ContactHandlers {
  const state: { helping: (() => Promise<void>) | null; comeback: Comeback | null; store: Promise<ComebackStore> | null } = { helping: null, comeback: null, store: null };
  const store = (): Promise<ComebackStore> => (state.store ??= browserComebacks());
  const begun = async (): Promise<Comeback | null> => (state.comeback ??= await (await import('./comeback')).Comeback.resume(await rooms.place(), await store()));
  const wanted = async (): Promise<Comeback> => {
    const comeback = await begun();
    if (comeback === null) throw new Failure('not-found', 'worker: no comeback was begun');
    return comeback;
  };
  const done = async (work: Promise<unknown>): Promise<undefined> => {
    await work;
    return undefined;
  };
  return {
    contacts: async () => (await rooms.contacts()).mine(),
    setContacts: async ({ kids }) => done((await rooms.contacts()).choose(kids.map((kid) => unhex(kid)))),
    removeContacts: async () => done((await rooms.contacts()).remove()),
    entrusted: async () => (await rooms.contacts()).entrusted(),
    help: async ({ member }, news, { signal }) => {
      const contacts = await rooms.contacts();
      const code = Code.fresh();
      const link = `${rooms.origin}/#help=${code.reveal().replaceAll('-', '')}`;
      const { linkQr } = await import('./qr');
      news({ link, code: code.reveal(), qr: linkQr(link, code) });
      state.helping = null;
      const { digits, confirm } = await contacts.help(code, unhex(member), signal);
      state.helping = confirm;
      return { digits };
    },
    confirmHelp: async () => {
      if (state.helping === null) throw new Failure('internal', 'worker: nobody is being helped');
      await state.helping();
      state.helping = null;
      return undefined;
    },
    claims: async () => (await rooms.contacts()).claims(),
    confirmClaim: async ({ id }) => done((await rooms.contacts()).confirm(id)),
    stopClaim: async ({ id }) => done((await rooms.contacts()).stop(id)),
    releaseShare: async ({ id }) => done((await rooms.contacts()).release(id)),
    comeback: async () => (await begun())?.state() ?? null,
    beginComeback: async ({ code }) => {
      const { Comeback } = await import('./comeback');
      state.comeback = await Comeback.begin(await rooms.place(), await store(), parseCode(code));
      return { code: state.comeback.code };
    },
    meetContact: async ({ typed }, _news, { signal }) => {
      const comeback = await wanted();
      if (!(await comeback.confirm(typed))) {
        throw new WordedFailure(appError('wrong-code', { what: 'That is not the code that was shown.', next: 'Look at it again and type it once more.' }));
      }
      await comeback.meet(signal);
      return comeback.state();
    },
    finishComeback: async () => {
      const member = await (await wanted()).finish();
      state.comeback = null;
      return rooms.enter(member);
    },
    abandonComeback: async () => {
      await (await begun())?.forget();
      state.comeback = null;
      return undefined;
    },
  };
}

