/** A player's other half, in the worker: one session at a time, live or recorded. */
import type { FeedHome } from './feedhome';
import { appError } from '../crypto/words';
import { LiveFeed } from './livefeed';
import { SeekFeed } from './seekfeed';
import type { FromFeed, LiveRequest, SeekRequest, ToFeed } from './wire';

const sealEvery = 1000;

export class PlayerFeed {
  readonly #port: MessagePort;
  readonly #home: () => FeedHome | null;
  #canvas: OffscreenCanvas | null = null;
  #live: LiveFeed | null = null;
  #seek: SeekFeed | null = null;
  #sealTimer: ReturnType<typeof setInterval> | undefined;

  constructor(port: MessagePort, home: () => FeedHome | null) {
    this.#port = port;
    this.#home = home;
    port.onmessage = (e: MessageEvent<ToFeed>) => {
      this.#receive(e.data);
    };
  }

  #receive(m: ToFeed): void {
    switch (m.kind) {
      case 'live':
      case 'seek':
        this.#begin(m);
        return;
      case 'canvas':
        this.#canvas = m.canvas;
        this.#live?.setCanvas(m.canvas);
        return;
      case 'position':
        this.#live?.position(m.currentTime);
        this.#seek?.position(m.currentTime, m.aheadSeconds);
        return;
      case 'mode':
        this.#live?.mode(m.mode);
        return;
      case 'stop':
        this.#stop();
        return;
      case 'destroy':
        this.#stop();
        this.#port.close();
        return;
    }
  }

  #begin(request: LiveRequest | SeekRequest): void {
    this.#stop();
    const { session, camera } = request;
    const post = (m: FromFeed, transfer: Transferable[] = []): void => {
      this.#port.postMessage(m, transfer);
    };
    const home = this.#home();
    if (home === null) {
      post({ kind: 'failed', session, error: appError('refused', { what: 'Nobody is signed in on this browser.' }) });
      return;
    }
    try {
      if (request.kind === 'live') {
        this.#live = new LiveFeed(home, request, this.#canvas, post);
        this.#live.start();
      } else {
        this.#seek = new SeekFeed(home, request, post);
        this.#seek.start();
      }
    } catch {
      // The one thing that throws here: the camera is not in the household.
      post({ kind: 'failed', session, error: appError('not-found', { what: 'This camera is not in the household any more.' }) });
      return;
    }
    this.#sealTimer = setInterval(() => {
      const { state, words } = home.seal(camera);
      post({ kind: 'seal', session, seal: state, words });
    }, sealEvery);
  }

  #stop(): void {
    clearInterval(this.#sealTimer);
    this.#live?.close();
    this.#seek?.close();
    this.#live = null;
    this.#seek = null;
  }
}
