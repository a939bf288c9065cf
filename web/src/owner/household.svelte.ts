import { Asked } from './asked.svelte';
import type { LogState } from './access/types';
import type { AppError, Camera, CameraId, Home, HomeChange, Hub, Session, Trust } from './types';

/**
 * What the pages show of the household: asked once, asked again when the home
 * says it changed.
 */
export class Household {
  /** Changes while it lasts: a code is used up and made anew, a role is changed. */
  session: Session;
  /** Ticks every few seconds, for words such as "since" and "up to". */
  now: number = $state(Date.now());
  /** Worth offering, as a next step: this person has just come in, without a passkey. */
  offerPasskey = $state(false);

  readonly #home: Home;
  readonly #asked: { readonly cameras: Asked<Camera[]>; readonly hubs: Asked<Hub[]>; readonly trust: Asked<Trust>; readonly log: Asked<LogState> };

  constructor(home: Home, session: Session) {
    this.#home = home;
    this.session = $state.raw(session);
    this.#asked = { cameras: new Asked(() => home.cameras()), hubs: new Asked(() => home.hubs()), trust: new Asked(() => home.trust()), log: new Asked(() => home.access.log()) };
  }

  /** null until the first answer */
  get cameras(): Camera[] | null {
    return this.#asked.cameras.value;
  }
  get hubs(): Hub[] | null {
    return this.#asked.hubs.value;
  }
  get trust(): Trust | null {
    return this.#asked.trust.value;
  }
  /** How far the household's statements are verified against the public log. */
  get log(): LogState | null {
    return this.#asked.log.value;
  }
  /** A failure to ask that no later answer has made good. */
  get error(): AppError | null {
    return this.#asked.cameras.error ?? this.#asked.hubs.error ?? this.#asked.trust.error;
  }
  /** Only an admin adds, changes and removes. */
  get admin(): boolean {
    return this.session.role === 'admin';
  }

  /** Asks for everything and keeps listening; returns how to stop. */
  start(): () => void {
    const stop = this.#home.onChange((what) => void this.refresh(what));
    const timer = setInterval(() => (this.now = Date.now()), 5000);
    void this.refreshAll();
    return () => {
      stop();
      clearInterval(timer);
    };
  }

  async refresh(what: HomeChange): Promise<void> {
    this.now = Date.now();
    if (what === 'cameras' || what === 'hubs' || what === 'trust' || what === 'log') await this.#asked[what].ask();
  }

  async refreshAll(): Promise<void> {
    await Promise.all([this.refresh('cameras'), this.refresh('hubs'), this.refresh('trust'), this.refresh('log')]);
  }

  camera(id: CameraId): Camera | undefined {
    return this.cameras?.find((camera) => camera.id === id);
  }
}
