/** What a feed needs of a signed-in household; `Household` in src/crypto has it. */
import type { LiveSocket } from '../crypto/live';
import type { Footage } from '../crypto/footage';
import type { Fault } from '../crypto/reader';
import type { Camera, CameraId, Timeline, TrackKind, TrustState } from '../owner/types';
import { canPlay } from './sink';

export interface FeedHome {
  readonly live: Pick<LiveSocket, 'watch'>;
  readonly footage: Pick<Footage, 'read'>;
  camera(id: CameraId): Camera | null;
  track(id: CameraId, kind: TrackKind): string | null;
  seal(id: CameraId): { readonly state: TrustState; readonly words: string };
  fault(id: CameraId, fault: Fault): void;
  timeline(id: CameraId, from: number, to: number, signal: AbortSignal): Promise<Timeline>;
}

export interface Choice {
  readonly track: string;
  readonly kind: 'video' | 'video-sub';
  readonly notice: string | null;
}

export const cannotPlayWords = 'This browser cannot play the camera’s H.265 picture: showing the small stream.';

/** Which picture track to show; null when the camera has none that this browser can play. */
export function chooseVideo(home: FeedHome, camera: CameraId, quality: 'main' | 'sub'): Choice | null {
  const main = home.track(camera, 'video');
  const sub = home.track(camera, 'video-sub');
  const wanted: Choice['kind'] = quality === 'sub' && sub !== null ? 'video-sub' : 'video';
  const track = wanted === 'video' ? main : sub;
  if (track !== null && playable(home, camera, wanted)) return { track, kind: wanted, notice: null };
  if (wanted === 'video' && sub !== null && playable(home, camera, 'video-sub')) {
    return { track: sub, kind: 'video-sub', notice: cannotPlayWords };
  }
  return null;
}

/** A codec that is not known yet may be tried: its first init tells. */
function playable(home: FeedHome, camera: CameraId, kind: Choice['kind']): boolean {
  const codec = home.camera(camera)?.tracks[kind]?.codec ?? '';
  return codec === '' || canPlay(`video/mp4; codecs="${codec}"`);
}
