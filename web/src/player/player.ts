/**
 * The player on the page: what the buttons do, how a live picture is kept near
 * the edge, what the pages are told. Bytes come opened and verified from the
 * worker; this side never sees a key or a sealed part.
 */
import type { AppError, CameraId, Gap, LiveOptions, Player, PlayerMetrics, PlayerPhase, PlayerState, SeekOptions } from '../owner/types';
import { playAloud } from './aloud';
import { KeepUp, liveStep, overHole, rangeAt } from './pace';
import { Screen } from './screen';
import type { FromFeed, Shown, ToFeed } from './wire';

const tickMs = 50;
/** Until the first picture: how often a live element looks for the edge to join at. */
const joinTickMs = 10;
const positionEvery = 5;
const emitEvery = 4;
/** How long MSE has to be settled before a decoder is tried beside it. */
const trialAfterMs = 3000;
/** The decoder has to win by this much to be worth its power. */
const trialGainMs = 20;
const keyFramesAbove = 4;
/** So many ticks without a new picture and the element stands at a hole. */
const standTicks = 3;
const smallHoleMs = 1000;

type Request =
  | { readonly kind: 'live'; readonly camera: CameraId; readonly opts: LiveOptions }
  | { readonly kind: 'seek'; readonly camera: CameraId; readonly at: number; readonly opts: SeekOptions };

const nothing: PlayerState = {
  phase: 'idle', live: false, at: null, lagMs: null, mode: null, codec: null, width: 0, height: 0,
  seal: 'verifying', sealWords: '', skipped: 0, gap: null, error: null, notice: null,
};

/** Makes a player over the two elements; `port` leads to its feed in the worker. */
export function createPlayer(video: HTMLVideoElement, canvas: HTMLCanvasElement, port: MessagePort): Player {
  return new BrowserPlayer(video, canvas, port);
}

class BrowserPlayer implements Player {
  readonly #canvas: HTMLCanvasElement;
  readonly #port: MessagePort;
  readonly #screen: Screen;
  readonly #listeners = new Set<(s: PlayerState) => void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #state: PlayerState = nothing;
  #request: Request | null = null;
  #session = 0;
  #joining: ReturnType<typeof setInterval> | undefined;
  #ticks = 0;
  #rate = 1;
  #sound = false;
  #paused = false;
  #began = 0;
  #joinMs: number | null = null;
  #frames = 0;
  #dropped = 0;
  #shown: PlayerMetrics['shown'] = null;
  #frameMs = 40;
  #gaps: Gap[] = [];
  #placed = false;
  #canvasSent = false;
  #trial: KeepUp | null = null;
  #mseLag = new KeepUp();
  #noDecoder = false;
  #idle = false;
  #lastTime = -1;
  #still = 0;

