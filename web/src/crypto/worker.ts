/**
 * The worker that owns the keys. Pages talk to it through owner/home.ts; it
 * answers results, never throws across, and hands out pictures and words only.
 * What few visits need (joining, inviting, new keys) is loaded when it is.
 */
import type { EndReason, HomeChange, Session } from '../owner/types';
import { connectApi } from './api';
import { AskingPage } from './asking';
import { contactHandlers } from './contactops';
import { Code, parseCode } from './code';
import { Failure, isKind } from './failure';
import type { Founding } from './founding';
import { Household } from './household';
import type { InviteTalk } from './invite';
import type { Joiner } from './join';
import type { Place } from './account';
import { Member } from './member';
import type { Calls, FromWorker, Handlers, Hearing, Op, ToWorker } from './messages';
import { browserStore, type Store } from './store';
import { toAppError, worded } from './words';

const scope = self as unknown as DedicatedWorkerGlobalScope;
const api = connectApi(scope.location.origin);
const page = new AskingPage((id, ask) => {
  post({ kind: 'ask', id, ask });
});

interface Running {
  readonly controller: AbortController;
  readonly confirm: () => void;
}
const running = new Map<number, Running>();

/** What this worker is about. Nothing has been sent of what `founding` and `newCode` hold. */
const state: {
  household: Household | null;
  member: Member | null;
  founding: Founding | null;
  joiner: Joiner | null;
  joining: boolean;
  newCode: { readonly code: Code; readonly keys: boolean } | null;
  store: Promise<Store> | null;
  resuming: Promise<Session | null> | null;
} = { household: null, member: null, founding: null, joiner: null, joining: false, newCode: null, store: null, resuming: null };

function post(m: FromWorker, transfer: Transferable[] = []): void {
  scope.postMessage(m, transfer);
}

function changed(what: HomeChange): void {
  post({ kind: 'change', what });
}

function store(): Promise<Store> {
  state.store ??= browserStore();
  return state.store;
}

async function place(): Promise<Place> {
  return { api, store: await store(), page };
}

function signedIn(): Household {
  if (state.household === null) throw worded('refused', { what: 'Nobody is signed in on this browser.', next: 'Sign in again.' });
  return state.household;
}

function member(): Member {
  signedIn();
  if (state.member === null) throw new Failure('internal', 'worker: a household without a member');
  return state.member;
}

async function enter(entered: Member): Promise<Session> {
  state.household?.close();
  state.member = entered;
  entered.onEnd = (why, forget) => void end(entered, why, forget);
  state.household = new Household(entered, changed);
  await state.household.ready();
  changed('session');
  return state.household.session;
}

/** The server lets this browser in no more: nothing runs on. Keys that stay are tried again by the next page. */
async function end(ended: Member, why: EndReason, forget: boolean): Promise<void> {
  if (state.member !== ended) return;
  state.household?.close();
  state.household = null;
  state.member = null;
  await (forget ? ended.forget(why) : ended.place.store.markEnded(why));
  changed('session');
}

function session(): Promise<Session | null> {
  if (state.household !== null) return Promise.resolve(state.household.session);
  if (state.joining) return Promise.resolve(null);
  state.resuming ??= resume().finally(() => (state.resuming = null));
  return state.resuming;
}

async function resume(): Promise<Session | null> {
  const here = await place();
  const next = (await here.store.load())?.next ?? null;
  if (next !== null) {
    const { settleKeys } = await import('./rotate');
    await settleKeys(here).catch(passOver);
  }
  const account = await Member.resume(here);
  if (account === null) {
    const joined = await resumeJoin(here);
    return joined === null ? null : enter(joined);
  }
  if ((await here.store.endReason()) === null) return enter(account);
  try {
    await account.sync();
  } catch (err) {
    // Still shut out, or no line to find out.
    if (isKind(err, 'refused') || isKind(err, 'network')) return null;
    throw err;
  }
  await here.store.markEnded(null);
  return enter(account);
}

/** Without a network nothing is settled yet; a server that refuses settles nothing. */
function passOver(err: unknown): void {
  if (!isKind(err, 'network') && !isKind(err, 'refused')) throw err;
}

async function resumeJoin(here: Place): Promise<Member | null> {
  if ((await here.store.joining()) === null) return null;
  const { Joiner } = await import('./join');
  try {
    return await Joiner.resume(here);
  } catch (err) {
    if (isKind(err, 'network')) return null;
    // What cannot be gone on with must not stand in the way for ever.
    await here.store.keepJoining(null);
    throw err;
  }
}

function typedBack(typed: string, code: Code): void {
  if (parseCode(typed).equals(code)) return;
  throw worded('wrong-code', { what: 'That is not the code that was shown.', next: 'Look at it again and type it once more.' });
}

