/**
 * A camera's timeline: where footage is, where it is not and why, what
 * happened. Where the server has it is the server's word; why it is missing is
 * believed only from the hub's own sealed records.
 */
import type { CameraId, Gap, GapReason, TimeRange, Timeline, TimelineEvent } from '../owner/types';
import type { Api } from './api';
import { hex, unhex } from './bytes';
import type { CameraDecl } from './chain';
import { deletedTimes, deletedWords, withDeleted } from './deleted';
import { bulkPace, type Footage, seekPace } from './footage';
import { type EventRecord, type GapRecord, metaRecords, type StateRecord } from './meta';
import type { Fault, Read } from './reader';
import { notShared, notSharedWords, type Sharing, withNotShared } from './shared';
import type { Segment } from '../api/latchkey/v1/latchkey_pb';

/** Holes shorter than this are the seams between epochs and slots. */
const seamMs = 3000;
/** A gap is written when it ends, or every 60 s while it lasts: look this far behind the range for its record. */
const lateRecordMs = 130_000;
/** Meta records are read for at most this long a range: what is longer is drawn from segments alone, and its gaps are not judged. */
const maxMetaMs = 8 * 86_400_000;
/** What a hub said longer ago than this excuses nothing any more. */
const saidMs = 120_000;

export interface Stored extends TimeRange {
  readonly epoch: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** Short plain sentences for each reason. */
export const gapWords: Readonly<Record<GapReason, string>> = {
  'camera-offline': 'The camera could not be reached.',
  'wrong-password': 'The camera refused the password.',
  'camera-changed': 'The camera was added or its settings changed.',
  'hub-off': 'The hub was off.',
  'disk-full': 'The hub’s disk was full.',
  'disk-error': 'The hub’s disk spoilt what it kept.',
  'spool-full': 'The hub could not keep more while the server was away.',
  'clock-step': 'The hub’s clock was set.',
  'not-recording': 'Not recording.',
  'switched-off': 'Switched off.',
  backlog: 'On its way: the hub has it and has not sent it yet.',
  'not-shared': notSharedWords,
  deleted: deletedWords,
  missing: 'Footage is missing and nobody said why.',
  unverified: 'Footage here did not verify and is not shown.',
};

/** Of a gap too young for its record. */
const unconfirmed = 'Nothing recorded; the hub has not said why yet.';
/** Of a gap in a view too long to read why. */
const unread = 'Nothing recorded here. Zoom in for the reason.';

export interface TimelineSource {
  readonly api: Api;
  readonly footage: Footage;
  readonly sharing: Sharing;
  /** faults that readers met on this camera's tracks, unix milliseconds */
  faultsOf(camera: CameraId): readonly Fault[];
}

export async function timeline(source: TimelineSource, camera: CameraDecl, from: number, to: number, signal: AbortSignal): Promise<Timeline> {
  const video = camera.tracks.find((t) => t.kind === 'video');
  const meta = camera.tracks.find((t) => t.kind === 'meta');
  const stored = video === undefined ? [] : await segments(source.api, hex(video.track), from, to);
  const told = meta === undefined ? { gaps: [], events: [], backlog: null } : to - from > maxMetaMs ? null : await records(source.footage, hex(meta.track), { from, to, open: endsOpen(stored, to) }, signal);
  const id = hex(camera.camera) as CameraId;
  const [begin, end] = [Math.max(from, camera.since * 1000), Math.min(to, Date.now())];
  const unshared = video === undefined ? [] : await notShared(source.sharing, camera, video.track, stored, begin, end);
  const gone = video === undefined ? [] : deletedTimes(source.sharing.chain, video.track, Date.now());
  const seen = withNotShared(joined(stored, from, to), withDeleted(gapsOf(stored, told?.gaps ?? null, begin, end, told?.backlog ?? null), gone), unshared);
  return {
    ranges: seen.ranges,
    gaps: [...seen.gaps, ...faulty(source.faultsOf(id), from, to)],
    events: told?.events ?? [],
    coarse: told === null,
  };
}

/** Where the server says parts are, in time order. */
async function segments(api: Api, track: string, from: number, to: number): Promise<Stored[]> {
  const out: Stored[] = [];
  let at = Math.floor(from / 1000);
  const end = Math.ceil(to / 1000);
  for (;;) {
    const reply = await api.footage.timeline({ track: unhex(track), from: BigInt(at), to: BigInt(end) });
    out.push(...reply.segments.map(storedOf));
    const last = out[out.length - 1];
    const next = last === undefined ? at : Math.floor(last.to / 1000);
    if (!reply.more || next <= at) return out;
    at = next;
  }
}

function storedOf(s: Segment): Stored {
  const start = Number(s.start);
  return {
    from: (start + s.firstSlot) * 1000,
    to: (start + s.lastSlot + 1) * 1000,
    epoch: hex(s.epoch),
    firstSeq: s.firstSeq,
    lastSeq: s.lastSeq,
  };
}

/** True when there is no footage at the end of the range, and it is not just on its way. */
function endsOpen(stored: readonly Stored[], to: number): boolean {
  return to < Date.now() - lateRecordMs && stored.every((s) => s.to < to - seamMs);
}

/** `open`: the range ends inside a gap, whose reason may be written only where the next footage begins. */
async function records(footage: Footage, track: string, { from, to, open }: TimeRange & { readonly open: boolean }, signal: AbortSignal): Promise<{ gaps: GapRecord[]; events: TimelineEvent[]; backlog: TimeRange | null }> {
  let state: StateRecord | null = null;
  const gaps: GapRecord[] = [];
  const events = new Map<string, EventRecord>();
  const take = (read: Read): void => {
    for (const r of read.opened.flatMap((t) => metaRecords(t.part.records))) {
      if (r.type === 'gap' && r.from < to && r.to > from) gaps.push(r);
      // Written at its begin and again at its end: the later word counts.
      if (r.type === 'event' && r.from < to && (r.to ?? to) > from) events.set(r.id, r);
      if (r.type === 'state' && r.at >= (state?.at ?? 0)) state = r;
    }
  };
  for await (const read of footage.read(track, { from, to: to + lateRecordMs }, bulkPace, signal)) take(read);
  if (open) {
    for await (const read of footage.read(track, { from: to + lateRecordMs }, seekPace, signal)) {
      take(read);
      break;
    }
  }
  const list = [...events.values()].map((e) => ({ id: e.id, from: e.from, to: e.to, label: e.label }));
  return { gaps, events: list.sort((a, b) => a.from - b.from), backlog: backlogOf(state, Date.now()) };
}

/** What the hub has yet to send, by its word of the last two minutes. */
export function backlogOf(state: StateRecord | null, now: number): TimeRange | null {
  return state === null || now - state.at >= saidMs ? null : state.hub.backlog;
}

/** Stored stretches with the seams closed, cut to the range. */
export function joined(stored: readonly Stored[], from: number, to: number): TimeRange[] {
  const out: { from: number; to: number }[] = [];
  for (const s of [...stored].sort((a, b) => a.from - b.from)) {
    const last = out[out.length - 1];
    if (last !== undefined && s.from - last.to < seamMs) last.to = Math.max(last.to, s.to);
    else out.push({ from: s.from, to: s.to });
  }
  return out.map((r) => ({ from: Math.max(r.from, from), to: Math.min(r.to, to) })).filter((r) => r.to > r.from);
}

/**
 * Every stretch of [from, to) without footage. What the hub's records cover has
 * their reason; a hole in the sequence of one epoch that they do not cover is
 * an alarm: the hub sealed parts there, and they are not there, unless it has
 * yet to send them (`backlog`). With `told` null nobody has read the reasons: no
 * gap is called explained or missing.
 */
export function gapsOf(stored: readonly Stored[], told: readonly GapRecord[] | null, from: number, to: number, backlog: TimeRange | null = null): Gap[] {
  const holes: { from: number; to: number; sealed: boolean }[] = [];
  const inOrder = [...stored].sort((a, b) => a.from - b.from || a.firstSeq - b.firstSeq);
  let end = from;
  let before: Stored | null = null;
  for (const s of inOrder) {
    const sealed: boolean = before?.epoch === s.epoch && s.firstSeq > before.lastSeq + 1;
    if (s.from - end >= seamMs || sealed) holes.push({ from: Math.min(end, s.from), to: Math.max(s.from, end), sealed });
    end = Math.max(end, s.to);
    before = s;
  }
  // The last seconds are on their way, not missing.
  if (to - end >= lateRecordMs / 2) holes.push({ from: end, to, sealed: false });
  if (told === null) return holes.map((h) => ({ from: h.from, to: Math.max(h.to, h.from + 1000), why: 'missing', words: unread, alarm: false }));
  return holes.flatMap((h) => explain(h, told)).map((g) => (onItsWay(g, backlog) ? { ...g, why: 'backlog', words: gapWords.backlog, alarm: false } : g));
}

function onItsWay(g: Gap, backlog: TimeRange | null): boolean {
  return g.why === 'missing' && backlog !== null && g.from < backlog.to + seamMs && g.to > backlog.from - seamMs;
}

function explain(hole: { from: number; to: number; sealed: boolean }, told: readonly GapRecord[]): Gap[] {
  const out: Gap[] = [];
  let at = hole.from;
  const relevant = longest(told.filter((g) => g.to > hole.from - seamMs && g.from < hole.to + seamMs));
  for (const g of relevant) {
    const from = Math.max(at, g.from, hole.from);
    const to = Math.min(g.to, hole.to);
    if (to <= from) continue;
    if (from - at >= seamMs) out.push(unexplained(at, from, hole.sealed));
    out.push({ from: from - at < seamMs ? at : from, to, why: g.why, words: gapWords[g.why], alarm: false });
    at = to;
  }
  if (hole.to - at >= seamMs || (out.length === 0 && hole.sealed)) out.push(unexplained(at, Math.max(hole.to, at + 1000), hole.sealed || out.length === 0));
  return out;
}

/** A gap is told again while it lasts; the longest telling of each begin counts. */
function longest(told: readonly GapRecord[]): GapRecord[] {
  const byBegin = new Map<string, GapRecord>();
  for (const g of told) {
    const key = `${g.from} ${g.why}`;
    const known = byBegin.get(key);
    if (known === undefined || known.to < g.to) byBegin.set(key, g);
  }
  return [...byBegin.values()].sort((a, b) => a.from - b.from);
}

function unexplained(from: number, to: number, alarm: boolean): Gap {
  return { from, to, why: 'missing', words: alarm ? gapWords.missing : unconfirmed, alarm };
}

function faulty(faults: readonly Fault[], from: number, to: number): Gap[] {
  return merged(
    faults
      .filter((f) => f.why === 'unverified' && f.to > from && f.from < to)
      .map((f) => ({ from: f.from, to: f.to, why: 'unverified' as const, words: gapWords.unverified, alarm: true })),
  );
}

/** Gaps in time order, those that touch and have the same reason as one. */
export function merged(gaps: readonly Gap[]): Gap[] {
  const out: Gap[] = [];
  for (const g of [...gaps].sort((a, b) => a.from - b.from)) {
    const last = out[out.length - 1];
    if (last !== undefined && last.why === g.why && last.alarm === g.alarm && g.from <= last.to) {
      out[out.length - 1] = { ...last, to: Math.max(last.to, g.to) };
    } else {
      out.push(g);
    }
  }
  return out;
}
