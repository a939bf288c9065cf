/**
 * What the hubs say about their cameras now: the newest state of each meta
 * track, kept fresh by watching it live.
 */
import type { Camera, CameraId, HomeChange, Kid, TimeRange, TrackId, TrackInfo, TrackKind } from '../owner/types';
import { type Bytes, equal, hex } from './bytes';
import type { CameraDecl, ChainState } from './chain';
import type { EpochBook } from './epochs';
import { bulkPace, type Footage } from './footage';
import type { LiveSocket } from './live';
import { metaRecords, type StateRecord } from './meta';
import type { Timed } from './reader';
import type { TrustBook } from './trust';

/** A state is written every 60 s (design 0001); look back a little more. */
const lookBackMs = 75_000;
const maxLooks = 4;

interface Known {
  readonly state: StateRecord;
  readonly hub: string;
  /** counter of the epoch that the state was sealed in */
  readonly n: number;
}

export class CameraBook {
  readonly #known = new Map<string, Known>();
  readonly #watched = new Map<string, { readonly stop: () => void; readonly first: Promise<void> }>();
  readonly #removed = new Set<string>();
  readonly #epochs: EpochBook;
  readonly #footage: Footage;
  readonly #live: LiveSocket;
  readonly #trust: TrustBook;
  readonly #granted: (c: CameraDecl) => readonly TimeRange[];
  readonly #changed: (what: HomeChange) => void;

  constructor(a: { epochs: EpochBook; footage: Footage; live: LiveSocket; trust: TrustBook; granted: (c: CameraDecl) => readonly TimeRange[]; changed: (what: HomeChange) => void }) {
    this.#epochs = a.epochs;
    this.#footage = a.footage;
    this.#live = a.live;
    this.#trust = a.trust;
    this.#granted = a.granted;
    this.#changed = a.changed;
  }