async function finishFounding(typed: string): Promise<Session> {
  if (state.founding === null) throw new Failure('internal', 'worker: nothing was begun');
  typedBack(typed, state.founding.code);
  const { found } = await import('./founding');
  const entered = await enter(await found(await place(), state.founding));
  state.founding = null;
  return entered;
}

async function finishJoin(typed: string, digits: (d: string) => void, signal: AbortSignal): Promise<Session> {
  if (state.joiner === null) throw new Failure('internal', 'worker: nothing was begun');
  state.joining = true;
  try {
    const entered = await state.joiner.finish(parseCode(typed), digits, signal);
    state.joiner = null;
    return await enter(entered);
  } finally {
    state.joining = false;
  }
}

function beginCode(keys: boolean): Promise<{ code: string }> {
  signedIn();
  state.newCode = { code: Code.fresh(), keys };
  return Promise.resolve({ code: state.newCode.code.reveal() });
}

async function finishCode(typed: string, keys: boolean): Promise<undefined> {
  const begun = state.newCode;
  if (begun?.keys !== keys) throw new Failure('internal', 'worker: nothing was begun');
  typedBack(typed, begun.code);
  const { changeCode, changeKeys } = await import('./rotate');
  if (keys) {
    await enter(await changeKeys(member(), begun.code));
    changed('devices');
  } else {
    await changeCode(member(), begun.code);
    changed('session');
  }
  state.newCode = null;
  return undefined;
}

const silent = (): void => undefined;

/** An operation that answers nothing. */
async function done(work: Promise<unknown>): Promise<undefined> {
  await work;
  return undefined;
}

async function signOut(): Promise<undefined> {
  state.household?.close();
  state.household = null;
  const left = state.member;
  state.member = null;
  if (left === null) await (await store()).forget(null);
  else await left.leave();
  changed('session');
  return undefined;
}

