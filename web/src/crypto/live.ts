/**
 * The live socket (design 0001, Live): one connection for all tracks, opened
 * parts out. Connects by itself again; watchers stay.
 */
import type { Bytes } from './bytes';
import { hex, parseB64 } from './bytes';
import type { EpochBook } from './epochs';
import type { OpenEpoch } from './epoch';
import { parsePart, type Part } from './part';
import { type Fault, type Timed, TrackReader } from './reader';

/** Hears one track. Calls come in order; all times are unix milliseconds. */
export interface Watcher {
  parts(opened: readonly Timed[]): void;
  fault(fault: Fault): void;
  /** the server left out parts because this reader is slow */
  skip(count: number): void;
  /** no source now */
  idle(): void;
  /** the connection was lost or is there again */
  connected(on: boolean): void;
}

export interface LiveEvents {
  heads(epoch: OpenEpoch, note: Bytes): void;
  hub(online: boolean): void;
  /** bytes came that are no part */
  garbage(cause: unknown): void;
}

/** Reads a JSON message; a field of the wrong type counts as absent. */
interface Control {
  readonly op: string;
  readonly track: string;
  readonly epoch: string;
  readonly note: string;
  readonly why: string;
  readonly from: number;
  readonly to: number;
  readonly online: boolean;
}

const ackEvery = 100;
const firstRetry = 250;
const lastRetry = 8000;
/** A track stays watched this long after its last watcher: who comes back at once finds it running. */
const lingerMs = 3000;
/** Parts of an ended watch may still be on their way this long; a new watch begins after them. */
const settleMs = 1200;

interface Skip {
  readonly epoch: string;
  readonly skipTo: number;
}

class TrackLine {
  readonly watchers = new Set<Watcher>();
  readonly track: string;
  /** opened parts since the newest random-access part: the beginning for whoever joins now */
  recent: Timed[] = [];
  reader: TrackReader;
  linger: ReturnType<typeof setTimeout> | undefined;
  /** false while parts of an earlier watch of this track may still arrive */
  asked = false;
  received: { epoch: string; seq: number } | null = null;
  acked: { epoch: string; seq: number } | null = null;
  readonly #epochs: EpochBook;
  #queue: (Part | Skip)[] = [];
  #busy = false;
  // A connection that ends makes what is still queued from it stale.
  #generation = 0;

  constructor(track: string, epochs: EpochBook) {
    this.track = track;
    this.#epochs = epochs;
    this.reader = new TrackReader(track, epochs);
  }

  restart(): void {
    this.#queue = [];
    this.recent = [];
    this.#generation++;
    this.received = null;
    this.acked = null;
    this.reader = new TrackReader(this.track, this.#epochs);
  }

  push(item: Part | Skip): void {
    this.#queue.push(item);
    if (!this.#busy) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#queue.length > 0) {
      const generation = this.#generation;
      const batch = this.#takeBatch();
      try {
        const read = await this.reader.read(batch);
        if (generation === this.#generation) this.#hand(batch, read.opened, read.faults);
      } catch {
        // Only the network fails here (an epoch could not be fetched): these parts
        // are lost to the picture, and the next ones say so as a hole.
      }
    }
    this.#busy = false;
  }

  /** Everything up to the next skip notice: verified as one run. */
  #takeBatch(): Part[] {
    const parts: Part[] = [];
    for (let item = this.#queue[0]; item !== undefined; item = this.#queue[0]) {
      if ('skipTo' in item) {
        if (parts.length > 0) break;
        this.reader.excuse(item.epoch, item.skipTo);
      } else {
        parts.push(item);
      }
      this.#queue.shift();
    }
    return parts;
  }

  #hand(batch: readonly Part[], opened: readonly Timed[], faults: readonly Fault[]): void {
    const last = batch[batch.length - 1]?.header;
    if (last !== undefined) this.received = { epoch: hex(last.epoch), seq: last.seq };
    for (const t of opened) {
      if (t.part.rap) this.recent = [];
      if (t.part.rap || this.recent.length > 0) this.recent.push(t);
    }
    for (const w of this.watchers) {
      for (const f of faults) w.fault(f);
      if (opened.length > 0) w.parts(opened);
    }
  }
}

export class LiveSocket {
  readonly #url: string;
  readonly #epochs: EpochBook;
  readonly #events: LiveEvents;
  readonly #beforeRetry: () => Promise<unknown>;
  readonly #tracks = new Map<string, TrackLine>();
  readonly #ended = new Map<string, number>();
  #socket: WebSocket | null = null;
  #retry = firstRetry;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #acks: ReturnType<typeof setInterval> | undefined;
  #closed = false;

  /** beforeRetry renews the session: a socket cannot tell a missing session from a lost network. */
  constructor(a: { origin: string; epochs: EpochBook; events: LiveEvents; beforeRetry: () => Promise<unknown> }) {
    this.#url = `${a.origin.replace(/^http/, 'ws')}/v1/live`;
    this.#epochs = a.epochs;
    this.#events = a.events;
    this.#beforeRetry = a.beforeRetry;
  }

