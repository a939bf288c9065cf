/** The words of the access page: what was decided, and how far the public log vouches for it. `latchkey ledger list` says the same in its own lines. */
import type { BreachKind, GranteeKind } from './access/types';
import type { Role, TrackKind } from './types';

const some = (n: number, one: string, more: string): string => (n === 1 ? `1 ${one}` : `${n} ${more}`);
const statements = (n: number): string => some(n, 'statement', 'statements');

const page = {
  title: 'Access',
  lead: 'Who may see what, since when and until when, and everything that was ever decided about it. Nobody can take a line away or show you another list than the others, without this page noticing.',
  log: 'Everything that was decided',
  loading: 'Reading what was decided…',
  none: 'Nothing matches this choice.',
  older: 'Show older ones',
  seals: (n: number) => `Show ${some(n, 'seal', 'seals')} of your hubs`,
  sealsHide: 'Hide the seals of your hubs',
  you: 'you',
  You: 'You',
  somebody: 'somebody',
  Somebody: 'Somebody',
  hub: 'a hub',
  aCamera: 'a camera',
  filters: 'Show',
  person: 'Person',
  everybody: 'Everybody',
  camera: 'Camera',
  allCameras: 'All cameras',
};

const filter = { all: 'All', sight: 'Who may see', shared: 'Shared', staff: 'Operator’s staff', devices: 'Cameras, hubs and keys' } as const;
export type Filter = keyof typeof filter;

const state = {
  complete: (when: string) => `Complete and verified up to ${when}`,
  completeWhat: (n: number) => `All ${statements(n)} of this home stand in the public log, and nothing newer was kept back.`,
  newer: (n: number) => (n === 1 ? '1 newer statement waits for its proof; that takes seconds.' : `${n} newer statements wait for their proof; that takes seconds.`),
  checking: 'Checking against the public log…',
  checkingWhat: (n: number, m: number) => `${n} of ${statements(m)} found in the log.`,
  progress: 'Statements found in the public log',
  stale: (when: string) => `Not verified since ${when}`,
  staleNever: 'Not verified yet',
  staleAway: 'The public log does not answer. What stood in it then stands; whether something newer exists, nobody can tell. This page keeps trying.',
  staleNone: 'This server answers no questions about a public log, so nothing vouches that this list is whole.',
  staleOld: 'The newest proof is older than a day. What stood in the log then stands; ask whoever runs the server why the log stands still. Until then take nothing new for granted.',
  staleFirst: 'The log has proven nothing about this home yet. If the server was only just started, wait a minute.',
  watched: (witnesses: number, auditors: number) => `${some(witnesses, 'witness', 'witnesses')} and ${some(auditors, 'auditor', 'auditors')}, who need not answer to the operator, watch this log.`,
  unwatched: 'Not protected: nobody but the operator watches this log. It could show you another log than others.',
  noWitness: 'Not protected: no witness vouches for this log. It could show you another log than others.',
  noAuditor: 'Not protected: no auditor recomputes what this log proves. The operator could leave your newest statement out of it.',
  download: 'Download proof of completeness',
  file: 'completeness.txt',
  again: 'Check again',
  accept: 'Take the new keys and watchers',
  acceptTitle: 'Take other keys and watchers for the log?',
  acceptWhat: 'From then on this browser checks the log against them. Whoever can sign with them can show you a log that nobody else sees. Only go on when the operator has told you why they changed, by another way than this page, and the others of your home see the same.',
  since: (when: string) => `Found ${when}.`,
};

/** What is wrong, and what to do about it. */
const breach: Record<BreachKind, { title: string; what: string; next: string }> = {
  policy: {
    title: 'The server names other keys or watchers of the log',
    what: 'When this browser looked first, the log had other keys, or others watched it. Whoever chooses the watchers chooses what they see.',
    next: 'Ask whoever runs the server what changed and why, and the others of your home whether they see the same. If it is right, take the new ones.',
  },
  fork: {
    title: 'The server shows two different logs',
    what: 'What it shows now does not go on from what it showed this browser before, or from what the log says of your home. Somebody may be shown a different list than you.',
    next: 'Do not trust what this server shows. Leave this browser signed in, it has the proof. Tell the others of your home and whoever runs the server, and compare this list with theirs, line by line.',
  },
  'kept-back': {
    title: 'The server keeps something back',
    what: 'The public log has a statement of your home that the server does not show you. Somebody may have been let in, or been given footage.',
    next: 'Do not trust what this server shows. Leave this browser signed in, it has the proof. Ask the other admins what they did lately, and compare this list with theirs.',
  },
  gap: {
    title: 'A statement is missing from the public log',
    what: 'The server shows it to you, and the log does not have it. Others may not be shown it.',
    next: 'Take what it says for not decided, and ask whoever runs the server. If it was yours, do it again somewhere safe.',
  },
  'stale-witness': {
    title: 'No witness has seen the log for a day',
    what: 'The server answers, but nobody independent has vouched for its log since then: it may be hiding the log from them, or their machines are away, or the clock of this device is wrong.',
    next: 'Look at the clock of this device. Then ask whoever runs the server. Until then take nothing new for granted.',
  },
  garbled: {
    title: 'The public log does not fit its own signature',
    what: 'Files of the log were changed or damaged, on the server or on their way.',
    next: 'Check again. If it stays, ask whoever runs the server; until then take nothing new for granted.',
  },
};