const handlers: Handlers = {
  session: () => session(),
  beginHousehold: async ({ name, person }) => {
    const { beginFounding } = await import('./founding');
    state.founding = await beginFounding((await place()).api, name, person);
    return { code: state.founding.code.reveal() };
  },
  finishHousehold: ({ typed }) => finishFounding(typed),
  recover: async ({ code }) => {
    const { recover } = await import('./enter');
    return enter(await recover(await place(), parseCode(code)));
  },
  signOut: () => signOut(),
  endReason: async () => (state.household === null ? (await store()).endReason() : null),
  cameras: () => signedIn().cameras(),
  hubs: () => signedIn().hubs(),
  inviteHub: async (_args, news, { signal }) => {
    const household = signedIn();
    const code = Code.fresh();
    const { qrCode } = await import('./qr');
    news({ kind: 'code', code: code.reveal(), qr: qrCode(code.revealQr()) });
    return household.inviteHub(code, (step) => { news({ kind: 'step', step }); }, signal);
  },
  removeHub: ({ kid }) => done(signedIn().removeHub(kid)),
  addCamera: (a) => signedIn().addCamera(a),
  changeCamera: ({ id, camera }) => done(signedIn().changeCamera(id, camera)),
  removeCamera: ({ id }) => done(signedIn().removeCamera(id)),
  startEvent: ({ id, seconds }) => done(signedIn().startEvent(id, seconds)),
  timeline: ({ camera, from, to }, _news, { signal }) => signedIn().timeline(camera, from, to, signal),
  preview: ({ camera, at }, _news, { signal }) => signedIn().preview(camera, at, signal),
  download: (a, news, { signal }) => signedIn().download(a, news, signal),
  trust: () => Promise.resolve(signedIn().trust()),

  people: async () => (await signedIn().people()).list(),
  inviteMember: async (person, news, { signal, confirmed }) => {
    const household = signedIn();
    household.wantAdmin();
    const code = Code.fresh();
    const link = `${scope.location.origin}/#join=${code.revealLink()}`;
    const { linkQr } = await import('./qr');
    news({ kind: 'code', link, code: code.reveal(), qr: linkQr(link, code) });
    const talk: InviteTalk = {
      confirmed,
      step: (step) => { news({ kind: 'step', step }); },
      digits: (digits) => { news({ kind: 'digits', digits }); },
    };
    return household.inviteMember(code, person, talk, signal);
  },
  changeMember: async ({ kid, role, rights }) => done((await signedIn().people()).change(kid, { role, rights })),
  renameMember: async ({ kid, name }) => done((await signedIn().people()).rename(kid, name)),
  removeMember: async ({ kid }) => (await signedIn().people()).remove(kid),
  seenNewKeys: async ({ kid }) => done(signedIn().seenNewKeys(kid)),
  beginJoin: async ({ code, person }) => {
    const { Joiner } = await import('./join');
    state.joiner = await Joiner.begin(await place(), parseCode(code), person);
    return { code: state.joiner.reveal() };
  },
  finishJoin: ({ typed }, news, { signal }) => finishJoin(typed, (digits) => { news({ digits }); }, signal),

  signInWithPasskey: async () => {
    const { byPasskey } = await import('./enter');
    return enter(await byPasskey(await place()));
  },
  addPasskey: ({ label }) => done(signedIn().addPasskey(label)),
  passkeys: async () => (await signedIn().devices()).passkeys(),
  removePasskey: async ({ id }) => done((await signedIn().devices()).removePasskey(id)),
  devices: async () => (await signedIn().devices()).list(),
  endDevice: async ({ id }) => done((await signedIn().devices()).end(id)),
  endOtherDevices: async () => (await signedIn().devices()).endOthers(),

  beginNewCode: () => beginCode(false),
  finishNewCode: ({ typed }) => finishCode(typed, false),
  beginNewKeys: () => beginCode(true),
  finishNewKeys: ({ typed }) => finishCode(typed, true),

  logState: async () => (await signedIn().access()).logState(null),
  accessRows: async () => (await signedIn().access()).accessRows(null),
  statementProof: async (a) => (await signedIn().access()).statementProof(a),
  completenessProof: async () => (await signedIn().access()).completenessProof(null),
  verifyAgain: async (a) => (await signedIn().access()).verifyAgain(a),
  accessNews: async () => (await signedIn().access()).accessNews(null),
  checkPage: async () => (await signedIn().access()).checkPage(null),
  seenAccess: async (a) => (await signedIn().access()).seenAccess(a),

  share: async (ask, news) => (await signedIn().shares()).share(ask, news),
  shared: async () => (await signedIn().shares()).list(),
  endShare: async ({ id }) => done((await signedIn().shares()).end(id)),
  tickets: async () => (await signedIn().help()).tickets(null, silent),
  openTicket: async (a) => (await signedIn().help()).openTicket(a, silent),
  ticket: async (a) => (await signedIn().help()).ticket(a, silent),
  replyTicket: async (a) => (await signedIn().help()).replyTicket(a, silent),
  ticketHealth: async (a) => (await signedIn().help()).ticketHealth(a, silent),
  passTicketOn: async (a) => (await signedIn().help()).passTicketOn(a, silent),
  closeTicket: async (a) => (await signedIn().help()).closeTicket(a, silent),
  letSee: async (a, news) => (await signedIn().help()).letSee(a, news),
  stopSee: async (a) => (await signedIn().help()).stopSee(a, silent),
  // Every page asks: most homes load nothing for it.
  ticketNews: async () => ((await (await store()).load())?.ticketsRead === undefined ? [] : (await signedIn().help()).ticketNews(null, silent)),
  seenNow: async () => (signedIn().givenToStaff ? (await signedIn().help()).seenNow(null, silent) : []),
  ...contactHandlers({ origin: scope.location.origin, contacts: async () => signedIn().contacts(), place, enter }),
};


async function run<K extends Op>(id: number, op: K, args: Calls[K]['args']): Promise<void> {
  const controller = new AbortController();
  let confirm = (): void => undefined;
  const hearing: Hearing = { signal: controller.signal, confirmed: new Promise((resolve) => (confirm = resolve)) };
  running.set(id, { controller, confirm: () => { confirm(); } });
  try {
    const value = await handlers[op](args, (news) => { post({ kind: 'news', id, news }); }, hearing);
    const transfer = typeof value === 'object' && value !== null && 'image' in value ? [value.image] : [];
    post({ kind: 'reply', id, result: { ok: true, value } }, transfer);
  } catch (err) {
    post({ kind: 'reply', id, result: { ok: false, error: toAppError(err) } });
  } finally {
    running.delete(id);
  }
}

scope.onmessage = (e: MessageEvent<ToWorker>) => {
  const m = e.data;
  switch (m.kind) {
    case 'page':
      page.browser = m.browser;
      return;
    case 'call':
      void run(m.id, m.op, m.args);
      return;
    case 'cancel':
      running.get(m.id)?.controller.abort();
      return;
    case 'confirm':
      running.get(m.id)?.confirm();
      return;
    case 'answer':
      page.answer(m.id, m.result);
      return;
    case 'player':
      // What the page has sent meanwhile waits in the port.
      void import('../player/feed').then(({ PlayerFeed }) => new PlayerFeed(m.port, () => state.household));
      return;
  }
};
