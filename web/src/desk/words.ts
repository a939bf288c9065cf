/** The words of the desk. */
import type { Problem, Step } from './messages';

export const training = [
  'You see of a household what its ticket lets you see, and nothing else. There is no other way in, for anybody.',
  'Ask for health first. Ask for footage only with a reason, for as few minutes as will do.',
  'Every minute that you open stands in the household’s own log, with your name, before you see it.',
  'What you see you tell nobody, and keep nowhere.',
  'Every question you put to the desk is kept, with the rule that decided it; auditors read it.',
  'Your keys are yours alone. A lost machine is reported at once: until then its keys count as yours.',
] as const;

const topics = new Map([
  ['offline', 'A camera or hub is offline'], ['clock', 'Wrong times'], ['line', 'Slow line'], ['password', 'A camera’s password'], ['codec', 'The picture does not play'],
  ['footage', 'Something in the footage'], ['other', 'Something else'],
]);
export const topicWords = (topic: string): string => topics.get(topic) ?? topic;

/** Roles and actions of the rules, in plain words. */
export const roles = [
  ['support', 'Support agent'], ['auditor', 'Auditor'], ['legal', 'Legal'], ['annotator', 'Annotator'], ['moderator', 'Moderator'], ['engineer', 'Engineer'], ['admin', 'Administrator'],
] as const;
export const actions = [
  ['list-tickets', 'see the list of tickets'], ['take-ticket', 'take a ticket'], ['read-ticket', 'read a ticket’s words'], ['reply', 'write to a household'],
  ['see-health', 'see how hubs and cameras are'], ['list-grants', 'see what was granted'], ['open-grant', 'fetch a grant'], ['access', 'write into a household’s log that footage is opened'],
  ['release', 'ask a hub for its key'], ['watch', 'watch footage'], ['explain', 'ask what a rule would say'], ['audit', 'see what staff asked'],
  ['legal-add', 'enter a request of an authority'], ['legal-list', 'see requests of authorities'], ['legal-decide', 'decide a request of an authority'], ['legal-fetch', 'fetch what is handed over'],
] as const;

const ofAction = new Map<string, string>(actions);
export const actionWords = (action: string): string => ofAction.get(action) ?? action;

const found = new Map([
  ['refusals', 'refusals'], ['no-ticket', 'asked without a ticket of their own'], ['volume', 'households looked into'], ['hours', 'looks at night (22 to 6 o’clock UTC)'], ['crowd', 'agents in one household'],
]);
export const findingWords = (kind: string): string => found.get(kind) ?? kind;

export interface Said {
  readonly what: string;
  readonly next: string;
}

const problems: Record<Exclude<Problem['kind'], 'refused'>, Said> = {
  link: { what: 'This is no whole invitation.', next: 'Open the link exactly as you were given it.' },
  name: { what: 'This name cannot be used.', next: 'Take 1 to 64 of a–z, 0–9 and -, with a letter or digit at both ends.' },
  taken: { what: 'Somebody of staff lives in this browser already, or the name is taken.', next: 'One browser profile is one person.' },
  staff: { what: 'You are not staff now.', next: 'The staff root has not signed for you yet, or your week is over. Ask whoever keeps it for “latchkey staff sign”.' },
  gone: { what: 'There is no such thing here (any more).', next: 'Go back to the tickets.' },
  away: { what: 'The server, or the household’s hub, is not reachable.', next: 'Nothing was opened. Try again.' },
  check: { what: 'A check did not hold, so nothing is shown.', next: 'Tell an auditor: the server gives something else than what was signed.' },
  clock: { what: 'This computer’s clock is off.', next: 'Set its time to automatic and try again.' },
  server: { what: 'This server has no staff: its policy names no staff root.', next: 'Ask the operator.' },
  empty: { what: 'There is no picture in those seconds.', next: 'Take others, within what was granted.' },
  internal: { what: 'Something went wrong.', next: 'Reload the page and try again.' },
};

/** What went wrong, for a reader. A refusal says the rule's own words. */
export function said(p: Problem): Said {
  if (p.kind !== 'refused') return problems[p.kind];
  return { what: p.words === '' ? 'A rule says no.' : `A rule says no: ${p.words}`, next: 'It is kept that you asked. Nobody can make an exception.' };
}

export const steps: readonly Step[] = ['written', 'proven', 'released'];
export const stepWords: Record<Step, string> = {
  written: 'The household’s chain says that you open it',
  proven: 'The public log proves it',
  released: 'The household’s hub gives the second key',
};

