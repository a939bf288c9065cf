/**
 * Where the reader is. Places live behind the `#` of the address: that part
 * never leaves the browser, so the server does not learn which camera, or which
 * minute of which night, somebody is looking at.
 */
import type { CameraId, Kid } from './types';

export type SettingsTab = 'cameras' | 'hubs' | 'devices' | 'passkeys' | 'recovery' | 'trust' | 'browser';

export type Route =
  | { readonly page: 'home' }
  /** `at` is Unix milliseconds; absent means live. */
  | { readonly page: 'camera'; readonly camera: CameraId; readonly at?: number }
  | { readonly page: 'review' }
  /** `seq`: at one statement. */
  | { readonly page: 'access'; readonly seq?: number }
  /** Help of whoever runs the server; `ticket`: one of it. */
  | { readonly page: 'help'; readonly ticket?: number }
  /** What is shared now. */
  | { readonly page: 'shared' }
  | { readonly page: 'people' }
  | { readonly page: 'person'; readonly kid: Kid }
  | { readonly page: 'invite' }
  | { readonly page: 'settings'; readonly tab: SettingsTab }
  | { readonly page: 'add-hub' }
  | { readonly page: 'add-camera'; readonly change?: CameraId }
  /** A new recovery code; new keys and a new code. */
  | { readonly page: 'new-code' }
  | { readonly page: 'new-keys' };

export const TABS: readonly SettingsTab[] = ['cameras', 'hubs', 'devices', 'passkeys', 'recovery', 'trust', 'browser'];
const ID = /^[0-9a-f]{32}$/;

/** Reads a location hash; anything it does not know is home. */
export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', arg = ''] = path.split('/');
  switch (page) {
    case 'camera':
      return cameraRoute(arg, new URLSearchParams(query).get('at'));
    case 'review':
    case 'shared':
    case 'new-code':
    case 'new-keys':
      return { page };
    case 'people':
      return arg === 'invite' ? { page: 'invite' } : ID.test(arg) ? { page: 'person', kid: arg as Kid } : { page: 'people' };
    case 'settings':
      return { page: 'settings', tab: TABS.find((tab) => tab === arg) ?? 'cameras' };
    case 'access':
      return /^\d{1,9}$/.test(arg) ? { page: 'access', seq: Number(arg) } : { page: 'access' };
    case 'help':
      return /^\d{1,15}$/.test(arg) ? { page: 'help', ticket: Number(arg) } : { page: 'help' };
    case 'add-hub':
      return { page: 'add-hub' };
    case 'add-camera':
      return ID.test(arg) ? { page: 'add-camera', change: arg as CameraId } : { page: 'add-camera' };
    default:
      return { page: 'home' };
  }
}

function cameraRoute(id: string, at: string | null): Route {
  if (!ID.test(id)) return { page: 'home' };
  const camera = id as CameraId;
  return at !== null && /^\d{1,15}$/.test(at) ? { page: 'camera', camera, at: Number(at) } : { page: 'camera', camera };
}

/** The address of a place; parseRoute(href(r)) is r. */
export function href(route: Route): string {
  switch (route.page) {
    case 'home':
      return '#/';
    case 'camera':
      return `#/camera/${route.camera}` + (route.at === undefined ? '' : `?at=${route.at}`);
    case 'settings':
      return `#/settings/${route.tab}`;
    case 'access':
      return '#/access' + (route.seq === undefined ? '' : `/${route.seq}`);
    case 'help':
      return '#/help' + (route.ticket === undefined ? '' : `/${route.ticket}`);
    case 'person':
      return `#/people/${route.kid}`;
    case 'invite':
      return '#/people/invite';
    case 'add-camera':
      return '#/add-camera' + (route.change === undefined ? '' : `/${route.change}`);
    default:
      return `#/${route.page}`;
  }
}

/** What a link hands over behind its `#`: a recovery code, an invitation to join, or the help of a trusted contact. */
export interface LinkCode {
  readonly kind: 'recover' | 'join' | 'help';
  readonly code: string;
}

/** The code of a `#recover=CODE`, `#join=CODE` or `#help=CODE` link, or null. */
export function linkCode(hash: string): LinkCode | null {
  const match = /^#(recover|join|help)=(.+)$/.exec(hash);
  if (match?.[2] === undefined) return null;
  return { kind: match[1] === 'join' || match[1] === 'help' ? match[1] : 'recover', code: decoded(match[2]) };
}

/** An invitation as somebody pastes it: the whole link, or the code alone. */
export function pastedInvitation(text: string): string {
  return linkCode(/#.*$/.exec(text.trim())?.[0] ?? '')?.code ?? text.trim();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
