/** What is shared now: the chain's grants in force, with what this browser and the server know of them. */
import type { CameraId } from '../owner/types';
import type { Shared } from '../owner/sharing/types';
import type { LinkViews } from '../api/latchkey/v1/link_pb';
import { type Bytes, equal, hex } from './bytes';
import { trackOf } from './chain';
import { type GrantBody, kidsOf } from './grant';
import type { Member } from './member';
import { parseNote } from './note';
import { qrCode } from './qr';
import type { Kept, ShareRooms } from './share';
import { nowSeconds } from './signin';
import { parseStatement } from './statement';

type Rooms = Pick<ShareRooms, 'member' | 'person' | 'camera'>;

/** Grants to links, to persons and to members, newest first, but for the past that somebody was let in with; an admin sees all, others their own. */
export function sharedList(rooms: Rooms, kept: ReadonlyMap<string, Kept>, views: readonly LinkViews[]): Shared[] {
  const { member } = rooms;
  const { head } = member.chain;
  const me = head.members.get(hex(member.keys.kid));
  const mine = (by: Bytes): boolean => me !== undefined && [me.kid, ...me.pastEd].some((k) => equal(k, by));
  return [...head.grants.values()]
    .filter((g) => !g.revoked && g.until > nowSeconds() && (g.kind === 'link' || g.kind === 'member' || g.kind === 'contact') && (me?.role === 'admin' || mine(g.by)))
    .map((g) => ({ g, ...bodyOf(member, g.seq) }))
    .filter(({ body }) => body.purpose !== 'history')
    .sort((a, b) => b.g.seq - a.g.seq)
    .map(({ g, body, time }): Shared => {
      const id = hex(g.grant);
      const seen = views.find((v) => equal(v.grant, g.grant));
      const here = kept.get(id);
      const waiting = here !== undefined && here.capsule !== null;
      const link = here?.link ?? null;
      return {
        id, kind: g.kind === 'link' || g.kind === 'contact' ? g.kind : 'member',
        to: g.kind === 'member' ? nameOf(rooms, g.to) : '',
        by: { name: rooms.person(hex(g.by)), me: mine(g.by) },
        ...footageOf(rooms, body),
        standing: g.standing,
        given: time * 1000, served: g.until * 1000,
        views: seen?.views ?? null,
        lastView: seen === undefined || seen.lastViewMs === 0n ? null : Number(seen.lastViewMs),
        waiting,
        link: link === null || waiting ? null : linkOf(member, link.fragment),
      };
    });
}

function bodyOf(member: Member, seq: number): { body: GrantBody; time: number } {
  const { head, body } = parseStatement(parseNote(member.chain.notes[seq] ?? new Uint8Array()));
  if (body.type !== 'grant') throw new Error('share: a grant that is none');
  return { body, time: head.time };
}

function nameOf({ member, person }: Rooms, to: Bytes): string {
  const m = [...member.chain.head.members.values()].find((x) => kidsOf(x).some((k) => equal(k, to)));
  return m === undefined ? '' : person(hex(m.kid));
}

function footageOf({ member, camera }: Rooms, body: GrantBody): Pick<Shared, 'camera' | 'cameraName' | 'from' | 'until' | 'sound'> {
  const found = body.tracks.map((t) => trackOf(member.chain.head, t.track)).filter((t) => t !== null);
  const id = found[0] === undefined ? null : hex(found[0].camera.camera);
  return {
    camera: id as CameraId | null,
    cameraName: id === null ? '' : camera(id),
    from: Math.min(...body.tracks.map((t) => t.from)) * 1000,
    until: Math.max(...body.tracks.map((t) => t.until)) * 1000,
    sound: found.some((t) => t.decl.kind === 'audio'),
  };
}

function linkOf(member: Member, fragment: string): Shared['link'] {
  const url = `${member.server}/s${fragment}`;
  try {
    return { url, qr: qrCode(url) };
  } catch {
    // A server with a name that is too long to draw.
    return { url, qr: null };
  }
}
