/**
 * The façade between the pages and the worker that owns the keys. It carries
 * requests over and answers back, and asks the person for a touch where the
 * worker wants one; it knows no key and does no cryptography.
 */
import type { Calls, FromWorker, InviteNews, MemberNews, Op, ToWorker } from '../crypto/messages';
import { createPlayer } from '../player/player';
import { accessOver } from './access/over';
import { contactsOver } from './contacts/over';
import { helpOver } from './help/over';
import { sharingOver } from './sharing/over';
import { browserName } from './browser-name';
import type { Ask } from './passkey';
import { passkeySupport } from './passkey-support';
import type {
  Download, DownloadProgress, Home, HomeChange, HubInvite, InviteStep, MemberInvite, MemberInviteStep, NewPerson, Player, Result, Session,
} from './types';

export type * from './types';

type News = Calls[Op]['news'];

interface Waiting {
  readonly settle: (result: Result<Calls[Op]['value']>) => void;
  readonly news: (news: News) => void;
}

const lost: Result<never> = {
  ok: false,
  error: {
    kind: 'internal',
    what: 'This page lost its own background worker.',
    safe: 'Recording goes on; nothing is lost.',
    next: 'Reload the page.',
  },
};

/** Numbers calls to the worker and finds the caller of each reply. */
class Line {
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(what: HomeChange) => void>();
  readonly #worker: Worker;
  #next = 1;

  constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = (e: MessageEvent<FromWorker>) => {
      this.#receive(e.data);
    };
    worker.onerror = () => {
      for (const w of this.#waiting.values()) w.settle(lost);
      this.#waiting.clear();
    };
  }

