/** Who may see what, as a form and in words. Pure. */
import { mp } from '../messages-people';
import type { Camera, CameraId, Rights } from '../types';

export type Sight = 'both' | 'picture' | 'none';

/** What these rights show of a camera; sound counts only where there is some. */
export function sight(rights: Rights, camera: CameraId): Sight {
  if (rights.all) return 'both';
  const one = rights.cameras.find((c) => c.camera === camera);
  return one === undefined ? 'none' : one.sound ? 'both' : 'picture';
}

/** What a sight of this camera is called: one that records no sound shows a picture to everybody. */
export function sightWords(rights: Rights, camera: Camera): string {
  const seen = sight(rights, camera.id);
  const { sees } = mp.people;
  if (seen === 'none') return sees.none;
  if (camera.tracks.audio === undefined) return sees.picture;
  return seen === 'both' ? sees.both : sees.silent;
}

/** One sentence's worth: "Porch with sound, Driveway". */
export function rightsWords(rights: Rights, cameras: readonly Camera[]): string {
  if (rights.all) return mp.people.allCameras;
  const seen = cameras.filter((camera) => sight(rights, camera.id) !== 'none');
  if (seen.length === 0) return mp.people.nothing;
  return seen.map((camera) => (sight(rights, camera.id) === 'both' && camera.tracks.audio !== undefined ? mp.rights.soundOf(camera.name) : camera.name)).join(', ');
}

/** The rights as they are ticked. */
export interface RightsForm {
  all: boolean;
  /** Ticked cameras; the value says whether with sound. */
  chosen: Record<CameraId, boolean>;
}

export function toForm(rights: Rights): RightsForm {
  return rights.all ? { all: true, chosen: {} } : { all: false, chosen: Object.fromEntries(rights.cameras.map((c) => [c.camera, c.sound])) };
}

/**
 * The ticked rights. Cameras that are not listed any more stay as they were:
 * a removed camera still has footage, and nobody was asked about it.
 */
export function toRights(form: RightsForm): Rights {
  if (form.all) return { all: true };
  return { all: false, cameras: Object.entries(form.chosen).map(([camera, sound]) => ({ camera: camera as CameraId, sound })) };
}

/** Nothing that can be seen is ticked. */
export function empty(form: RightsForm, cameras: readonly Camera[]): boolean {
  return !form.all && !cameras.some((camera) => camera.id in form.chosen);
}

export function sameRights(a: Rights, b: Rights): boolean {
  const key = (rights: Rights): string => (rights.all ? '*' : rights.cameras.map((c) => `${c.camera} ${c.sound}`).sort().join());
  return key(a) === key(b);
}
