/** What a person may see, between the chain's tracks and the pages' cameras. */
import type { CameraId, Rights as Shown, TimeRange } from '../owner/types';
import { type Bytes, compare, equal, hex, unhex } from './bytes';
import { type CameraDecl, type Chain, type ChainState, maySee, type Member as Listed } from './chain';
import { Failure } from './failure';
import type { Rights, Role } from './statement';

/** A member's rights as pages show them. A camera without sound counts as one whose sound he may hear. */
export function rightsOf(m: Listed, state: ChainState): Shown {
  if (m.tracks === 'all') return { all: true };
  const cameras = [...state.cameras.values()].filter((c) => seesCamera(m, c)).map((c) => ({
    camera: hex(c.camera) as CameraId,
    sound: c.tracks.every((t) => t.kind !== 'audio' || maySee(m.tracks, t.track)),
  }));
  return { all: false, cameras };
}

/** Whether any track of the camera is among a member's rights. */
export function seesCamera(m: Listed, camera: CameraDecl): boolean {
  return camera.tracks.some((t) => maySee(m.tracks, t.track));
}

/** What a `member` statement lists for these rights: what tells faces is in no right to single cameras. */
export function tracksFor(rights: Shown, state: ChainState): Rights {
  if (rights.all) return 'all';
  const tracks = rights.cameras.flatMap(({ camera, sound }) => {
    const decl = [...state.cameras.values()].find((c) => equal(c.camera, unhex(camera)));
    if (decl === undefined) throw new Failure('not-found', 'rights: no such camera');
    return decl.tracks.filter((t) => t.kind !== 'bio' && (t.kind !== 'audio' || sound)).map((t) => t.track);
  });
  return tracks.sort(compare);
}

/** Who may give footage on: a viewer may only look. */
export function mayShare(role: Role): boolean {
  return role !== 'viewer';
}

/** The times (unix milliseconds) at which the chain let a member see a track, under any key he ever had. */
export function entitled(chain: Chain, kid: Bytes, track: Bytes): TimeRange[] {
  const me = chain.head.members.get(hex(kid));
  const kids = [kid, ...(me?.pastEd ?? [])].map(hex);
  const out: { from: number; to: number }[] = [];
  for (let seq = 0; seq < chain.length; seq++) {
    const state = chain.at(seq);
    const then = kids.map((k) => state?.members.get(k)).find((m) => m !== undefined);
    if (state === null || then === undefined || !maySee(then.tracks, track)) continue;
    const to = (chain.at(seq + 1)?.time ?? Infinity) * 1000;
    const last = out[out.length - 1];
    if (last?.to === state.time * 1000) last.to = to;
    else out.push({ from: state.time * 1000, to });
  }
  return out;
}