  call<K extends Op>(op: K, args: Calls[K]['args'], news: (n: Calls[K]['news']) => void = () => undefined): { id: number; reply: Promise<Result<Calls[K]['value']>> } {
    const id = this.#next++;
    const reply = new Promise<Result<Calls[K]['value']>>((resolve) => {
      // The worker answers id with the value of the op that id was sent with.
      this.#waiting.set(id, {
        settle: resolve as Waiting['settle'],
        news: news as Waiting['news'],
      });
    });
    try {
      this.send({ kind: 'call', id, op, args });
    } catch (err) {
      // What cannot be sent is a mistake of ours; whoever asked does not wait for ever.
      this.#waiting.get(id)?.settle(lost);
      this.#waiting.delete(id);
      reportError(err);
    }
    return { id, reply };
  }

  ask<K extends Op>(op: K, args: Calls[K]['args']): Promise<Result<Calls[K]['value']>> {
    return this.call(op, args).reply;
  }

  /** A call that can be cancelled while it runs. */
  async until<K extends Op>(op: K, args: Calls[K]['args'], news: (n: Calls[K]['news']) => void, cancel?: AbortSignal): Promise<Result<Calls[K]['value']>> {
    const { id, reply } = this.call(op, args, news);
    const tell = (): void => {
      this.send({ kind: 'cancel', id });
    };
    cancel?.addEventListener('abort', tell, { once: true });
    if (cancel?.aborted === true) tell();
    return reply.finally(() => cancel?.removeEventListener('abort', tell));
  }

  send(message: ToWorker, transfer: Transferable[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  onChange(fn: (what: HomeChange) => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  #receive(m: FromWorker): void {
    switch (m.kind) {
      case 'change':
        for (const fn of this.#listeners) fn(m.what);
        return;
      case 'ask':
        void this.#touch(m.id, m.ask);
        return;
      case 'news':
        this.#waiting.get(m.id)?.news(m.news);
        return;
      case 'reply':
        this.#waiting.get(m.id)?.settle(m.result);
        this.#waiting.delete(m.id);
        return;
    }
  }

  async #touch(id: number, ask: Ask): Promise<void> {
    const { touch } = await import('./passkey');
    const result = await touch(ask);
    const secret = result.ok ? result.value.prf : null;
    // Moved, not copied: the page has nothing of it from here on.
    this.send({ kind: 'answer', id, result }, secret === null ? [] : [secret.buffer]);
  }
}

/** Starts the worker. The page reads a code off its own address: whether to use it may need a question first. */
export function connectHome(): Home {
  const worker = new Worker(new URL('../crypto/worker.ts', import.meta.url), { type: 'module', name: 'latchkey' });
  const line = new Line(worker);
  line.send({ kind: 'page', browser: browserName(navigator) });
  return homeOver(line);
}

function homeOver(line: Line): Home {
  return {
    session: () => line.ask('session', null),
    beginHousehold: (a) => line.ask('beginHousehold', a),
    finishHousehold: (a) => line.ask('finishHousehold', a),
    recover: (a) => line.ask('recover', a),
    signOut: () => line.ask('signOut', null),
    cameras: () => line.ask('cameras', null),
    hubs: () => line.ask('hubs', null),
    onChange: (fn) => line.onChange(fn),
    inviteHub: (onStep) => inviteHub(line, onStep),
    removeHub: (kid) => line.ask('removeHub', { kid }),
    addCamera: (a) => line.ask('addCamera', a),
    changeCamera: (id, camera) => line.ask('changeCamera', { id, camera }),
    removeCamera: (id) => line.ask('removeCamera', { id }),
    startEvent: (id, seconds) => line.ask('startEvent', { id, seconds }),
    timeline: (camera, from, to) => line.ask('timeline', { camera, from, to }),
    preview: (camera, at) => line.ask('preview', { camera, at }),
    download: (a, onProgress, cancel) => download(line, a, onProgress, cancel),
    trust: () => line.ask('trust', null),
    player: (video, canvas) => openPlayer(line, video, canvas),

    people: () => line.ask('people', null),
    inviteMember: (a, onStep, onDigits) => inviteMember(line, a, onStep, onDigits),
    changeMember: (kid, a) => line.ask('changeMember', { kid, ...a }),
    renameMember: (kid, name) => line.ask('renameMember', { kid, name }),
    removeMember: (kid) => line.ask('removeMember', { kid }),
    seenNewKeys: (kid) => line.ask('seenNewKeys', { kid }),
    beginJoin: (a) => line.ask('beginJoin', a),
    finishJoin: (a, onDigits, cancel) => finishJoin(line, a, onDigits, cancel),

    passkeySupport: () => passkeySupport(),
    signInWithPasskey: () => line.ask('signInWithPasskey', null),
    addPasskey: (a) => line.ask('addPasskey', a),
    passkeys: () => line.ask('passkeys', null),
    removePasskey: (id) => line.ask('removePasskey', { id }),

    endReason: async () => {
      const answer = await line.ask('endReason', null);
      return answer.ok ? answer.value : null;
    },
    devices: () => line.ask('devices', null),
    endDevice: (id) => line.ask('endDevice', { id }),
    endOtherDevices: () => line.ask('endOtherDevices', null),

    beginNewCode: () => line.ask('beginNewCode', null),
    finishNewCode: (a) => line.ask('finishNewCode', a),
    beginNewKeys: () => line.ask('beginNewKeys', null),
    finishNewKeys: (a) => line.ask('finishNewKeys', a),

    trusted: contactsOver(line),
    access: accessOver(line),
    sharing: sharingOver(line),
    help: helpOver(line),
  };
}

function download(line: Line, a: Calls['download']['args'], onProgress: (p: DownloadProgress) => void, cancel?: AbortSignal): Promise<Result<Download>> {
  return line.until('download', a, onProgress, cancel);
}

function finishJoin(line: Line, a: { typed: string }, onDigits: (digits: string) => void, cancel?: AbortSignal): Promise<Result<Session>> {
  return line.until('finishJoin', a, ({ digits }) => { onDigits(digits); }, cancel);
}

/** Resolves when the code is known; `done` when the hub has joined. */
async function inviteHub(line: Line, onStep: (step: InviteStep) => void): Promise<Result<HubInvite>> {
  let coded: (news: Extract<InviteNews, { kind: 'code' }>) => void = () => undefined;
  const code = new Promise<Extract<InviteNews, { kind: 'code' }>>((resolve) => (coded = resolve));
  const { id, reply } = line.call('inviteHub', null, (news) => {
    if (news.kind === 'code') coded(news);
    else onStep(news.step);
  });
  const first = await Promise.race([code, reply]);
  if (!('kind' in first)) return first.ok ? lost : first;
  const cancel = (): void => {
    line.send({ kind: 'cancel', id });
  };
  return { ok: true, value: { code: first.code, qr: first.qr, done: reply, cancel } };
}

/** Resolves when the invitation can be handed over; `done` when somebody has joined. */
async function inviteMember(line: Line, a: NewPerson, onStep: (step: MemberInviteStep) => void, onDigits: (digits: string) => void): Promise<Result<MemberInvite>> {
  let coded: (news: Extract<MemberNews, { kind: 'code' }>) => void = () => undefined;
  const code = new Promise<Extract<MemberNews, { kind: 'code' }>>((resolve) => (coded = resolve));
  const { id, reply } = line.call('inviteMember', a, (news) => {
    if (news.kind === 'code') coded(news);
    else if (news.kind === 'digits') onDigits(news.digits);
    else onStep(news.step);
  });
  const first = await Promise.race([code, reply]);
  if (!('kind' in first)) return first.ok ? lost : first;
  const confirm = (): void => {
    line.send({ kind: 'confirm', id });
  };
  const cancel = (): void => {
    line.send({ kind: 'cancel', id });
  };
  return { ok: true, value: { link: first.link, code: first.code, qr: first.qr, done: reply, confirm, cancel } };
}

function openPlayer(line: Line, video: HTMLVideoElement, canvas: HTMLCanvasElement): Player {
  const { port1, port2 } = new MessageChannel();
  line.send({ kind: 'player', port: port2 }, [port2]);
  return createPlayer(video, canvas, port1);
}
