/**
 * The words of the household's app, apart from its code, so that they can be
 * read through, and translated later. Short, concrete, no blame; before
 * anything irreversible, what stays.
 *
 * Here is what the first load says. Words of pages that come later are loaded
 * with them: messages-camera.ts, messages-setup.ts, messages-people.ts.
 */
import type { CameraStatus, GapReason, PlayerPhase, TrustState } from './types';

const common = {
  appName: 'Latchkey',
  cancel: 'Cancel',
  close: 'Close',
  back: 'Back',
  next: 'Next',
  copy: 'Copy',
  copied: 'Copied',
  tryAgain: 'Try again',
  loading: 'Loading…',
  busy: 'One moment…',
  opening: 'Opening…',
  stayHere: 'Stay here',
  waitingForServer: 'Waiting for the server…',
  skipToContent: 'Skip to content',
  offline: 'No connection to the server. What you see may be old; your hub keeps recording at home.',
  unreachable: 'The server does not answer.',
  unreachableWhat: 'Your hub keeps recording at home and sends it later. What this page shows stays, but may be old. Live pictures, looking back and changes wait; this page keeps trying.',
  codeUsed: 'Your recovery code has been used.',
  codeUsedWhat: 'The old sheet opens everything until you have made a new code.',
  makeCode: 'Make a new code',
  onlyAdmin: 'Only an admin of the home can do this.',
  whoIsAdmin: 'See who is admin',
};

const nav = { label: 'Places', home: 'Home', review: 'Today', people: 'People', access: 'Access', help: 'Help', settings: 'Settings', addHub: 'Connect a hub', addCamera: 'Add a camera' };

const line = {
  hubFallback: 'Hub',
  broken: 'Something does not verify. Open the seal to see what.',
  doubled: (name: string) => `Two machines use the key of ${name}. See Settings, Hubs.`,
  hubSilent: 'The hub has not reported yet.',
  hubSilentSince: (when: string) => `The hub has been silent since ${when}.`,
  oneDown: (name: string, error: string) => (error === '' ? `${name} is not recording.` : `${name}: ${error}`),
  someDown: (n: number, total: number) => `${n} of ${total} cameras are not recording.`,
  starting: (names: string[]) => `${names.join(', ')}: starting…`,
  allOff: 'All cameras are switched off.',
  allRecording: 'All recording.',
  allWatching: 'All watching for events.',
  verified: (when: string | null) => (when === null ? 'Verified.' : `Verified up to ${when}.`),
  stale: (when: string | null) => (when === null ? 'Not verified yet.' : `Not verified since ${when}.`),
  verifying: 'Verifying…',
  complete: (when: string) => `Complete and verified up to ${when}.`,
  logStale: (when: string | null) => (when === null ? 'Not checked against the public log.' : `Not checked against the public log since ${when}.`),
  logBroken: 'The public log does not fit what this server shows.',
};

/** The public log, above every page while it is broken. */
const log = {
  broken: 'The public log does not fit what this server shows.',
  brokenWhat: 'Somebody may have been let in, or been given footage, without you being told. Pictures of your hub are still checked one by one.',
  what: 'See what is wrong, and what to do',
};

/** A link opened where somebody is signed in: to a home by its code, or an invitation. */
const recoverSwap = {
  swapTitle: 'Open another home here?',
  swapWhat: (household: string, person: string) => `This browser is signed in to ${household} as ${person}. The link you opened belongs to a recovery code. Only go on if the link is yours.`,
  swapKeeps: 'Going on, this browser forgets the first home. Its footage and other devices stay as they are; you need its recovery code to come back here.',
  swapYes: 'Open the other home',
};

const joinSwap = {
  swapTitle: 'Join another home here?',
  swapWhat: (household: string, person: string) => `This browser is signed in to ${household} as ${person}. The link you opened invites you to a home. Only go on if you know who sent it.`,
  swapKeeps: 'Once you have joined, this browser forgets the first home. Its footage and other devices stay as they are; you need its recovery code to come back here.',
  swapYes: 'Look at the invitation',
};

const helpSwap = {
  swapTitle: 'Come back to a home here?',
  swapWhat: (household: string, person: string) => `This browser is signed in to ${household} as ${person}. The link you opened is for somebody who has lost every device and code. Only go on if that is you.`,
  swapKeeps: 'Once you are back, this browser forgets the first home. Its footage and other devices stay as they are; you need its recovery code to come back here.',
  swapYes: 'Go on',
};

