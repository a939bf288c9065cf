/**
 * The stranger's way into what a link shares (spec/keys, "Links"): he has the
 * secret and nothing else, and checks in the one order that the protocol gives.
 * Nothing is shown of a share object of which anything fails.
 */
import type { OpenLinkResponse } from '../api/latchkey/v1/link_pb';
import { type Checkpoint, Policy } from '../ledger/policy';
import type { Api } from './api';
import { type Bytes, equal, fromUtf8, hex, own } from './bytes';
import { verifier } from './cipher';
import { type Granted, openCapsule, type OpenEpoch, parseCapsule, parseEpochNote, treesOf } from './epoch';
import { Failure, isKind, refuse } from './failure';
import { Footage } from './footage';
import type { GrantBody } from './grant';
import { H, kidOf } from './hash';
import type { Link, LinkWords } from './link';
import { checkStatementProof } from './logproof';
import { type Note, parseNote, parseVkey, verifyNote } from './note';
import type { EpochSource } from './reader';
import { parseStatement } from './statement';

/** What did not hold, by name. */
export type LinkCheck = 'mac' | 'words' | 'policy' | 'grant' | 'proof' | 'capsule' | 'epoch';

/** A share object of which something does not hold. */
export class LinkRefused extends Failure {
  constructor(readonly check: LinkCheck, cause: unknown) {
    super('verify', `link: the ${check} does not hold`, { cause });
    this.name = 'LinkRefused';
  }
}

/** The link's time is over by this computer's clock. */
export class LinkOver extends Failure {
  constructor(readonly until: number) {
    super('not-found', 'link: its time is over');
    this.name = 'LinkOver';
  }
}

/** Where a share object comes from; none of it is believed. */
export interface LinkSource {
  open(kid: Bytes): Promise<OpenLinkResponse>;
  policy(): Promise<Bytes>;
  /** GET /v1/links/{kid}/{track} */
  readonly parts: Api['parts'];
  /** unix seconds */
  now(): number;
}

/** What was shared, checked. */
export interface OpenedLink {
  readonly words: LinkWords;
  readonly grant: GrantBody;
  /** the checkpoint of the public log under which the grant is proven */
  readonly checkpoint: Checkpoint;
  /** name of the log, and how many witnesses its policy has */
  readonly log: { readonly name: string; readonly witnesses: number };
  /** entries of the capsule that nobody had the right to give: dropped */
  readonly stray: number;
  /** kids (hex) of the hubs whose signatures were checked */
  readonly hubs: readonly string[];
  readonly epochs: EpochSource;
  readonly footage: Footage;
  /** track ids (hex) of the grant, in the order of its lines */
  readonly tracks: readonly string[];
}

export async function openLink(link: Link, source: LinkSource): Promise<OpenedLink> {
  const reply = await source.open(link.kid);
  const note = await as('mac', () => checkedNote(link, reply));
  const words = await as('words', () => link.openWords(own(reply.words)));
  const text = await source.policy().catch((err: unknown) => {
    throw isKind(err, 'not-found') ? new LinkRefused('policy', err) : err;
  });
  const policy = await as('policy', () => pinned(text, words));
  const { grant, household } = await as('grant', () => grantFor(link, note, source.now()));
  const checkpoint = await as('proof', () => checkStatementProof(own(reply.proof), policy, note.hash, null));
  const granted = await as('capsule', () => entriesIn(link, household, grant, own(reply.capsule)));
  const { epochs, hubs, stray } = await as('epoch', () => epochsOf(reply, household, grant, granted));
  return {
    words, grant, checkpoint, stray, hubs, epochs,
    log: { name: policy.origin, witnesses: policy.witnesses.size },
    footage: new Footage(source, epochs),
    tracks: [...new Set(grant.tracks.map((t) => hex(t.track)))],
  };
}

/** Runs one check: what does not parse or verify there is said by its name. */
async function as<T>(check: LinkCheck, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (err) {
    throw isKind(err, 'verify') ? new LinkRefused(check, err) : err;
  }
}

function checkedNote(link: Link, reply: OpenLinkResponse): Note {
  const note = parseNote(own(reply.note));
  if (!equal(link.mac(note.hash), own(reply.mac))) throw refuse('link: the grant is not the one that the link was made for');
  return note;
}

/** The server's policy, if it is the one that the sharer has pinned: he cannot choose who watches his log for a stranger. */
function pinned(text: Bytes, words: LinkWords): Policy {
  if (!equal(H(text), words.policy)) throw refuse('link: the server names other keys or watchers of its log than the sharer knew');
  return new Policy(fromUtf8(text));
}

/** Its signature is of somebody whom a stranger does not know; the MAC says that who made the link meant it. */
function grantFor(link: Link, note: Note, now: number): { grant: GrantBody; household: Bytes } {
  const { head, body } = parseStatement(note);
  if (body.type !== 'grant' || body.kind !== 'link' || !equal(body.to, link.kid) || body.key === null || !equal(body.key, link.sealing.publicKey)) throw refuse('link: the grant is not to this link');
  if (body.standing || body.capsule === null || body.release !== null || body.hubs.length === 0 || head.household === null) throw refuse('link: the grant is of a kind that links do not have');
  if (body.until <= now) throw new LinkOver(body.until * 1000);
  return { grant: body, household: head.household };
}

async function entriesIn(link: Link, household: Bytes, grant: GrantBody, capsule: Bytes): Promise<Granted[]> {
  if (grant.capsule === null || !equal(H(capsule), grant.capsule)) throw refuse('link: the capsule is not the one that the grant names');
  const entries = parseCapsule(await openCapsule([link.sealing], household, grant.grant, capsule));
  return entries.map((entry) => ({ entry, lines: grant.tracks }));
}

interface LinkEpochs {
  readonly epochs: EpochSource;
  readonly hubs: readonly string[];
  readonly stray: number;
}

/** Epochs that the link has keys of, each signed by a hub that the grant names. Whom they are sealed to a stranger does not learn. */
async function epochsOf(reply: OpenLinkResponse, household: Bytes, grant: GrantBody, granted: readonly Granted[]): Promise<LinkEpochs> {
  const keys = grant.hubs.map((v) => parseVkey(v).publicKey);
  const open = new Map<string, OpenEpoch>();
  const hubs = new Set<string>();
  for (const { note: raw } of reply.epochs) {
    const signed = parseNote(own(raw));
    const note = parseEpochNote(signed);
    const hub = keys.find((k) => equal(kidOf(k), note.hub));
    if (hub === undefined || !equal(note.household, household)) throw refuse('link: an epoch by a hub that the grant does not name');
    await verifyNote(signed, hub);
    const { trees, stray } = treesOf(note, null, granted);
    open.set(hex(note.epoch), { note, hash: signed.hash, verify: await verifier(note.signer), trees, sealedTo: new Set(), leftOut: false, stray });
    hubs.add(hex(note.hub));
  }
  // Of an epoch whose note the server keeps back nothing opens.
  const held = granted.filter((g) => open.has(hex(g.entry.epoch))).length;
  const stray = [...open.values()].reduce((n, e) => n + e.stray, 0);
  if (stray === held) throw refuse('link: no epoch for its keys');
  const get = (id: string): Promise<OpenEpoch> => {
    const epoch = open.get(id);
    return epoch === undefined ? Promise.reject(refuse('link: footage of an epoch without its note')) : Promise.resolve(epoch);
  };
  return { epochs: { get }, hubs: [...hubs], stray };
}
