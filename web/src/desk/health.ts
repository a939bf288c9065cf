/** What a hub's report says (docs/spec/meta.md, "Health"), and what it points to: the same as `latchkey staff health`. */
import { length } from '../ui/when';

export interface CameraHealth {
  readonly camera: string;
  readonly mode: string;
  readonly status: string;
  readonly error: string;
  readonly lost: number;
  readonly tracks: readonly { readonly kind: string; readonly codec: string; readonly width: number; readonly height: number; readonly fps: number; readonly kbps: number }[];
}

export interface Health {
  readonly version: string;
  /** unix seconds */
  readonly started: number;
  readonly clock: string;
  readonly clockOff: number | null;
  readonly uplink: string;
  readonly spoolBytes: number;
  readonly spoolLimit: number;
  readonly backlogFrom: number;
  readonly backlogTo: number;
  readonly cameras: readonly CameraHealth[];
}

export interface Diagnosis {
  readonly kind: 'silent' | 'clock' | 'line' | 'disk' | 'offline' | 'password' | 'codec' | 'picture' | 'loss';
  /** id; empty: the hub */
  readonly camera: string;
  readonly words: string;
  readonly next: string;
}

const staleMs = 120_000; // a hub reports every 15 s
const clockLimit = 10; // seconds
const thinLineS = 90;
const lossLimit = 100; // packets
const fullSpool = 0.8;

const text = (v: unknown): string => (typeof v === 'string' ? v : '');
const number = (v: unknown): number => (typeof v === 'number' && Number.isFinite(v) ? v : 0);
const list = (v: unknown): Record<string, unknown>[] => (Array.isArray(v) ? v.filter((x): x is Record<string, unknown> => typeof x === 'object' && x !== null) : []);

/** Reads a report; null when it is not of this version. */
export function readHealth(json: string): Health | null {
  let d: unknown;
  try {
    d = JSON.parse(json);
  } catch {
    return null;
  }
  if (typeof d !== 'object' || d === null) return null;
  const h = d as Record<string, unknown>;
  return {
    version: text(h['version']), started: number(h['started']), clock: text(h['clock']), clockOff: typeof h['clock_off'] === 'number' ? h['clock_off'] : null, uplink: text(h['uplink']),
    spoolBytes: number(h['spool_bytes']), spoolLimit: number(h['spool_limit']), backlogFrom: number(h['backlog_from']), backlogTo: number(h['backlog_to']),
    cameras: list(h['cameras']).map((c) => ({
      camera: text(c['camera']), mode: text(c['mode']), status: text(c['status']), error: text(c['error']), lost: number(c['lost']),
      tracks: list(c['tracks']).map((t) => ({ kind: text(t['kind']), codec: text(t['codec']), width: number(t['width']), height: number(t['height']), fps: number(t['fps']), kbps: number(t['kbps']) })),
    })),
  };
}

/** What stands out. `at` is when the report was signed; unix milliseconds. */
export function diagnose(h: Health, at: number, now: number): Diagnosis[] {
  const out: Diagnosis[] = [];
  const add = (kind: Diagnosis['kind'], words: string, next: string): void => void out.push({ kind, camera: '', words, next });
  if (now - at > staleMs) {
    add('silent', `The hub has not reported for ${length(now - at)}: it is off, or cut off from the internet.`,
      'Ask whether the hub has power and its lamp for the network is on. What it records while it is cut off is sent later.');
  }
  if (h.clockOff !== null && Math.abs(h.clockOff) > clockLimit) {
    add('clock', `The hub’s clock is ${h.clockOff} seconds off.`, 'Ask to set the time of that machine to automatic. Footage before keeps the old times.');
  }
  const behind = h.backlogTo - h.backlogFrom;
  if (h.backlogFrom > 0 && behind > thinLineS) {
    add('line', `${length(behind * 1000)} of footage wait to be sent: the line out of the home is too thin, or was down.`,
      'If it grows, ask to lower the cameras’ bit rate, or to set one to record on events.');
  }
  if (h.spoolLimit > 0 && h.spoolBytes > fullSpool * h.spoolLimit) {
    add('disk', 'The hub’s store for footage that waits is nearly full.', 'When it is full, the oldest is lost: the line has to be mended before.');
  }
  return [...out, ...h.cameras.flatMap(ofCamera)];
}

const errors = new Map<string, readonly [Diagnosis['kind'], string, string]>([
  ['unreachable', ['offline', 'The hub does not reach this camera.', 'Ask whether the camera has power, and whether its address in the home is still the same.']],
  ['wrong-password', ['password', 'The camera refuses the user name and password.', 'Ask to enter the right ones in the app. Nobody has to tell them to you.']],
  ['no-media', ['codec', 'The camera offers no H.264 or H.265 picture at this address.', 'Ask to choose H.264 in the camera’s own settings, or the address of another stream.']],
  ['no-picture', ['picture', 'The camera is connected and sends no picture.', 'Ask to restart the camera.']],
]);

function ofCamera(c: CameraHealth): Diagnosis[] {
  const out: Diagnosis[] = [];
  const found = errors.get(c.error);
  if (found !== undefined) out.push({ kind: found[0], camera: c.camera, words: found[1], next: found[2] });
  if (c.lost > lossLimit) {
    out.push({ kind: 'loss', camera: c.camera, words: `${c.lost} packets from this camera were lost.`, next: 'Ask whether it is on wireless: a nearer access point, or a cable, ends that.' });
  }
  if (c.tracks.some((t) => /^(hvc1|hev1)/.test(t.codec))) {
    out.push({ kind: 'codec', camera: c.camera, words: 'The picture is H.265, which some browsers do not play.', next: 'If it does not play there, ask to choose H.264 in the camera’s own settings.' });
  }
  return out;
}

/** "video avc1.64001f 1280×720 25/s 1800 kbit/s" */
export function trackWords(t: CameraHealth['tracks'][number]): string {
  const size = t.height > 0 ? ` ${t.width}×${t.height} ${Math.round(t.fps)}/s` : '';
  return `${t.kind} ${t.codec}${size} ${t.kbps} kbit/s`;
}