export const w = {
  title: 'Support desk',
  old: 'This browser cannot be a desk.',
  oldNext: 'Open this page by https in a current Firefox, Chrome, Edge or Safari, or use the command “latchkey staff”.',
  loading: 'Loading…',
  again: 'Look again',
  tryAgain: 'Try again',
  // joining
  nobody: 'Nobody of staff lives in this browser.',
  nobodyNext: 'Open the invitation that you were given. Whoever keeps the staff root makes one with “latchkey staff invite”.',
  joinTitle: 'Join the desk',
  before: 'Before you work at this desk:',
  confirm: 'I have read this and will keep to it.',
  name: 'Your name at the desk',
  nameHint: 'Households see it, and it stands in their log. a–z, 0–9 and -.',
  makeKeys: 'Make my keys and apply',
  keysHere: 'Your keys are made in this browser and never leave it. Clearing its data loses them; then you need a new invitation.',
  waiting: 'Your keys are made. You are staff once the staff root has signed, and the public log has it.',
  waitingNext: (id: string) => `Whoever keeps the staff root runs “latchkey staff sign ${id}”. This page looks every few seconds.`,
  yourKey: 'Your key',
  forget: 'Forget my keys',
  forgetWhat: 'This browser lets go of your keys. Whatever was sealed to them stays shut for good, and to work here again you need a new invitation.',
  forgetNow: 'Forget them',
  keep: 'Keep them',
  // places
  places: 'Places',
  tickets: 'Tickets',
  explain: 'Could X do Y?',
  audit: 'What staff asked',
  you: (id: string, role: string) => `${id}, ${role}`,
  endShift: 'End my shift',
  shiftOver: 'Your shift is over.',
  newShift: 'Begin a shift',
  // tickets
  noTickets: 'There are no open tickets.',
  mine: 'Yours',
  others: 'Others',
  ticket: (n: number) => `Ticket ${n}`,
  with: (id: string) => (id === '' ? 'with nobody' : `with ${id}`),
  take: (n: number) => `Take ticket ${n}`,
  taken: 'It is yours, and the household’s chain says so. What was written before is sealed to whoever had it.',
  notYours: 'This ticket is not yours: its words, health and footage are for the one who has it.',
  back: 'All tickets',
  messages: (n: number) => `${n} ${n === 1 ? 'message' : 'messages'}`,
  updated: (when: string) => `updated ${when}`,
  conversation: 'Conversation',
  household: 'The household',
  nothingWritten: 'Nothing that you can read was written yet.',
  leftOut: (n: number) => `${n} ${n === 1 ? 'letter was' : 'letters were'} left out: sealed to somebody else, or not signed by who it says.`,
  write: 'Write to the household',
  send: 'Send',
  sealed: 'Sealed to the members of this household. The server cannot read it.',
  askHealth: 'Ask for health',
  askHealthText: 'May I see how your hub and cameras are? In “Help”, let me see their health: states, bit rates, errors and clocks. Never names, pictures or events.',
  askFootage: 'Ask for footage',
  askFootageText: (id: string, reason: string, from: string, to: string) => `To help I would have to see footage. Why: ${reason}. From ${from} to ${to}, of one camera. If you agree, grant it to “${id}”; you can end it at any time, and your log says what I opened before I see it.`,
  reason: 'Why do you have to see it?',
  from: 'From',
  to: 'To',
  prepare: 'Write it down',
  // health
  health: 'Health',
  noHealth: 'No hub has reported for this ticket: the household has not let you see it, or its hubs are off.',
  hub: (id: string) => `Hub ${id}`,
  reported: (when: string) => `reported ${when}`,
  upSince: (version: string, when: string) => `version ${version}, up since ${when}`,
  unread: 'This report is not of a version that this page reads.',
  fine: 'Nothing stands out.',
  standsOut: 'What stands out',
  camerasOf: (hub: string) => `Cameras of hub ${hub}`,
  camera: 'Camera',
  cameraN: (i: number) => `Camera ${i}`,
  state: 'State',
  lost: 'Packets lost',
  streams: 'Streams',
  // footage
  footage: 'Footage',
  noGrants: 'The household has granted you no footage for this ticket.',
  granted: (camera: string) => (camera === '' ? 'A camera' : camera),
  servedUntil: (when: string) => `can be opened until ${when}`,
  open: 'Open',
  openThese: 'Open these seconds',
  opening: 'Opening',
  before2: 'The household sees in its log which seconds you opened, with your name, before you see them.',
  bad: 'Choose at least a second within what was granted.',
  close: 'Stop looking',
  play: 'Play',
  pause: 'Pause',
  place: 'Place in the recording',
  fullscreen: 'Full screen',
  picture: (camera: string, state: string) => `${camera}, ${state}`,
  phase: { playing: 'playing', paused: 'paused', waiting: 'loading', ended: 'at its end' },
  overTitle: 'It is over.',
  over: 'The household has ended it, or its time or your ticket is over. Nothing of it is left in this page.',
  line: 'The line to the server broke, so the picture was put away. Open it again.',
  openedAt: (from: string) => `Opened: ${from}`,
  proof: (log: string, size: number) => `The grant stands in the public log ${log}, among ${size} entries.`,
  signed: (n: number) => `Every picture is signed by ${n === 1 ? 'the hub' : 'one of the hubs'} that the grant names.`,
  stray: (n: number) => `${n} ${n === 1 ? 'key' : 'keys'} beyond the grant came along and were thrown away.`,
  noDownload: 'There is no download here. The mark in the picture names you and the ticket.',
  // explain
  explainTitle: 'Could somebody do something?',
  explainWhat: 'Asked of the same rules that decide here. Nothing happens, and it is kept that you asked.',
  who: 'Somebody who is',
  wants: 'wants to',
  when: 'while',
  situOpen: 'the household’s ticket is open',
  situAssigned: 'the ticket is theirs',
  situGranted: 'the household has granted it to them',
  situTrained: 'they confirmed the training within a year',
  signIn: 'They signed in with',
  strengths: [['key', 'a key of their own'], ['passkey', 'a key of their own and a passkey'], ['sso', 'single sign-on alone']] as const,
  ask: 'Ask',
  yes: 'Yes',
  no: 'No',
  rule: 'Rule',
  nothingPermits: 'Nothing permits it.',
  version: (hash: string) => `By the rules ${hash}, whose hash stands in the public log.`,
  mathematics: 'A yes opens nothing by itself: footage takes the household’s grant and its hub’s key.',
  // what one asked oneself
  mineTitle: 'What I asked',
  mineWhat: 'Every question of yours of the last week, and the rules that answered it. Auditors see the same.',
  mineHeads: ['When', 'Asked', 'Ticket', 'Answer', 'By the rules'],
  theseRules: 'What these rules say',
  formerRule: 'A rule of an earlier version.',
  // audit
  auditWhat: 'Every question that staff put to the desk, and what the rules said. Nothing of a household.',
  span: 'Since',
  spans: [['1', 'an hour ago'], ['24', 'a day ago'], ['168', 'a week ago']] as const,
  allowed: 'allowed',
  refused: 'refused',
  perHour: 'Questions by hour',
  perAction: 'Questions by what was asked',
  perPerson: 'Questions by who asked',
  perRule: 'Refusals by rule',
  asTable: 'As a table',
  findings: 'What stands out within a day',
  noFindings: 'Nobody is over a limit.',
  finding: (kind: string, n: number, limit: number) => `${findingWords(kind)}: ${n}, at most ${limit}`,
  suspended: 'Suspended',
  nobodySuspended: 'Nobody is suspended.',
  all: 'All decisions',
  list: 'Decisions, the newest first',
  none: 'Nothing was asked.',
  newest: (n: number) => `The newest ${n}.`,
  recompute: 'Count it again',
  recomputeWhat: 'This command gives the same decisions; every figure above is a count of its lines. What was opened stands in each household’s own chain and in the public log: a household counts it with the second.',
  mark: 'Whose screen was it?',
  markWhat: (n: number) => `If a picture of granted footage got out: cut it to the picture’s edges and choose it. It is compared here with the hidden mark of ${n === 1 ? 'the one who' : `each of the ${n} who`} watched in this time (agent and ticket); nothing of it is sent.`,
  markChoose: 'Choose a picture',
  markBad: 'This is no picture that this browser can read.',
  markFound: (who: string) => `It has the mark of ${who}.`,
  markNone: 'It has none of these marks, or too little is left of one. That proves nothing for anybody.',
  markScore: (score: number) => `${score.toFixed(1)} standard deviations above chance`,
  copy: 'Copy',
  copied: 'Copied',
} as const;
