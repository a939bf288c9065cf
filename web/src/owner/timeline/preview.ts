import type { CameraId, Home } from '../types';

/**
 * Pictures for a finger that moves faster than pictures come: one question
 * under way, of all that were asked meanwhile only the newest is asked next.
 */
export class PreviewQueue {
  readonly #home: Home;
  readonly #camera: CameraId;
  readonly #show: (image: ImageBitmap, at: number) => void;
  #busy = false;
  #next: number | null = null;
  #closed = false;

  /** `show` draws the picture at once; it is closed when show returns. */
  constructor(home: Home, camera: CameraId, show: (image: ImageBitmap, at: number) => void) {
    this.#home = home;
    this.#camera = camera;
    this.#show = show;
  }

  ask(at: number): void {
    this.#next = at;
    if (!this.#busy) void this.#run();
  }

  /** Nothing is shown after this. */
  close(): void {
    this.#closed = true;
    this.#next = null;
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#next !== null) {
      const at: number = this.#next;
      this.#next = null;
      const answer = await this.#home.preview(this.#camera, at);
      // No picture there is no error: the timeline says what is missing and why.
      if (!answer.ok) continue;
      if (!this.#closed) this.#show(answer.value.image, answer.value.at);
      answer.value.image.close();
    }
    this.#busy = false;
  }
}