const role: Record<Role, string> = { admin: 'an admin', member: 'a member', viewer: 'a viewer' };
const grantee: Record<GranteeKind, string> = { member: 'a member', contact: 'somebody outside', link: 'whoever has a link', staff: 'the operator’s staff', project: 'a project' };
const kind: Record<TrackKind, string> = { video: 'picture', 'video-sub': 'small picture', audio: 'sound', meta: 'events', bio: 'faces' };

/** First words of a purpose; what comes after its colon is a number of somebody else's. */
const purpose: Readonly<Record<string, string>> = {
  history: 'footage from before',
  share: 'to look at',
  evidence: 'as evidence',
  support: 'for support',
  annotate: 'to label pictures',
  post: 'for a post',
};

const did = {
  founded: (who: string) => `${who} founded the home.`,
  foundedWhat: 'Sees everything, and may let others in.',
  letIn: (who: string, person: string, as: string) => `${who} let in ${person} as ${as}.`,
  changed: (who: string, person: string) => `${who} changed what ${person} may see and do.`,
  nowIs: (as: string) => `Is ${as}.`,
  share: 'May share footage.',
  noShare: 'May not share footage.',
  seesAll: 'Sees all cameras, also those added later.',
  seesNothing: 'Sees no camera.',
  sees: (what: string) => `Sees ${what}.`,
  before: (what: string) => `Before: ${what}.`,
  all: 'all cameras',
  nothing: 'nothing',
  withSound: (name: string) => `${name} with sound`,
  fromNow: 'Counts for what is recorded from then on.',
  removed: (who: string, person: string) => `${who} removed ${person}.`,
  removedWhat: 'Sees nothing that was recorded from then on. What was opened before may have been kept.',
  keysByCode: (person: string) => `The keys of ${person} were replaced with the recovery code.`,
  keys: (person: string) => `${person} replaced the keys.`,
  code: (person: string) => `${person} made a new recovery code.`,
  sealing: (person: string) => `${person} replaced the key that footage is locked for.`,
  keysWhat: 'Whoever did it had a device or a code.',
  hub: (who: string, hub: string) => `${who} added the hub ${hub}.`,
  unhub: (who: string, hub: string) => `${who} removed the hub ${hub}.`,
  camera: (who: string, camera: string) => `${who} added the camera ${camera}.`,
  cameraMore: (who: string, camera: string, kinds: string) => `${who} let ${camera} record more: ${kinds}.`,
  records: (kinds: string) => `Records ${kinds}.`,
  retain: (who: string, what: string, time: string) => `${who} set that ${what} is kept for ${time}.`,
  retainAll: 'all footage without a rule of its own',
  footageOf: (camera: string) => `footage of ${camera}`,
  erase: (who: string, camera: string) => `${who} had footage of ${camera} erased.`,
  seal: (hub: string) => `${hub} vouched for what it recorded.`,
  given: (who: string, to: string) => `${who} gave footage to ${to}.`,
  ended: (who: string, to: string) => `${who} ended what was given to ${to}.`,
  standing: 'New footage, too, as it is recorded.',
  purpose: (what: string) => `Purpose: ${what}.`,
  until: (when: string) => `Served until ${when}.`,
  over: (when: string) => `Over since ${when}.`,
  endedAt: (when: string) => `Ended ${when}.`,
  kept: 'What was opened before may have been kept.',
  opened: 'The operator’s staff opens footage that it was given.',
  openedWhat: 'Said before it could happen: your hub gives the second key only then, for eight and a half minutes at a time.',
  notice: {
    'ticket-taken': (n: string) => `Somebody of the operator’s staff took your ticket ${n}.`,
    refused: () => 'Somebody of the operator’s staff asked for what is not theirs, and was refused.',
    sealed: () => 'The operator wrote something down that it may not say yet: most likely, that an authority asked for something. It has to say it later.',
    disclosed: () => 'The operator handed something over to an authority.',
  } as Readonly<Record<string, (object: string) => string>>,
  noticeOther: (action: string, object: string) => `The operator’s staff: ${action} ${object}`.trim(),
  noticeWhat: 'It gives nobody anything to see.',
};

const row = {
  waiting: 'Waiting for the public log',
  waitingAdd: 'Waiting for the public log: does not count yet',
  details: (n: number) => `Proof of statement ${n}`,
  number: 'Statement',
  leaf: 'Entry in the log',
  hash: 'Hash',
  witnesses: 'Vouched for by',
  noWitnesses: 'nobody but the operator',
  entries: (n: number, log: string) => `${n}, of ${log}`,
  made: 'The proof is made from the log’s own files and checked here.',
  download: 'Download proof',
  file: (n: number) => `statement-${n}.tlog-proof`,
  onItsWay: 'It is on its way into the public log; there is no proof yet.',
  goTo: (n: number) => `See statement ${n}`,
};

const now = {
  title: 'Who can see what now',
  who: 'Who',
  sees: 'Sees',
  since: (when: string) => `since ${when}`,
  until: (when: string) => `until ${when}`,
  none: 'Nothing is shared with anybody outside.',
  hub: 'Hubs record, and lock what they record for these people.',
};

const news = {
  title: (n: number) => `Others of your home changed what is shared: ${some(n, 'statement', 'statements')} that you have not read.`,
  more: (n: number) => `and ${n} more`,
  read: 'I have read this',
  open: 'See in Access',
};

const people = {
  waiting: (name: string) => `${name} waits for the public log: being let in, or seeing more, counts once it is proven there. That takes seconds; until then nothing is handed over.`,
  hub: 'A new hub waits for the public log: what it records is shown, and cameras can be added, once it is proven there. That takes seconds.',
};

export const ma = { page, filter, state, breach, role, grantee, kind, purpose, did, row, now, news, people } as const;