  /**
   * Hears a track from its newest random-access part on; returns how to stop.
   * `atOnce` frees the line for something else: the track does not linger.
   */
  watch(track: string, watcher: Watcher): (atOnce?: boolean) => void {
    const known = this.#tracks.get(track);
    if (known !== undefined) {
      clearTimeout(known.linger);
      known.watchers.add(watcher);
      const burst = [...known.recent];
      // After return, so that the caller has what it needs to be called back.
      queueMicrotask(() => {
        if (known.watchers.has(watcher) && burst.length > 0) watcher.parts(burst);
      });
    } else {
      const line = new TrackLine(track, this.#epochs);
      line.watchers.add(watcher);
      this.#tracks.set(track, line);
      this.#ensure();
      setTimeout(() => {
        this.#ask(line);
      }, Math.max(0, (this.#ended.get(track) ?? 0) + settleMs - Date.now()));
    }
    return (atOnce = false) => {
      this.#leave(track, watcher, atOnce ? 0 : lingerMs);
    };
  }

  /** Newest verified part of each watched track. */
  position(track: string): ReturnType<() => TrackReader['last']> {
    return this.#tracks.get(track)?.reader.last ?? null;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#acks);
    this.#socket?.close();
    this.#socket = null;
    for (const line of this.#tracks.values()) clearTimeout(line.linger);
    this.#tracks.clear();
  }

  #leave(track: string, watcher: Watcher, linger: number): void {
    const line = this.#tracks.get(track);
    if (line === undefined || !line.watchers.delete(watcher) || line.watchers.size > 0) return;
    if (linger === 0) this.#end(track);
    else line.linger = setTimeout(() => { this.#end(track); }, linger);
  }

  #end(track: string): void {
    this.#tracks.delete(track);
    this.#ended.set(track, Date.now());
    this.#send({ op: 'unwatch', track });
  }

  #ask(line: TrackLine): void {
    if (line.asked || this.#tracks.get(line.track) !== line || this.#socket?.readyState !== WebSocket.OPEN) return;
    line.asked = true;
    this.#send({ op: 'watch', track: line.track });
  }

  #ensure(): void {
    if (this.#socket !== null || this.#timer !== undefined || this.#closed) return;
    const socket = new WebSocket(this.#url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    socket.onopen = () => {
      this.#opened();
    };
    socket.onmessage = (e: MessageEvent<ArrayBuffer | string>) => {
      if (typeof e.data === 'string') this.#control(e.data);
      else this.#part(new Uint8Array(e.data));
    };
    socket.onclose = () => {
      this.#lost(socket);
    };
  }

  #opened(): void {
    this.#retry = firstRetry;
    for (const line of this.#tracks.values()) {
      line.restart();
      this.#ask(line);
    }
    this.#acks = setInterval(() => {
      this.#acknowledge();
    }, ackEvery);
    this.#each((w) => {
      w.connected(true);
    });
  }

  #lost(socket: WebSocket): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    clearInterval(this.#acks);
    this.#ended.clear();
    for (const line of this.#tracks.values()) line.asked = false;
    this.#each((w) => {
      w.connected(false);
    });
    if (this.#closed || this.#tracks.size === 0) return;
    this.#timer = setTimeout(() => {
      void this.#reconnect();
    }, this.#retry);
    this.#retry = Math.min(lastRetry, this.#retry * 2);
  }

  async #reconnect(): Promise<void> {
    // Without a network this fails, and so will the socket, which tries again.
    await this.#beforeRetry().catch(() => undefined);
    this.#timer = undefined;
    this.#ensure();
  }

  #each(fn: (w: Watcher) => void): void {
    for (const line of this.#tracks.values()) for (const w of line.watchers) fn(w);
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #acknowledge(): void {
    for (const line of this.#tracks.values()) {
      const at = line.received;
      if (at === null || (line.acked?.seq === at.seq && line.acked.epoch === at.epoch)) continue;
      line.acked = at;
      this.#send({ op: 'ack', track: line.track, epoch: at.epoch, seq: at.seq });
    }
  }

  #part(bytes: Bytes): void {
    let part: Part;
    try {
      part = parsePart(bytes);
    } catch (err) {
      // They name no track: told to the household, and a hole in some track follows.
      this.#events.garbage(err);
      return;
    }
    const line = this.#tracks.get(hex(part.header.track));
    if (line?.asked === true) line.push(part);
  }

  #control(text: string): void {
    const m = parseControl(text);
    const line = this.#tracks.get(m.track);
    switch (m.op) {
      case 'epoch':
        // Fetched before its first part arrives; a failure is met again there.
        this.#epochs.get(m.epoch).catch(() => undefined);
        return;
      case 'heads':
        void this.#heads(m);
        return;
      case 'hub':
        this.#events.hub(m.online);
        return;
      case 'skip':
        line?.push({ epoch: m.epoch, skipTo: m.to });
        for (const w of line?.watchers ?? []) w.skip(m.to - m.from);
        return;
      case 'idle':
      case 'error':
        for (const w of line?.watchers ?? []) w.idle();
        return;
    }
  }

  async #heads(m: Control): Promise<void> {
    const note = parseB64(m.note);
    if (note === null) return;
    try {
      this.#events.heads(await this.#epochs.get(m.epoch), note);
    } catch {
      // Heads of an epoch that does not open are worth nothing; the missing ones age.
    }
  }
}

function parseControl(text: string): Control {
  let m: Partial<Record<string, unknown>> = {};
  try {
    const v: unknown = JSON.parse(text);
    if (typeof v === 'object' && v !== null) m = v as Partial<Record<string, unknown>>;
  } catch {
    // not JSON: an unknown op, ignored
  }
  const str = (k: string): string => (typeof m[k] === 'string' ? m[k] : '');
  const num = (k: string): number => (typeof m[k] === 'number' ? m[k] : 0);
  return {
    op: str('op'), track: str('track'), epoch: str('epoch'), note: str('note'), why: str('why'),
    from: num('from'), to: num('to'), online: m['online'] === true,
  };
}
