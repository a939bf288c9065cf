/**
 * The meta track (design 0001): what a hub says about a camera, sealed like
 * footage. Records of a newer version or an unknown type are passed over.
 */
import type { CameraMode, CameraStatus, GapReason, TrackKind } from '../owner/types';
import { fromUtf8 } from './bytes';
import { recordType, type PartRecord } from './part';

export interface StateRecord {
  readonly type: 'state';
  readonly at: number;
  readonly name: string;
  readonly mode: CameraMode;
  readonly status: CameraStatus;
  readonly error: string;
  readonly tracks: readonly { readonly track: string; readonly kind: TrackKind; readonly codec: string; readonly width: number; readonly height: number; readonly fps: number; readonly kbps: number }[];
  readonly hub: {
    readonly name: string;
    readonly version: string;
    readonly spoolParts: number;
    readonly spoolBytes: number;
    readonly spoolLimit: number;
    /** footage that is still to be sent, unix milliseconds; null for none */
    readonly backlog: { readonly from: number; readonly to: number } | null;
    readonly uplink: 'connected' | 'waiting' | 'off' | 'unknown';
  };
}

export interface GapRecord {
  readonly type: 'gap';
  readonly from: number;
  readonly to: number;
  readonly why: GapReason;
}

export interface EventRecord {
  readonly type: 'event';
  readonly id: string;
  readonly from: number;
  readonly to: number | null;
  readonly label: string;
}

export type MetaRecord = StateRecord | GapRecord | EventRecord;

/** The meta records of an opened part. */
export function metaRecords(records: readonly PartRecord[]): MetaRecord[] {
  return records.filter((r) => r.type === recordType.event).flatMap((r) => parseMeta(r.data) ?? []);
}

type Doc = Readonly<Record<string, unknown>>;

/** Reads one record; null for what this version does not know. */
export function parseMeta(data: Uint8Array): MetaRecord | null {
  let v: unknown;
  try {
    v = JSON.parse(fromUtf8(data));
  } catch {
    return null;
  }
  const d = doc(v);
  if (d['v'] !== 1) return null;
  switch (d['type']) {
    case 'state':
      return state(d);
    case 'gap':
      return { type: 'gap', from: num(d['from']), to: num(d['to']), why: oneOf(d['why'], reasons, 'missing') };
    case 'event': {
      const to = num(d['to']);
      return { type: 'event', id: str(d['id']), from: num(d['from']), to: to === 0 ? null : to, label: str(d['label']) };
    }
    default:
      return null;
  }
}

const statuses: readonly CameraStatus[] = ['recording', 'waiting', 'connecting', 'offline', 'refused', 'off', 'error'];
const reasons: readonly GapReason[] = [
  'camera-offline', 'wrong-password', 'camera-changed', 'hub-off', 'disk-full', 'disk-error', 'spool-full', 'clock-step', 'not-recording', 'switched-off',
];
const kinds: readonly TrackKind[] = ['video', 'video-sub', 'audio', 'meta', 'bio'];

function state(d: Doc): StateRecord {
  const hub = doc(d['hub']);
  return {
    type: 'state',
    at: num(d['at']),
    name: str(d['name']),
    mode: oneOf(d['mode'], ['continuous', 'events'] as const, 'continuous'),
    status: oneOf(d['status'], statuses, 'unknown'),
    error: str(d['error']),
    tracks: (Array.isArray(d['tracks']) ? d['tracks'] : []).map(doc).flatMap(track),
    hub: {
      name: str(hub['name']),
      version: str(hub['version']),
      spoolParts: num(hub['spool_parts']),
      spoolBytes: num(hub['spool_bytes']),
      spoolLimit: num(hub['spool_limit']),
      backlog: num(hub['backlog_from']) === 0 ? null : { from: num(hub['backlog_from']) * 1000, to: num(hub['backlog_to']) * 1000 },
      uplink: oneOf(hub['uplink'], ['connected', 'waiting', 'off'] as const, 'unknown'),
    },
  };
}

function track(t: Doc): StateRecord['tracks'][number][] {
  const kind = kinds.find((k) => k === t['kind']);
  const id = str(t['track']);
  if (kind === undefined || !/^[0-9a-f]{32}$/.test(id)) return [];
  return [{ track: id, kind, codec: str(t['codec']), width: num(t['width']), height: num(t['height']), fps: num(t['fps']), kbps: num(t['kbps']) }];
}

function doc(v: unknown): Doc {
  return typeof v === 'object' && v !== null ? (v as Doc) : {};
}

function num(v: unknown): number {
  return typeof v === 'number' && Number.isFinite(v) ? v : 0;
}

function str(v: unknown): string {
  return typeof v === 'string' ? v : '';
}

function oneOf<T extends string, F extends string>(v: unknown, list: readonly T[], otherwise: F): T | F {
  return list.find((x) => x === v) ?? otherwise;
}