  constructor(video: HTMLVideoElement, canvas: HTMLCanvasElement, port: MessagePort) {
    this.#canvas = canvas;
    this.#port = port;
    this.#screen = new Screen(video, (why) => {
      this.#fail({ kind: 'internal', what: `The player stopped: ${why}.`, safe: 'The footage is there.', next: 'Open the camera again.' });
    });
    port.onmessage = (e: MessageEvent<FromFeed>) => {
      if (e.data.session === this.#session) this.#receive(e.data);
    };
    this.#timer = setInterval(() => { this.#tick(); }, tickMs);
    this.#useElement('mse');
    this.#watchFrames();
  }

  get state(): PlayerState {
    return this.#state;
  }

  get metrics(): PlayerMetrics {
    return { joinMs: this.#joinMs, frames: this.#frames, dropped: this.#dropped, shown: this.#shown };
  }

  on(fn: (s: PlayerState) => void): () => void {
    this.#listeners.add(fn);
    fn(this.#state);
    return () => this.#listeners.delete(fn);
  }

  live(camera: CameraId, opts: LiveOptions): void {
    // Asked for by name, the decoder gets another chance.
    if (opts.mode === 'webcodecs') this.#noDecoder = false;
    this.#goLive(camera, opts);
  }

  #goLive(camera: CameraId, opts: LiveOptions): void {
    this.#begin({ kind: 'live', camera, opts });
    this.#rate = 1;
    const decoder = opts.mode === 'webcodecs' && !opts.sound && this.#mayDecode();
    if (decoder) this.#sendCanvas();
    this.#useElement(decoder ? 'webcodecs' : 'mse');
    this.#update({ live: true, mode: decoder ? 'webcodecs' : 'mse' });
    this.#send({ kind: 'live', session: this.#session, camera, quality: opts.quality, sound: opts.sound, mode: decoder ? 'webcodecs' : 'mse' });
    if (decoder) return;
    this.#start();
    this.#joining = setInterval(() => { this.#join(); }, joinTickMs);
  }

  /** Goes to the live edge as soon as there is one. */
  #join(): void {
    const { video, ranges } = this.#screen;
    if (ranges.length === 0 || this.#paused) return;
    clearInterval(this.#joining);
    const step = liveStep(ranges, video.currentTime, video.playbackRate, this.#sound);
    if (step?.kind === 'jump') video.currentTime = step.to;
  }

  seek(camera: CameraId, atMs: number, opts: SeekOptions): void {
    if (this.#seekInside(camera, atMs, opts)) return;
    this.#begin({ kind: 'seek', camera, at: atMs, opts });
    this.#rate = opts.rate;
    this.#paused = opts.paused === true;
    this.#useElement('mse');
    this.#update({ live: false, mode: 'mse', at: atMs });
    this.#send({ kind: 'seek', session: this.#session, camera, at: atMs, rate: opts.rate, sound: opts.sound });
    if (!this.#paused) this.#start();
  }

  setRate(rate: number): void {
    const r = this.#request;
    const before = this.#rate;
    this.#rate = rate;
    if (r?.kind !== 'seek') return;
    // Key frames alone, or all of them: another way of reading.
    if (before > keyFramesAbove !== rate > keyFramesAbove) this.#seekAnew({ ...r.opts, rate });
    else if (!this.#paused) this.#start();
  }

  setSound(on: boolean): void {
    const r = this.#request;
    if (r === null || r.opts.sound === on) return;
    // A buffer for sound cannot be added later: the player is rebuilt.
    if (r.kind === 'live') this.live(r.camera, { ...r.opts, sound: on });
    else this.#seekAnew({ ...r.opts, sound: on });
  }

  pause(): void {
    this.#paused = true;
    this.#screen.video.pause();
    if (this.#state.mode === 'webcodecs') this.#send({ kind: 'stop' });
    this.#update({ phase: 'paused' });
  }

  play(): void {
    const r = this.#request;
    this.#paused = false;
    if (r === null) return;
    // What was paused live goes on live.
    if (r.kind === 'live') this.live(r.camera, r.opts);
    else this.#start();
  }

  step(frames: 1 | -1): void {
    const { video } = this.#screen;
    if (this.#request?.kind !== 'seek') return;
    this.#paused = true;
    video.pause();
    // Half a frame further than the border, so that rounding never shows the same picture.
    video.currentTime = Math.max(0, video.currentTime + ((frames + frames * 0.01) * this.#frameMs) / 1000);
  }

  stop(): void {
    this.#session++;
    clearInterval(this.#joining);
    this.#request = null;
    this.#send({ kind: 'stop' });
    this.#screen.clear();
    this.#state = nothing;
    this.#emit();
  }

  destroy(): void {
    this.stop();
    clearInterval(this.#timer);
    this.#send({ kind: 'destroy' });
    this.#port.close();
    this.#listeners.clear();
  }

  #begin(request: Request): void {
    this.#session++;
    clearInterval(this.#joining);
    this.#request = request;
    this.#screen.clear();
    this.#sound = request.opts.sound;
    this.#screen.video.muted = !this.#sound;
    this.#paused = false;
    this.#began = performance.now();
    this.#joinMs = null;
    this.#frames = 0;
    this.#dropped = 0;
    this.#shown = null;
    this.#gaps = [];
    this.#placed = false;
    this.#trial = null;
    this.#mseLag = new KeepUp();
    this.#idle = false;
    this.#state = { ...nothing, phase: 'connecting', seal: this.#state.seal, sealWords: this.#state.sealWords };
    this.#emit();
  }

  #seekAnew(opts: SeekOptions): void {
    const r = this.#request;
    if (r === null) return;
    const at = this.#state.at ?? (r.kind === 'seek' ? r.at : Date.now());
    this.#session++;
    this.#request = null;
    this.seek(r.camera, at, { ...opts, paused: this.#paused });
  }

  /** A seek to where pictures are already buffered needs nothing from anybody. */
  #seekInside(camera: CameraId, atMs: number, opts: SeekOptions): boolean {
    const r = this.#request;
    if (r?.kind !== 'seek' || r.camera !== camera || r.opts.sound !== opts.sound) return false;
    if (r.opts.rate > keyFramesAbove !== opts.rate > keyFramesAbove || this.#state.phase === 'error') return false;
    const to = this.#screen.elementTime(atMs);
    if (to === null || rangeAt(this.#screen.ranges, to) === null) return false;
    this.#request = { ...r, at: atMs, opts };
    this.#rate = opts.rate;
    this.#began = performance.now();
    this.#joinMs = null;
    this.#screen.video.currentTime = to;
    this.#paused = opts.paused === true;
    if (this.#paused) this.#screen.video.pause();
    else this.#start();
    return true;
  }

  #start(): void {
    const { video } = this.#screen;
    // Loading a source puts the rate back to the default one.
    video.defaultPlaybackRate = this.#rate;
    video.playbackRate = this.#rate;
    const session = this.#session;
    const wanted = (): boolean => this.#sound && this.#session === session;
    playAloud(video, wanted, (notice) => { this.#update({ notice }); });
  }

  #send(m: ToFeed, transfer: Transferable[] = []): void {
    this.#port.postMessage(m, transfer);
  }

  #receive(m: FromFeed): void {
    switch (m.kind) {
      case 'base':
      case 'source':
      case 'pieces':
        this.#screen.receive(m);
        return;
      case 'track':
        this.#screen.receive(m);
        if (m.media === 'video') this.#update({ codec: m.codec, width: m.width, height: m.height });
        return;
      case 'reached':
        this.#frameMs = m.frameMs > 0 && m.frameMs < 500 ? m.frameMs : this.#frameMs;
        this.#place();
        return;
      case 'shown':
        this.#decoded(m.shown, m.trial);
        return;
      case 'slow':
        this.#decoderSlow();
        return;
      case 'skip':
        this.#update({ skipped: this.#state.skipped + m.count });
        return;
      case 'gap':
        this.#gaps = [...this.#gaps, m.gap].slice(-50);
        return;
      case 'idle':
        this.#idle = m.on;
        return;
      case 'seal':
        this.#update({ seal: m.seal, sealWords: m.words });
        return;
      case 'notice':
        this.#update({ notice: m.text });
        return;
      case 'failed':
        this.#fail(m.error);
        return;
      case 'end':
        return;
    }
  }

  #fail(error: AppError): void {
    this.#update({ phase: 'error', error });
  }

  /** The element's first position: the asked moment, or the live edge. */
  #place(): void {
    const r = this.#request;
    if (this.#placed || r?.kind !== 'seek') return;
    const to = this.#screen.elementTime(r.at);
    if (to === null) return;
    this.#placed = true;
    this.#screen.video.currentTime = Math.max(0, to);
  }

  #tick(): void {
    if (this.#request === null || this.#state.phase === 'error') return;
    this.#ticks++;
    if (this.#state.mode === 'mse') this.#steer(this.#request);
    if (this.#ticks % positionEvery === 0) {
      this.#screen.position();
      this.#send({ kind: 'position', session: this.#session, currentTime: this.#screen.video.currentTime, aheadSeconds: this.#screen.ahead });
    }
    if (this.#ticks % emitEvery === 0) this.#settle();
  }

  #steer(r: Request): void {
    const { video, ranges } = this.#screen;
    if (ranges.length === 0 || (r.kind === 'live' && this.#paused)) return;
    if (this.#stands(video)) {
      const over = overHole(ranges, video.currentTime);
      if (over !== null) video.currentTime = over.start + 0.001;
    }
    if (r.kind === 'seek') return;
    const step = liveStep(ranges, video.currentTime, video.playbackRate, this.#sound);
    if (step?.kind === 'jump') video.currentTime = step.to;
    else if (step !== null && Math.abs(video.playbackRate - step.rate) > 0.01) video.playbackRate = step.rate;
    this.#considerTrial(r.opts);
  }

  /** True when the element has had nothing further to show since the last ticks. */
  #stands(video: HTMLVideoElement): boolean {
    const moving = video.currentTime !== this.#lastTime || video.readyState > 2;
    this.#lastTime = video.currentTime;
    this.#still = moving ? 0 : this.#still + 1;
    // While it seeks into what is buffered it only waits for its decoder.
    const seeking = video.seeking && rangeAt(this.#screen.ranges, video.currentTime) !== null;
    return this.#still >= standTicks && !seeking;
  }

  /** Tells the page where things are, from what is measured now. */
  #settle(): void {
    const { video } = this.#screen;
    const webcodecs = this.#state.mode === 'webcodecs';
    const at = this.#shown?.capture ?? this.#state.at;
    const live = this.#request?.kind === 'live';
    const gap = live || at === null ? null : (this.#gaps.find((g) => Math.abs(g.from - at) < smallHoleMs * 2 && g.to > at) ?? null);
    this.#update({
      at,
      lagMs: live && at !== null ? Math.max(0, Math.round(Date.now() - at)) : null,
      gap,
      phase: this.#phase(webcodecs, video, gap),
    });
  }

  #phase(webcodecs: boolean, video: HTMLVideoElement, gap: Gap | null): PlayerPhase {
    if (this.#shown === null && this.#idle) return 'gap';
    if (this.#shown === null) return 'connecting';
    if (this.#paused) return 'paused';
    if (webcodecs) return Date.now() - this.#shown.at > 2000 ? 'buffering' : 'playing';
    if (video.readyState > 2) return 'playing';
    return gap === null && !this.#idle ? 'buffering' : 'gap';
  }

  #useElement(mode: 'mse' | 'webcodecs'): void {
    this.#screen.video.hidden = mode === 'webcodecs';
    this.#canvas.hidden = mode === 'mse';
  }

  #watchFrames(): void {
    const { video } = this.#screen;
    // Without it nobody tells when a frame is shown; its clock is the next best word.
    if (!('requestVideoFrameCallback' in video)) {
      (video as HTMLVideoElement).ontimeupdate = () => { this.#clockSays(); };
      return;
    }
    const each = (_now: number, meta: VideoFrameCallbackMetadata): void => {
      if (this.#state.mode === 'mse') this.#presented(meta);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
  }

  #presented(meta: VideoFrameCallbackMetadata): void {
    const capture = this.#screen.capture(meta.mediaTime);
    if (capture === null) return;
    const at = performance.timeOrigin + meta.expectedDisplayTime;
    this.#frame({ capture, at });
    this.#frames++;
    this.#dropped = this.#screen.video.getVideoPlaybackQuality().droppedVideoFrames;
    if (this.#request?.kind === 'live') this.#mseLag.shown(at - capture, this.#frames, this.#dropped);
    const { videoWidth, videoHeight } = this.#screen.video;
    if (videoWidth !== this.#state.width && videoWidth > 0) this.#update({ width: videoWidth, height: videoHeight });
  }

  #clockSays(): void {
    const { video } = this.#screen;
    const capture = this.#screen.capture(video.currentTime);
    if (capture !== null && video.readyState > 1 && this.#state.mode === 'mse') this.#frame({ capture, at: Date.now() });
  }

  #frame(shown: { capture: number; at: number }): void {
    const first = this.#shown === null || this.#joinMs === null;
    this.#shown = shown;
    this.#joinMs ??= performance.now() - this.#began;
    if (first) this.#settle();
  }

  #mayDecode(): boolean {
    return !this.#noDecoder && 'VideoDecoder' in globalThis && 'transferControlToOffscreen' in HTMLCanvasElement.prototype;
  }

  /** A canvas can be handed over once; it then belongs to the worker for good. */
  #sendCanvas(): void {
    if (this.#canvasSent) return;
    this.#canvasSent = true;
    const canvas = this.#canvas.transferControlToOffscreen();
    this.#send({ kind: 'canvas', canvas }, [canvas]);
  }

  /** On auto, for one camera full-size: a decoder runs beside MSE for a while and is measured. */
  #considerTrial(opts: LiveOptions): void {
    if (opts.mode !== 'auto' || opts.quality === 'sub' || this.#sound || this.#trial !== null || !this.#mayDecode()) return;
    if (this.#joinMs === null || performance.now() - this.#began < trialAfterMs + this.#joinMs || !this.#mseLag.measured) return;
    this.#trial = new KeepUp();
    this.#send({ kind: 'mode', session: this.#session, mode: 'trial' });
  }

  #decoded(s: Shown, trial: boolean): void {
    this.#trial ??= new KeepUp();
    this.#trial.shown(s.at - s.capture, s.frames, s.dropped);
    if (trial) {
      this.#judgeTrial(this.#trial);
      return;
    }
    if (this.#state.mode !== 'webcodecs') {
      this.#useElement('webcodecs');
      this.#screen.clear();
      this.#update({ mode: 'webcodecs' });
    }
    this.#frame({ capture: s.capture, at: s.at });
    this.#frames = s.frames;
    this.#dropped = s.dropped;
    if (this.#trial.measured && !this.#trial.good) this.#decoderSlow();
  }

  #judgeTrial(k: KeepUp): void {
    if (!k.measured) return;
    if (k.good && k.median + trialGainMs < this.#mseLag.median) {
      this.#trial = new KeepUp();
      this.#sendCanvas();
      this.#send({ kind: 'mode', session: this.#session, mode: 'webcodecs' });
    } else {
      this.#noDecoder = true;
      this.#send({ kind: 'mode', session: this.#session, mode: 'mse' });
    }
  }

  /** Back to MSE, and no second try: what was measured once on this page holds for it. */
  #decoderSlow(): void {
    this.#noDecoder = true;
    const r = this.#request;
    if (this.#state.mode !== 'webcodecs') {
      this.#send({ kind: 'mode', session: this.#session, mode: 'mse' });
      return;
    }
    if (r?.kind !== 'live') return;
    this.#goLive(r.camera, { ...r.opts, mode: 'mse' });
    this.#update({ notice: r.opts.mode === 'webcodecs' ? 'This computer cannot keep up with the fastest way: showing the usual one.' : null });
  }

  #update(change: Partial<PlayerState>): void {
    const next = { ...this.#state, ...change };
    const keys = Object.keys(change) as (keyof PlayerState)[];
    if (keys.every((k) => next[k] === this.#state[k])) return;
    this.#state = next;
    this.#emit();
  }

  #emit(): void {
    for (const fn of this.#listeners) fn(this.#state);
  }
}
