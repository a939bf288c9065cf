/** The worker of the desk: it has an agent's keys and hands out words, reports and pictures. Nothing of footage is kept. */
import type { DeskDecision } from '../api/latchkey/v1/desk_pb';
import { equal, hex, own, unhex } from '../crypto/bytes';
import { StretchHome, NoPicture } from '../crypto/stretchhome';
import { PlayerFeed } from '../player/feed';
import { provenStaff } from '../ledger/staff';
import { Policy } from '../ledger/policy';
import { isKind } from '../crypto/failure';
import { nowSeconds } from '../crypto/signin';
import { readConversation, rowOf, sealReply } from './conversation';
import { deskApi, DeskProblem, problemOf } from './deskapi';
import { joinStaff } from './join';
import { type Agent, forgetAgent, loadAgent } from './keep';
import type { Calls, Decision, DeskEvent, FromDesk, ToDesk, Who } from './messages';
import { grantRows, view, type Viewed } from './view';

const scope = self as unknown as DedicatedWorkerGlobalScope;
const origin = scope.location.origin;
/** No sign of life for so long: the line to what is open has broken. */
const silenceMs = 2500;

let agent: Promise<Agent | null> = loadAgent();
const me = async (): Promise<Agent> => {
  const a = await agent;
  if (a === null) throw new DeskProblem('staff');
  return a;
};
const api = deskApi(origin, me);

/** What is open now. */
interface Showing {
  readonly abort: AbortController;
  viewed: Viewed | null;
  home: StretchHome | null;
}
let showing: Showing | null = null;

const event = (e: DeskEvent): void => { post({ kind: 'event', event: e }); };
function post(m: FromDesk): void {
  scope.postMessage(m);
}

/** Ends what is open: its keys are overwritten, nothing more is fetched. */
function drop(): void {
  showing?.abort.abort();
  showing?.viewed?.close();
  showing = null;
}

async function whoIs(a: Agent): Promise<Who> {
  const { staff } = await api.staff.listStaff({ id: a.id });
  const policy = new Policy(a.policy);
  let holds = false;
  for (const entry of staff) {
    try {
      const s = await provenStaff(own(entry.note), own(entry.proof), policy, nowSeconds());
      holds ||= equal(s.ed, a.sign.publicKey) && equal(s.x, a.sealing.publicKey);
    } catch (err) {
      if (!isKind(err, 'verify')) throw err; // not in the log yet, or another's
    }
  }
  return { id: a.id, role: a.role, kid: hex(a.kid), staff: holds };
}

const calls: Calls = {
  who: async () => {
    const a = await agent;
    return a === null ? null : whoIs(a);
  },
  join: async (fragment, id) => {
    if ((await agent) !== null) throw new DeskProblem('taken');
    const a = await joinStaff(api, origin, fragment, id);
    agent = Promise.resolve(a);
    return { id: a.id, role: a.role, kid: hex(a.kid), staff: false };
  },
  forget: async () => {
    drop();
    await forgetAgent();
    api.forget();
    agent = Promise.resolve(null);
  },
  endShift: async () => {
    drop();
    await api.desk.endShift({});
    api.forget();
  },
  tickets: async () => (await api.desk.listDesk({})).tickets.map(rowOf),
  take: async (ticket) => { await api.desk.takeTicket({ ticket: BigInt(ticket) }); },
  ticket: async (ticket) => {
    const [a, res] = await Promise.all([me(), api.desk.readTicket({ ticket: BigInt(ticket) })]);
    const { letters, leftOut, hubs, cameras } = await readConversation(a, ticket, res);
    const { notes } = await api.desk.listGranted({ ticket: BigInt(ticket) });
    if (res.ticket === undefined) throw new DeskProblem('gone');
    return { row: rowOf(res.ticket), letters, leftOut, hubs, grants: grantRows(notes, a, cameras) };
  },
  reply: async (ticket, words, ask) => {
    const [a, res] = await Promise.all([me(), api.desk.readTicket({ ticket: BigInt(ticket) })]);
    const c = await readConversation(a, ticket, res);
    await api.desk.reply({ ticket: BigInt(ticket), letters: await sealReply(a, ticket, c, words, ask) });
  },
  open: async (ticket, grant, from, until) => {
    drop();
    const mine: Showing = { abort: new AbortController(), viewed: null, home: null };
    showing = mine;
    const { signal } = mine.abort;
    const a = await me();
    try {
      const seen = new Set<string>();
      const viewed = await view(api, a, { ticket, grant, from: Math.floor(from / 1000), until: Math.ceil(until / 1000) }, unhex(grant), (step) => {
        if (!seen.has(step)) event({ kind: 'step', step });
        seen.add(step);
      }, signal);
      mine.viewed = viewed;
      // Before the first picture: what ends the grant ends it here, too.
      void watch(mine, await api.hold(ticket, grant, signal));
      const home = await StretchHome.of(viewed, (end) => { event({ kind: 'whole', until: end }); }, signal);
      signal.throwIfAborted();
      mine.home = home;
      return {
        grant, from: home.from, until: home.until, shows: home.begins, sound: home.sound,
        log: { name: viewed.log, size: viewed.checkpoint.size }, hubs: viewed.hubs, stray: viewed.stray,
      };
    } catch (err) {
      if (showing === mine) drop();
      throw err instanceof NoPicture ? new DeskProblem('empty') : err;
    }
  },
  close: () => Promise.resolve(drop()),
  explain: async (s) => {
    const { allowed, rules, version } = await api.desk.explain(s);
    return { allowed, version, rules: rules.map(({ name, words }) => ({ name, words })) };
  },
  mine: async () => {
    const { decisions, rules, version } = await api.desk.listMine({});
    return { decisions: decisions.map(decisionOf), rules: rules.map(({ name, words }) => ({ name, words })), version };
  },
  audit: async (since) => {
    const res = await api.desk.audit({ sinceMs: BigInt(since) });
    return {
      decisions: res.decisions.map(decisionOf),
      findings: res.findings.map(({ staff, kind, count, limit }) => ({ staff, kind, count, limit })),
      suspended: res.suspended,
    };
  },
};

function decisionOf(d: DeskDecision): Decision {
  return { at: Number(d.atMs), staff: d.staff, role: d.role, action: d.action, ticket: Number(d.ticket), allowed: d.allowed, rules: d.rules };
}

/** Reads the server's signs of life until they end; then nothing of the footage stays here. */
async function watch(mine: Showing, signs: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  let why: 'over' | 'line' = 'over';
  try {
    for (;;) {
      const sign = await within(signs.read());
      if (sign.done) break;
    }
  } catch {
    why = 'line';
    void signs.cancel().catch(() => undefined);
  }
  if (showing !== mine) return;
  drop();
  event({ kind: 'ended', why });
}

function within<T>(read: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => { reject(new DeskProblem('away')); }, silenceMs);
    read.then(resolve, reject).finally(() => { clearTimeout(timer); });
  });
}

async function answer(id: number, run: () => Promise<unknown>): Promise<void> {
  try {
    post({ kind: 'done', id, value: await run() });
  } catch (err) {
    const { kind, words } = problemOf(err);
    post({ kind: 'failed', id, problem: { kind, words } });
  }
}

scope.onmessage = (e: MessageEvent<ToDesk>) => {
  const m = e.data;
  if (m.kind === 'player') {
    new PlayerFeed(m.port, () => showing?.home ?? null);
    return;
  }
  const call = calls[m.name] as (...args: readonly unknown[]) => Promise<unknown>;
  void answer(m.id, () => call(...m.args));
};
