/** The page's side of the worker that holds an agent's keys. */
import type { Player } from '../owner/types';
import { createPlayer } from '../player/player';
import type { CallName, Calls, DeskEvent, FromDesk, Problem, ToDesk } from './messages';

/** What the pages need of the worker; a test brings another. */
export interface DeskRoom extends Calls {
  /** Whether this browser has what the desk takes. */
  readonly able: boolean;
  on(fn: (e: DeskEvent) => void): () => void;
  player(video: HTMLVideoElement, canvas: HTMLCanvasElement): Player;
}

/** Why a call failed; thrown by every call. */
export class Told extends Error {
  constructor(readonly problem: Problem) {
    super(problem.kind);
    this.name = 'Told';
  }
}

export const problemIn = (err: unknown): Problem => (err instanceof Told ? err.problem : { kind: 'internal', words: '' });

export function connectDesk(): DeskRoom {
  const worker = new Worker(new URL('./deskworker.ts', import.meta.url), { type: 'module' });
  const waiting = new Map<number, { done: (value: never) => void; failed: (err: Told) => void }>();
  const listeners = new Set<(e: DeskEvent) => void>();
  let next = 0;
  worker.onmessage = (e: MessageEvent<FromDesk>) => {
    const m = e.data;
    if (m.kind === 'event') {
      for (const fn of listeners) fn(m.event);
      return;
    }
    const call = waiting.get(m.id);
    waiting.delete(m.id);
    if (m.kind === 'done') call?.done(m.value as never);
    else call?.failed(new Told(m.problem));
  };
  worker.onerror = () => {
    for (const call of waiting.values()) call.failed(new Told({ kind: 'internal', words: '' }));
    waiting.clear();
  };
  const send = (m: ToDesk, transfer: Transferable[] = []): void => { worker.postMessage(m, transfer); };
  const call = <N extends CallName>(name: N) => ((...args: readonly unknown[]) => new Promise((done, failed) => {
    const id = next++;
    waiting.set(id, { done, failed });
    send({ kind: 'call', id, name, args });
  })) as unknown as Calls[N];
  return {
    able: isSecureContext && 'indexedDB' in window && ('MediaSource' in window || 'ManagedMediaSource' in window),
    on: (fn) => {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    player: (video, canvas) => {
      const { port1, port2 } = new MessageChannel();
      send({ kind: 'player', port: port2 }, [port2]);
      return createPlayer(video, canvas, port1);
    },
    who: call('who'), join: call('join'), forget: call('forget'), endShift: call('endShift'), tickets: call('tickets'), take: call('take'), ticket: call('ticket'),
    reply: call('reply'), open: call('open'), close: call('close'), explain: call('explain'), mine: call('mine'), audit: call('audit'),
  };
}
