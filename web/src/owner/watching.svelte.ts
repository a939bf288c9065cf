import type { CameraId, LiveOptions, Player, PlayerState } from './types';

/** The speeds of the menu and of J and L. */
export const RATES: readonly number[] = [0.5, 1, 2, 4, 8];
/** Closer to now than this, playing on means live. */
const EDGE = 3000;
/** A jump back where there is nothing slower. */
const BACK = 10_000;

/**
 * Watching one camera: what the reader wants (live or a moment, speed, sound)
 * and what the player says it does. The page shows it; keys and buttons call it.
 */
export class Watching {
  state: PlayerState | null = $state.raw(null);
  rate: number = $state(1);
  sound = $state(false);
  mode: LiveOptions['mode'] = $state('auto');
  quality: LiveOptions['quality'] = $state('auto');
  /** Parts left out since the last notice was taken, for "your line is slow". */
  skippedNow: number = $state(0);

  readonly #camera: CameraId;
  readonly #now: () => number;
  #player: Player | null = null;
  /** The moment the reader was at when he paused a live picture. */
  #pausedLive: number | null = null;

  constructor(camera: CameraId, now: () => number = Date.now) {
    this.#camera = camera;
    this.#now = now;
  }

  get live(): boolean {
    return this.state?.live ?? false;
  }
  get paused(): boolean {
    return this.state?.phase === 'paused';
  }
  /** The time shown; now while nothing is shown yet. */
  get at(): number {
    return this.state?.at ?? this.#now();
  }

  /** Takes the player and begins, live or at a moment. */
  begin(player: Player, at: number | null): void {
    this.#player = player;
    if (at === null) this.goLive();
    else this.goTo(at);
  }

  /** Every state of the player comes through here. */
  heard(state: PlayerState): void {
    const before = this.state;
    this.state = state;
    if (before !== null && state.skipped > before.skipped) this.skippedNow += state.skipped - before.skipped;
    const caughtUp = !state.live && state.phase === 'playing' && state.at !== null && state.at > this.#now() - EDGE;
    if (caughtUp && this.rate >= 1) this.goLive();
  }

  goLive(): void {
    this.#pausedLive = null;
    this.rate = 1;
    this.#player?.live(this.#camera, { quality: this.quality, mode: this.mode, sound: this.sound });
  }

  goTo(at: number, paused = false): void {
    this.#pausedLive = null;
    if (at >= this.#now() - 1000) return this.goLive();
    this.#player?.seek(this.#camera, Math.round(at), { rate: this.rate, sound: this.sound, paused });
  }

  toggle(): void {
    if (this.#player === null) return;
    if (!this.paused) {
      this.#pausedLive = this.live ? this.at : null;
      this.#player.pause();
    } else if (this.#pausedLive !== null) {
      // What came meanwhile is recorded, not live: go on where he stopped.
      this.goTo(this.#pausedLive);
    } else {
      this.#player.play();
    }
  }

  step(frames: 1 | -1): void {
    this.#pausedLive = null;
    this.#player?.step(frames);
  }

  setRate(rate: number): void {
    this.rate = rate;
    if (!this.live) this.#player?.setRate(rate);
  }

  /** L: the next speed up. Live cannot be outrun. */
  faster(): void {
    if (!this.live) this.setRate(RATES.find((rate) => rate > this.rate) ?? this.rate);
  }

  /** J: the next speed down, and below the slowest, or from live, a jump back. */
  slower(): void {
    const slower = RATES.findLast((rate) => rate < this.rate);
    if (this.live || slower === undefined) this.goTo(this.at - BACK);
    else this.setRate(slower);
  }

  setSound(on: boolean): void {
    this.sound = on;
    this.#player?.setSound(on);
  }

  /** Live ways change by starting anew; a recorded picture keeps its place. */
  setLive(options: Partial<Pick<LiveOptions, 'mode' | 'quality'>>): void {
    this.mode = options.mode ?? this.mode;
    this.quality = options.quality ?? this.quality;
    if (this.live) this.goLive();
  }
}
