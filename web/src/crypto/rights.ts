/** What a person may see, between the chain's tracks and the pages' cameras. */
import type { CameraId, Rights as Shown, TimeRange } from '../owner/types';
import { type Bytes, compare, equal, hex, unhex } from './bytes';
import { type CameraDecl, type Chain, type ChainState, maySee, type Member as Listed } from './chain';
import { Failure } from './failure';
import { grantsTo } from './grant';
import { joined } from './spans';
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

/** The stretches of a track that standing grants which are served at a time (unix seconds) give a member; unix milliseconds, in order. */
export function standingTo(state: ChainState, m: Listed, track: Bytes, at: number): TimeRange[] {
  return joined(grantsTo(state, m)
    .filter((g) => g.standing && at < g.until)
    .flatMap((g) => g.tracks.filter((t) => equal(t.track, track)))
    .map((t) => ({ from: t.from * 1000, to: t.until * 1000 })));
}

/** The tracks of a camera that are there for a member: by right, or by a standing grant, which reaches beyond rights. */
export function tracksSeen(state: ChainState, m: Listed, camera: CameraDecl, at: number): CameraDecl['tracks'] {
  return camera.tracks.filter((t) => maySee(m.tracks, t.track) || standingTo(state, m, t.track, at).length > 0);
}

/** The stretches of a camera that a member sees by standing grants, where nothing of it is his by right; else none. */
export function grantedOf(state: ChainState, m: Listed, camera: CameraDecl, at: number): TimeRange[] {
  return seesCamera(m, camera) ? [] : joined(camera.tracks.flatMap((t) => standingTo(state, m, t.track, at)));
}

/** The times (unix milliseconds) of which the chain let a member see a track, under any key he ever had. */
export function entitled(chain: Chain, kid: Bytes, track: Bytes): TimeRange[] {
  const me = chain.head.members.get(hex(kid));
  const kids = [kid, ...(me?.pastEd ?? [])].map(hex);
  const out: TimeRange[] = [];
  for (let seq = 0; seq < chain.length; seq++) {
    const state = chain.at(seq);
    const then = kids.map((k) => state?.members.get(k)).find((m) => m !== undefined);
    if (state === null || then === undefined) continue;
    const [from, to] = [state.time * 1000, (chain.at(seq + 1)?.time ?? Infinity) * 1000];
    const seen = maySee(then.tracks, track) ? [{ from, to }] : standingTo(state, then, track, state.time);
    out.push(...seen.map((r) => ({ from: Math.max(r.from, from), to: Math.min(r.to, to) })).filter((r) => r.from < r.to));
  }
  return joined(out);
}
