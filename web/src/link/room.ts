/** The page's side of the worker that holds the link's keys. */
import type { Player } from '../owner/types';
import { createPlayer } from '../player/player';
import type { FromLinkWorker, ToLinkWorker } from './messages';

/** What the page needs of its worker; a test brings another. */
export interface LinkRoom {
  /** Whether this browser has what opening takes. */
  readonly able: boolean;
  on(fn: (m: FromLinkWorker) => void): void;
  open(fragment: string): void;
  download(): void;
  cancel(): void;
  player(video: HTMLVideoElement, canvas: HTMLCanvasElement): Player;
}

export function connectLink(): LinkRoom {
  let worker: Worker | null = null;
  let hear: (m: FromLinkWorker) => void = () => undefined;
  const line = (): Worker => {
    if (worker !== null) return worker;
    worker = new Worker(new URL('./linkworker.ts', import.meta.url), { type: 'module' });
    worker.onmessage = (e: MessageEvent<FromLinkWorker>) => { hear(e.data); };
    worker.onerror = () => { hear({ kind: 'failed', problem: { kind: 'internal' } }); };
    return worker;
  };
  const send = (m: ToLinkWorker, transfer: Transferable[] = []): void => { line().postMessage(m, transfer); };
  return {
    able: isSecureContext && 'Worker' in window && ('MediaSource' in window || 'ManagedMediaSource' in window),
    on: (fn) => { hear = fn; },
    open: (fragment) => { send({ kind: 'open', fragment }); },
    download: () => { send({ kind: 'download' }); },
    cancel: () => { send({ kind: 'cancel' }); },
    player: (video, canvas) => {
      const { port1, port2 } = new MessageChannel();
      send({ kind: 'player', port: port2 }, [port2]);
      return createPlayer(video, canvas, port1);
    },
  };
}
