import type { AppError, CameraId, Home, Timeline, TimeRange } from '../types';
import { endOf, MINUTE, startOf, type View } from './geometry';
import { EMPTY, freshen } from './merge';

/** How far back the end of the timeline is asked again: time for a gap's reason to arrive. */
const TAIL = 3 * MINUTE;
/** After a failure: long enough not to hammer a line that is down, short enough not to be noticed when it is back. */
const PATIENCE = 3000;
/** So much shorter has a view to be, for another question about what has no reasons. */
const FINER = 0.75;

/**
 * One camera's timeline around what is in view: asks wider than the view, asks
 * again only when the view leaves that, and keeps the end fresh. One question
 * at a time; the newest view wins.
 */
export class TimelineData {
  timeline: Timeline = $state.raw(EMPTY);
  error: AppError | null = $state.raw(null);
  /** What `timeline` speaks about; outside nothing is known yet. */
  known: TimeRange | null = $state.raw(null);

  readonly #home: Home;
  readonly #camera: CameraId;
  #busy = false;
  #wanted: TimeRange | null = null;
  #failedAt = -Infinity;

  constructor(home: Home, camera: CameraId) {
    this.#home = home;
    this.#camera = camera;
  }

  /** Makes sure the view is, or soon will be, known. Cheap to call for every frame. */
  want(view: View, now: number): void {
    const from = startOf(view);
    const to = Math.min(endOf(view), now);
    if (to <= from || (this.#covers(from, to) && !this.#finer(view))) return;
    if (now < this.#failedAt + PATIENCE) return;
    this.#wanted = { from: from - view.span, to: Math.min(endOf(view) + view.span, now) };
    void this.#run();
  }

  #covers(from: number, to: number): boolean {
    return this.known !== null && this.known.from <= from && this.known.to >= to - TAIL;
  }

  /** What is known has no reasons, and a shorter question may get them. */
  #finer(view: View): boolean {
    return this.timeline.coarse === true && this.known !== null && 3 * view.span < FINER * (this.known.to - this.known.from);
  }

  /** Asks for the newest stretch again. */
  async tail(now: number): Promise<void> {
    const known = this.known;
    if (known === null || this.#busy) return;
    const window = { from: Math.max(known.from, known.to - TAIL), to: now };
    const answer = await this.#home.timeline(this.#camera, window.from, window.to);
    // A wider answer that came meanwhile holds the tail already.
    if (!answer.ok || this.known !== known) return;
    this.timeline = freshen(this.timeline, answer.value, window);
    this.known = { from: known.from, to: now };
    this.error = null;
  }

  async #run(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#wanted !== null) {
      const window: TimeRange = this.#wanted;
      this.#wanted = null;
      const answer = await this.#home.timeline(this.#camera, window.from, window.to);
      if (answer.ok) [this.timeline, this.known, this.error] = [answer.value, window, null];
      else [this.error, this.#failedAt] = [answer.error, Date.now()];
    }
    this.#busy = false;
  }
}