const home = {
  granted: (from: string, to: string) => `Given to you: ${from} to ${to}`,
  unnamed: 'A camera',
  lastSeen: (when: string) => `Last heard of ${when}`,
  title: 'Home',
  wall: 'Cameras',
  noHubTitle: 'Let’s connect a hub',
  noHub: 'The hub is a small program on a computer in your home. It talks to your cameras, locks their pictures and sends them on.',
  noHubAction: 'Connect a hub',
  noCameraTitle: 'Add your first camera',
  noCamera: 'Your hub is connected and waiting. You need the camera’s address (rtsp://…), usually found in its own app or manual.',
  noCameraAction: 'Add a camera',
  noHubOther: 'This home has no hub yet. An admin can connect one.',
  nothingSharedTitle: 'No camera is shared with you yet',
  nothingShared: 'An admin of the home chooses what you see. It then shows here by itself.',
  offerTitle: 'Next time, just a touch',
  offer: 'Add a passkey, and this home opens with your fingerprint, face or PIN.',
  offerYes: 'Add a passkey',
  offerNo: 'Not now',
  waitingForKeys: 'Signed in. Fetching what your hub has said…',
  hubSilent: 'The hub is silent',
  tileName: (name: string, phase: string, lag: string | null) => `${name}, ${phase}${lag === null ? '' : `, ${lag} behind`}`,
};

const status: Record<CameraStatus, string> = {
  recording: 'Recording',
  waiting: 'Watching for events',
  connecting: 'Connecting…',
  offline: 'Camera not reachable',
  refused: 'Camera refused the password',
  off: 'Switched off',
  error: 'Needs attention',
  unknown: 'Waiting for the hub…',
};

const phase: Record<PlayerPhase, string> = {
  idle: 'not playing',
  connecting: 'connecting',
  playing: 'playing',
  buffering: 'catching up',
  paused: 'paused',
  gap: 'nothing recorded here',
  error: 'stopped',
};

const seal = {
  tier3: (host: string) => `This session trusts ${host}.`,
  label: (words: string) => `Seal: ${words}`,
  state: {
    verified: 'Verified',
    verifying: 'Verifying',
    stale: 'Not verified',
    broken: 'Does not verify',
  } satisfies Record<TrustState, string>,
  since: (when: string) => `since ${when}`,
  what: {
    verified: 'These pictures come from your own hub, unchanged and in order.',
    verifying: 'Your browser is checking that these pictures come from your own hub, unchanged and in order.',
    stale: 'Your hub has not confirmed lately that nothing is missing. Pictures you see are still checked one by one.',
    broken: 'Some of what the server sent was not made by your hub, was changed, or is missing. It was kept out of the picture.',
  } satisfies Record<TrustState, string>,
  notLogged: 'Not yet checked against a public log.',
  logged: (when: string) => `Checked against the public log ${when}.`,
  more: 'What is protected, and what is not',
  brokenDo: 'Do not rely on this stretch. Restart the hub, look again, and if it stays, tell whoever runs the server, or move to another one: your footage can be exported.',
};

const gap: Record<GapReason, string> = {
  'camera-offline': 'The camera was not reachable',
  'wrong-password': 'The camera refused the password',
  'camera-changed': 'The camera was added or its settings changed',
  'hub-off': 'The hub was off',
  'disk-full': 'The hub’s disk was full',
  'disk-error': 'The hub’s disk spoilt what was recorded',
  'spool-full': 'The line was down too long and the hub’s store was full',
  'clock-step': 'The hub’s clock was set',
  'not-recording': 'Nothing happened, so nothing was recorded',
  'switched-off': 'The camera was switched off',
  backlog: 'On its way: your hub has this footage and is sending it',
  'not-shared': 'From before you joined, or not shared with you',
  deleted: 'Deleted: older than you keep footage, or deleted by an admin',
  missing: 'Footage is missing and your hub did not say why',
  unverified: 'What the server sent for this time does not verify',
};

export const m = { common, nav, line, log, recoverSwap, joinSwap, helpSwap, home, status, phase, seal, gap } as const;
