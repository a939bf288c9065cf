/**
 * Fingers, mouse and wheel on the timeline, as three wishes: move by pixels,
 * zoom by a factor, touch a point. Keeps only which pointers are down.
 */
export interface GestureHandlers {
  /** A pointer goes down at x; true takes it as a grip of its own (a selection handle). */
  grip(x: number): boolean;
  gripTo(x: number): void;
  drag(dx: number): void;
  zoom(factor: number): void;
  /** Down and up without moving. */
  tap(x: number): void;
  /** All fingers are off, or the wheel was turned once. */
  rest(): void;
}

const TAP_SLOP = 5;

export class Gestures {
  readonly #element: HTMLElement;
  readonly #on: GestureHandlers;
  readonly #down = new Map<number, number>();
  #moved = 0;
  #gripped = false;

  constructor(element: HTMLElement, on: GestureHandlers) {
    this.#element = element;
    this.#on = on;
  }

  /** Starts listening; returns how to stop. */
  listen(): () => void {
    const stop = new AbortController();
    const { signal } = stop;
    const element = this.#element;
    element.addEventListener('pointerdown', (event) => this.#begin(event), { signal });
    element.addEventListener('pointermove', (event) => this.#move(event), { signal });
    for (const name of ['pointerup', 'pointercancel'] as const) element.addEventListener(name, (event) => this.#end(event), { signal });
    // Not passive: the page must not scroll or zoom beneath the timeline.
    element.addEventListener('wheel', (event) => this.#wheel(event), { signal, passive: false });
    return () => stop.abort();
  }

  #x(event: PointerEvent): number {
    return event.clientX - this.#element.getBoundingClientRect().left;
  }

  #begin(event: PointerEvent): void {
    if (event.button !== 0 || this.#down.size >= 2) return;
    this.#element.setPointerCapture(event.pointerId);
    const x = this.#x(event);
    if (this.#down.size === 0) {
      this.#moved = 0;
      this.#gripped = this.#on.grip(x);
    }
    this.#down.set(event.pointerId, x);
  }

  #move(event: PointerEvent): void {
    const before = this.#down.get(event.pointerId);
    if (before === undefined) return;
    const x = this.#x(event);
    const spreadBefore = this.#spread();
    this.#down.set(event.pointerId, x);
    this.#moved += Math.abs(x - before);
    if (this.#gripped) return this.#on.gripTo(x);
    if (this.#down.size === 1) {
      if (this.#moved > TAP_SLOP) this.#on.drag(x - before);
      return;
    }
    const spread = this.#spread();
    if (spreadBefore > 8 && spread > 8) this.#on.zoom(spreadBefore / spread);
  }

  #end(event: PointerEvent): void {
    const x = this.#down.get(event.pointerId);
    if (x === undefined) return;
    this.#down.delete(event.pointerId);
    if (this.#down.size > 0) return;
    const tapped = event.type === 'pointerup' && this.#moved <= TAP_SLOP && !this.#gripped;
    this.#gripped = false;
    if (tapped) this.#on.tap(x);
    else this.#on.rest();
  }

  #wheel(event: WheelEvent): void {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? 400 : 1;
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
    if (Math.abs(sideways) > Math.abs(event.deltaY) || event.shiftKey) {
      this.#on.drag(-sideways * unit);
    } else {
      this.#on.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.002)))));
    }
    this.#on.rest();
  }

  #spread(): number {
    const [a, b] = [...this.#down.values()];
    return a === undefined || b === undefined ? 0 : Math.abs(a - b);
  }
}
