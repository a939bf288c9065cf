/**
 * The one line that answers "is everything all right?". Pure: what the pages
 * know in, one sentence out. The worst thing wins; nothing is claimed that was
 * not checked.
 */
import { m } from './messages';
import type { LogState } from './access/types';
import type { Camera, Hub, Trust } from './types';
import { moment } from './when';

export type Tone = 'ok' | 'busy' | 'warn' | 'alarm';

export interface StateLine {
  readonly tone: Tone;
  readonly words: string;
}

/** cameras and hubs as last known, trust and log null while they are being asked; now in Unix milliseconds. */
export function stateLine(cameras: readonly Camera[], hubs: readonly Hub[], trust: Trust | null, now: number, log: LogState | null = null): StateLine {
  if (log?.state === 'broken') return { tone: 'alarm', words: m.line.logBroken };
  if (trust?.state === 'broken') return { tone: 'alarm', words: m.line.broken };
  const doubled = hubs.find((hub) => hub.doubled !== null);
  if (doubled !== undefined) return { tone: 'alarm', words: m.line.doubled(doubled.name || m.line.hubFallback) };
  const recording = recordingPart(cameras, hubs, now);
  const checked = checkedPart(trust, log, now);
  return { tone: worse(recording.tone, checked.tone), words: `${recording.words} ${checked.words}`.trim() };
}

function recordingPart(cameras: readonly Camera[], hubs: readonly Hub[], now: number): StateLine {
  const silent = hubs.filter((hub) => !hub.online);
  if (hubs.length > 0 && silent.length === hubs.length) {
    const last = Math.max(...silent.map((hub) => hub.lastSeen ?? 0));
    return { tone: 'warn', words: last > 0 ? m.line.hubSilentSince(moment(last, now)) : m.line.hubSilent };
  }
  const wanted = cameras.filter((camera) => camera.status !== 'off');
  const troubled = wanted.filter((camera) => ['offline', 'refused', 'error'].includes(camera.status));
  if (troubled.length > 0) return { tone: 'warn', words: troubledWords(troubled, wanted.length) };
  const starting = wanted.filter((camera) => ['connecting', 'unknown'].includes(camera.status));
  if (starting.length > 0) return { tone: 'busy', words: m.line.starting(starting.map((camera) => camera.name)) };
  if (wanted.length === 0) return { tone: 'busy', words: m.line.allOff };
  return { tone: 'ok', words: wanted.every((camera) => camera.mode === 'events') ? m.line.allWatching : m.line.allRecording };
}

function troubledWords(troubled: readonly Camera[], total: number): string {
  const [first] = troubled;
  if (troubled.length === 1 && first !== undefined) return m.line.oneDown(first.name, first.error);
  return m.line.someDown(troubled.length, total);
}

function checkedPart(trust: Trust | null, log: LogState | null, now: number): StateLine {
  switch (trust?.state) {
    case 'verified':
      return verifiedPart(trust.since, log, now);
    case 'stale':
      return { tone: 'warn', words: m.line.stale(clockOrNull(trust.since, now)) };
    default:
      return { tone: 'busy', words: m.line.verifying };
  }
}

/** Footage and statements together: whole as far as both are. */
function verifiedPart(since: number | null, log: LogState | null, now: number): StateLine {
  if (log?.state === 'complete' && log.until !== null) return { tone: 'ok', words: m.line.complete(moment(Math.min(since ?? now, log.until), now)) };
  const words = m.line.verified(clockOrNull(since, now));
  return log?.state === 'stale' ? { tone: 'warn', words: `${words} ${m.line.logStale(clockOrNull(log.until, now))}` } : { tone: 'ok', words };
}

const clockOrNull = (ms: number | null, now: number): string | null => (ms === null ? null : moment(ms, now));

const RANK: readonly Tone[] = ['ok', 'busy', 'warn', 'alarm'];
const worse = (a: Tone, b: Tone): Tone => (RANK.indexOf(a) >= RANK.indexOf(b) ? a : b);