  /** Begins to watch all cameras of the chain, and no others; resolves after a first look at each. */
  async look(chain: ChainState): Promise<void> {
    for (const [id, watched] of this.#watched) {
      if (chain.cameras.has(id)) continue;
      watched.stop();
      this.#watched.delete(id);
    }
    const declared = [...chain.cameras.values()].filter((c) => !this.#removed.has(hex(c.camera)));
    await Promise.all(declared.map((c) => this.#watch(c)));
  }

  /** All cameras of the chain that have not been removed. */
  list(chain: ChainState): Camera[] {
    return [...chain.cameras.values()].map((c) => this.describe(c)).filter((c): c is Camera => c !== null);
  }

  /** A camera as last described; null when it has been removed. */
  describe(decl: CameraDecl): Camera | null {
    const id = hex(decl.camera) as CameraId;
    const known = this.#known.get(id);
    if (this.#removed.has(id) || (known !== undefined && this.#dropped(decl, known))) return null;
    return {
      id,
      name: known?.state.name ?? '',
      mode: known?.state.mode ?? 'continuous',
      status: known?.state.status ?? 'unknown',
      error: known?.state.error ?? '',
      tracks: tracksOf(decl, known?.state ?? null),
      lastSeen: known?.state.at ?? null,
      hub: (known?.hub ?? null) as Kid | null,
      granted: this.#granted(decl),
    };
  }

  /** A removed camera is one whose hub has begun an epoch without it. */
  #dropped(decl: CameraDecl, known: Known): boolean {
    const meta = decl.tracks.find((t) => t.kind === 'meta');
    const newest = this.#epochs.newest(known.hub);
    return meta !== undefined && known.n > 0 && newest !== null && newest.note.n > known.n && !newest.note.tracks.has(hex(meta.track));
  }

  /** What a hub last said about itself, in the state of any of its cameras. */
  hubState(hub: string): { readonly at: number; readonly hub: StateRecord['hub'] } | null {
    const mine = [...this.#known.values()].filter((k) => k.hub === hub).map((k) => k.state);
    mine.sort((a, b) => b.at - a.at);
    return mine[0] ?? null;
  }

  /** The owner removed it here; its hub's word follows. */
  forget(id: CameraId): void {
    this.#removed.add(id);
    this.#watched.get(id)?.stop();
    this.#watched.delete(id);
    this.#changed('cameras');
  }

  /** Takes what the owner just told the hub as the state until the hub speaks. */
  expect(id: CameraId, hub: Kid, name: string, state: Pick<StateRecord, 'mode'>): void {
    if (this.#known.has(id)) return;
    const none = { name: '', version: '', spoolParts: 0, spoolBytes: 0, spoolLimit: 0, backlog: null, uplink: 'unknown' as const };
    this.#known.set(id, { hub, n: 0, state: { type: 'state', at: 0, name, mode: state.mode, status: 'connecting', error: '', tracks: [], hub: none } });
  }

  close(): void {
    for (const w of this.#watched.values()) w.stop();
    this.#watched.clear();
  }

  #watch(decl: CameraDecl): Promise<void> {
    const id = hex(decl.camera);
    const meta = decl.tracks.find((t) => t.kind === 'meta');
    if (meta === undefined) return Promise.resolve();
    let watched = this.#watched.get(id);
    if (watched === undefined) {
      const stop = this.#live.watch(hex(meta.track), {
        parts: (opened) => {
          this.#take(id, opened);
        },
        fault: (fault) => {
          if (fault.cause !== null) this.#trust.report(id as CameraId, fault.cause);
        },
        skip: () => undefined,
        idle: () => undefined,
        connected: () => undefined,
      });
      watched = { stop, first: this.#lookBack(id, meta.track, this.#granted(decl)).catch(() => undefined) };
      this.#watched.set(id, watched);
    }
    return watched.first;
  }

  #take(id: string, opened: readonly Timed[]): void {
    for (const t of opened) {
      for (const r of metaRecords(t.part.records)) {
        if (r.type !== 'state') continue;
        const before = this.#known.get(id)?.state;
        if (before !== undefined && before.at > r.at) continue;
        this.#known.set(id, { state: r, hub: hex(t.epoch.note.hub), n: t.epoch.note.n });
        this.#changed('cameras');
        this.#changed('hubs');
      }
    }
  }

  /** The newest state on record: perhaps from long ago, when its hub went away; of what was given at the end of it. */
  async #lookBack(id: string, track: Bytes, granted: readonly TimeRange[]): Promise<void> {
    const signal = new AbortController().signal;
    const begun = granted.filter((r) => r.from < Date.now());
    let from = Math.min(Date.now(), begun.at(-1)?.to ?? Infinity) - lookBackMs;
    for (let i = 0; i < maxLooks; i++) {
      let first: number | null = null;
      for await (const read of this.#footage.read(hex(track), { from }, bulkPace, signal)) {
        first ??= read.opened[0]?.at ?? null;
        this.#take(id, read.opened);
      }
      if (this.#known.get(id)?.state.at || first === null) return;
      from = Math.min(first, from) - lookBackMs * 4 ** i;
    }
  }
}

function tracksOf(decl: CameraDecl, state: StateRecord | null): Camera['tracks'] {
  const out: Partial<Record<TrackKind, TrackInfo>> = {};
  for (const t of decl.tracks) {
    const said = state?.tracks.find((s) => s.track === hex(t.track));
    out[t.kind] = {
      track: hex(t.track) as TrackId,
      codec: said?.codec ?? '',
      width: said?.width ?? 0,
      height: said?.height ?? 0,
      fps: said?.fps ?? 0,
      kbps: said?.kbps ?? 0,
    };
  }
  return out;
}

/** The declaration of a camera; null when the chain has none. */
export function findCamera(chain: ChainState, id: Bytes): CameraDecl | null {
  return [...chain.cameras.values()].find((c) => equal(c.camera, id)) ?? null;
}
