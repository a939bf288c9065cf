/** Sharing in a home in memory: it keeps the contract of {@link HomeSharing}. Never part of the built app. */
import type { Camera, HomeChange, Result } from '../types';
import type { HomeSharing, Shared, ShareAsk, ShareNews, ShareStep } from './types';

const ok = <T>(value: T): Result<T> => ({ ok: true, value });
/** A pattern with a QR code's look, not its meaning. */
const fakeQr = (): boolean[][] => Array.from({ length: 29 }, (_, y) => Array.from({ length: 29 }, (__, x) => (x * 7 + y * 13) % 5 < 2));

export class FakeSharing implements HomeSharing {
  list: Shared[] = [];
  /** the public log does not answer: a share waits for this */
  back: Promise<void> = Promise.resolve();
  readonly #tell: (what: HomeChange) => void;
  readonly #cameras: () => readonly Camera[];

  constructor(tell: (what: HomeChange) => void, cameras: () => readonly Camera[]) {
    this.#tell = tell;
    this.#cameras = cameras;
  }

  async share(ask: ShareAsk, news: (n: ShareNews) => void): Promise<Result<Shared>> {
    if (ask.from % 1000 !== 0 || ask.to % 1000 !== 0 || ask.from >= ask.to) throw new Error('fake sharing: not whole seconds, or none');
    const steps: readonly ShareStep[] = ['written', 'logged', 'witnessed', 'done'];
    for (const step of steps) {
      if (step === 'logged') await this.back;
      news({ kind: 'step', step });
    }
    const link = ask.for.kind === 'link' ? { url: 'https://home.example/s#LK1.A_hkk2rTb26alGVToCDWRgY91_PE69VIVSyjtEOZBH8', qr: fakeQr() } : null;
    const one: Shared = {
      id: String(this.list.length).padStart(32, '0'), kind: ask.for.kind, to: ask.for.kind === 'link' ? '' : 'Sam', by: { name: 'Ann', me: true },
      camera: ask.camera, cameraName: this.#cameras().find((c) => c.id === ask.camera)?.name ?? '', from: ask.from, until: ask.to, sound: ask.sound, standing: ask.to > Date.now(),
      given: Date.now(), served: ask.until, views: link === null ? null : 0, lastView: null, waiting: false, link,
    };
    this.list = [one, ...this.list];
    this.#tell('shares');
    return ok(one);
  }

  shared(): Promise<Result<Shared[]>> {
    return Promise.resolve(ok(this.list));
  }

  endShare(which: string): Promise<Result<void>> {
    if (!this.list.some((s) => s.id === which)) return Promise.resolve({ ok: false, error: { kind: 'not-found', what: 'It has ended already.', safe: 'Nothing was changed.', next: '' } });
    this.list = this.list.filter((s) => s.id !== which);
    this.#tell('shares');
    return Promise.resolve(ok(undefined));
  }
}
