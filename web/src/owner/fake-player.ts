import { drawScene } from './fake-scene';
import type { CameraId, LiveOptions, Player, PlayerMetrics, PlayerState, SeekOptions, Timeline, TrustState } from './types';

const IDLE: PlayerState = {
  phase: 'idle',
  live: false,
  at: null,
  lagMs: null,
  mode: null,
  codec: null,
  width: 0,
  height: 0,
  seal: 'verifying',
  sealWords: '',
  skipped: 0,
  gap: null,
  error: null,
  notice: null,
};

export interface FakePlayerWorld {
  now(): number;
  timeline(camera: CameraId): Timeline;
  seal(camera: CameraId): TrustState;
}

/** Plays drawn pictures on the canvas by the same states as the real player. */
export class FakePlayer implements Player {
  state: PlayerState = IDLE;
  readonly metrics: PlayerMetrics = { joinMs: 40, frames: 0, dropped: 0, shown: null };
  readonly #listeners = new Set<(state: PlayerState) => void>();
  readonly #canvas: HTMLCanvasElement;
  readonly #world: FakePlayerWorld;
  #camera: CameraId | null = null;
  #rate = 1;
  #timer: ReturnType<typeof setInterval> | undefined;
  #destroyed = false;

  constructor(video: HTMLVideoElement, canvas: HTMLCanvasElement, world: FakePlayerWorld) {
    video.hidden = true;
    canvas.hidden = false;
    this.#canvas = canvas;
    this.#world = world;
  }

  live(camera: CameraId, _opts: LiveOptions): void {
    this.#begin(camera, { phase: 'playing', live: true, at: this.#world.now() - 80, lagMs: 80 });
  }

  seek(camera: CameraId, atMs: number, opts: SeekOptions): void {
    this.#rate = opts.rate;
    this.#begin(camera, { phase: opts.paused === true ? 'paused' : 'playing', live: false, at: atMs, lagMs: null });
  }

  setRate(rate: number): void {
    this.#rate = rate;
  }
  setSound(_on: boolean): void {
    this.#alive();
  }
  pause(): void {
    this.#set({ phase: 'paused', live: false, lagMs: null });
  }
  play(): void {
    this.#set({ phase: 'playing' });
  }
  step(frames: 1 | -1): void {
    if (this.state.phase !== 'paused') throw new Error('fake player: step while not paused');
    this.#set({ at: (this.state.at ?? 0) + frames * 40 });
    this.#draw();
  }
  stop(): void {
    clearInterval(this.#timer);
    this.#set(IDLE);
  }
  destroy(): void {
    this.stop();
    this.#destroyed = true;
    this.#listeners.clear();
  }
  on(fn: (state: PlayerState) => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  #begin(camera: CameraId, change: Partial<PlayerState>): void {
    this.#alive();
    this.#camera = camera;
    const seal = this.#world.seal(camera);
    this.#set({ ...IDLE, mode: 'mse', codec: 'avc1.640028', width: 1280, height: 720, seal, ...change });
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), 100);
    this.#tick();
  }

  #tick(): void {
    if (this.#camera === null || (this.state.phase !== 'playing' && this.state.phase !== 'gap')) return this.#draw();
    const at = this.state.live ? this.#world.now() - 80 : Math.min(this.#world.now(), (this.state.at ?? 0) + 100 * this.#rate);
    const gap = this.#world.timeline(this.#camera).gaps.find((g) => g.from <= at && at < g.to) ?? null;
    this.#set({ at, gap, phase: gap === null ? 'playing' : 'gap' });
    this.#draw();
  }

  #draw(): void {
    const ctx = this.#canvas.getContext('2d');
    if (ctx === null || this.#camera === null || this.state.at === null) return;
    if (this.#canvas.width !== 640) [this.#canvas.width, this.#canvas.height] = [640, 360];
    drawScene(ctx, this.state.at, parseInt(this.#camera.slice(0, 2), 16));
  }

  #set(change: Partial<PlayerState>): void {
    this.state = { ...this.state, ...change };
    for (const fn of this.#listeners) fn(this.state);
  }

  /** A page that uses a player it gave back has a bug. */
  #alive(): void {
    if (this.#destroyed) throw new Error('fake player: used after destroy');
  }
}
