/**
 * The words of people, devices and codes: like messages.ts, but of pages that
 * are loaded only when somebody goes there.
 */
import type { MemberInviteStep, NewPerson, OwnDevice, Role } from './types';

const plural = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

const enter = {
  passkey: 'Sign in with a passkey',
  passkeyHint: 'One touch, if you have added a passkey before.',
  touching: 'Waiting for your passkey…',
  invited: 'I was invited',
  invitedHint: 'Somebody of the home sent you a link, or shows you a code.',
  noPrf: 'This browser has passkeys, but cannot unlock a home with one. So here you need your recovery code. It opens the same, with everything in it.',
  ended: {
    'device-ended': {
      what: 'This device was signed out.',
      safe: 'It was done from another device of yours, or your keys were replaced. Nothing was deleted; cameras keep recording.',
      next: 'Sign in again here. If it was not you who did it, replace your keys: Settings, Recovery.',
    },
    removed: {
      what: 'You are no longer in this home.',
      safe: 'An admin removed you, so this browser has put your keys away. Nothing of the home was deleted.',
      next: 'If that was a mistake, ask an admin to invite you again.',
    },
  },
};

const code = {
  sheetLost: 'If this sheet is lost: while any device is still signed in, make a new code there (Settings, Recovery). If none is, an admin of the home can remove you and invite you again. If you are the only admin, nobody can open the home again.',
  sheetUse: 'Who has this sheet can open everything you can. Latchkey never asks for it by mail or phone.',
  newTitle: 'A new recovery code',
  codeTitle: 'Your new recovery code',
  newLead: 'The old code keeps working until you have typed the new one back. Then it opens nothing any more.',
  newBegin: 'Show me a new code',
  making: 'Making a new code…',
  finishing: 'Putting the new code in place…',
  done: 'The new code counts from now on. Destroy the old sheet.',
  keysTitle: 'Replace your keys',
  keysLead: 'For a phone or computer that is lost, stolen or in the wrong hands.',
  keysDo: [
    'You get new keys and a new recovery code. This browser stays signed in.',
    'All your other devices and all your passkeys are out, also the lost one. You sign in on the others again with the new code.',
    'What is recorded from now on is locked for your new keys only.',
    'What was recorded before stays readable for you. What the lost device had already opened, it may have kept.',
  ],
  keysSeen: 'Everybody in your home is told that your keys were replaced.',
  keysBegin: 'Make new keys',
  keysMaking: 'Making new keys…',
  keysFinishing: 'Replacing your keys…',
  keysDone: 'Your keys are replaced. Other devices and passkeys are out; the old sheet opens nothing.',
  back: 'Back to settings',
};

const recovery = {
  title: 'Recovery code',
  what: 'Your code on paper opens everything if every device of yours is lost. Nobody else can make you one.',
  used: 'Your code has been used, so its sheet has been out of its drawer. Make a new one.',
  lostDevice: 'Lost a device?',
  lostDeviceWhat: 'Signing a device out is a rule the server keeps. If a device is in the wrong hands, replace your keys: then what is recorded from now on is locked for new keys that it does not have.',
  replace: 'Replace your keys',
  lostCode: 'Lost your recovery code?',
  lostCodeHere: 'You are signed in here, so make a new one now. The lost one then opens nothing.',
  lostCodeAll: 'If one day all your devices are lost as well, an admin of the home can remove you and invite you again. You then see what they share with you.',
  lostCodeAlone: 'You are the only admin. If you lose all devices and the code, nobody can open the home again. A second admin helps.',
};

const role: Record<Role, string> = { admin: 'Admin', member: 'Member', viewer: 'Viewer' };
const may: Record<Role, string> = {
  admin: 'May add, change and remove people, cameras and hubs, and give themselves any camera.',
  member: 'May look, and record 30 seconds by hand. Changes nothing else.',
  viewer: 'May look, and change nothing.',
};

const people = {
  title: 'People',
  lead: 'Who has keys to which pictures. This shows who may look; Latchkey does not show yet who is looking.',
  invite: 'Invite somebody',
  table: 'Who may see which camera',
  person: 'Person',
  later: 'Cameras added later',
  actions: 'Actions',
  you: 'you',
  unnamed: 'Somebody without a name',
  yes: 'Yes',
  no: 'No',
  sees: { both: 'Picture and sound', picture: 'Picture', silent: 'Picture only', none: 'No' },
  nothing: 'Sees no camera',
  allCameras: 'All cameras, also those added later',
  alone: 'Only you are here. Everybody you invite gets keys of their own and sees just what you choose.',
  change: 'Change',
  changeOf: (name: string) => `Change ${name}`,
  remove: 'Remove',
  removeOf: (name: string) => `Remove ${name}`,
  hubs: 'Hubs',
  hubsWhat: 'They see the cameras’ pictures at home and lock them.',
  carries: (cameras: string[]) => (cameras.length === 0 ? 'Carries no camera yet' : `Carries ${cameras.join(', ')}`),
  toHubs: 'Hub settings',
  devices: 'Your devices',
  devicesWhat: 'Only you see these. Others see theirs.',
  toDevices: 'Manage devices',
};

const person = {
  gone: 'This person is not in your home (any more).',
  back: 'Back to people',
  name: 'Name',
  nameHint: 'Everybody in the home sees it. The server cannot read it.',
  saveName: 'Save name',
  rights: (name: string) => `What ${name} may do`,
  own: 'What you may do yourself is changed by another admin.',
  save: 'Save',
  saving: 'Telling your hubs…',
  saved: 'Saved.',
  fromNow: 'Counts for what is recorded from now on. What you take away was open before: it may have been kept.',
  removeTitle: 'Leaving',
  removeLead: (name: string) => `When ${name} should get nothing any more.`,
  notRemovable: 'The last admin cannot be removed.',
};

const newKeys = {
  title: (name: string) => `${name} has new keys`,
  how: (when: string, byCode: boolean) => `They were put in place of the old ones ${byCode ? 'with the recovery code' : 'from a device that had the old ones'} (${when}).`,
  ask: (name: string) => `Ask ${name} in person or by phone whether that is right.`,
  wrongAdmin: 'If it is not, somebody else has that code or device and sees what this person may see: remove this person, and invite again.',
  wrong: 'If it is not, somebody else has that code or device and sees what this person may see: tell an admin of your home to remove this person.',
  read: (name: string) => `${name} says it is right`,
  open: (name: string) => `See ${name}`,
  line: (when: string, byCode: boolean) => `New keys since ${when}, ${byCode ? 'made with the recovery code' : 'made with the old ones'}`,
};

const rights = {
  role: 'Role',
  cameras: 'What they see',
  all: 'All cameras, also those added later',
  allHint: 'With sound.',
  some: 'Only these cameras',
  someHint: 'Cameras added later are not among them.',
  sound: 'with sound',
  soundOf: (camera: string) => `${camera} with sound`,
  none: 'Choose at least one camera.',
  noCameras: 'There are no cameras yet.',
  adminNote: 'An admin can give themselves more at any time.',
};

const remove = {
  title: (name: string) => `Remove ${name}?`,
  keeps: (name: string) => `${name} no longer gets anything recorded from now on. What ${name} already opened, ${name} may have kept.`,
  policy: (name: string) => `The server also stops giving ${name} what was recorded before, and signs their devices out. That part is a rule the server keeps.`,
  yes: (name: string) => `Remove ${name}`,
  busy: 'Telling the server and your hubs…',
  touch: 'You will be asked for your passkey.',
  doneTitle: (name: string) => `${name} is removed`,
  notYetTitle: (name: string) => `Nobody has heard yet that ${name} is removed`,
  heard: 'Who has heard of it',
  server: 'The server',
  serverDone: 'has it.',
  serverFailed: 'did not take it.',
  hubHeard: 'has heard it and locks new footage without them.',
  hubNotHeard: 'has not heard it yet.',
  all: 'Within seconds nothing new is locked for them.',
  later: 'A hub that has not heard yet learns it from the server as soon as it is connected. Until then its new footage is still locked for them too.',
  hubsOnly: 'Your hubs that have heard it act on it, whatever the server does. Try again, so that everybody else in the home learns it too.',
  none: 'Nothing is changed yet. Try again when the server answers.',
};

const invite = {
  title: 'Invite somebody',
  lead: 'They get keys of their own. Nothing is shared before you both have compared some digits.',
  name: 'Their name',
  nameExample: 'Sam',
  history: 'How far back they may look',
  histories: [
    ['none', 'Nothing from before', 'They see what is recorded from when they join.'],
    ['7', 'The last 7 days', ''],
    ['30', 'The last 30 days', ''],
    ['all', 'Everything', 'As far back as you can look yourself.'],
  ] as const satisfies readonly (readonly [string, string, string])[],
  submit: 'Make the invitation',
  making: 'Making the invitation…',
  handTitle: (name: string) => `Give this to ${name}`,
  hand: 'Send the link, or let them scan the picture. It works once.',
  link: 'Invitation link',
  copyLink: 'Copy the link',
  qr: 'The invitation link as a QR picture',
  left: (time: string) => `Works for another ${time}`,
  out: 'The time is up.',
  keepOpen: 'Keep this page open until it is done.',
  steps: 'Progress',
  step: {
    waiting: 'Waiting for them to open it',
    found: 'Their device has answered',
    compare: 'Compare the digits',
    signed: 'Signed into your household',
    history: 'Handing over what was recorded before',
    joined: 'Joined',
  } satisfies Record<MemberInviteStep, string>,
  compareTitle: 'Compare the digits',
  compare: 'Read these to each other, on the phone or in person. They must be the same.',
  compareNot: 'Not in the chat that carried the link: who reads along there could answer there.',
  digits: 'Digits to compare',
  same: 'They are the same',
  differ: 'They differ',
  differTitle: 'Good that you compared',
  differed: 'Another device answered this invitation, not the one you are talking to. Nobody was let in and nothing was shared; the invitation is void.',
  differNext: 'Make a new one and hand it over another way, best by letting them scan it.',
  again: 'Make a new invitation',
  doneTitle: (name: string) => `${name} has joined`,
  done: (name: string, what: string) => `${name} sees from now on: ${what}.`,
  doneHistory: (history: NewPerson['history']) => (history === 'none' ? 'Nothing from before was handed over.' : history === 'all' ? 'Everything recorded before was handed over, too.' : `The last ${history.days} days were handed over, too.`),
  another: 'Invite somebody else',
  toPeople: 'See who sees what',
};

const join = {
  title: 'You were invited',
  lead: 'Somebody shares their cameras with you. You get keys of your own; nobody else has them.',
  paste: 'Invitation link or code',
  pasteHint: 'Paste the whole link, or type the 32 characters.',
  name: 'Your name',
  nameHint: 'The people of the home see it.',
  nameExample: 'Sam',
  unreadable: 'This is no invitation. It must hold 32 letters and digits.',
  next: 'Next',
  making: 'Making your keys…',
  codeWhat: 'This code opens what is shared with you. If every phone and computer of yours is lost, it is the way back. Nobody at the server has it.',
  typeWhy: 'So that we both know it is written down. You have not joined before this. Pasting is fine; spaces, dashes and capitals do not matter.',
  finish: 'Join',
  sending: 'Answering the invitation…',
  compare: 'Read these to whoever invited you, on the phone or in person. They must be the same.',
  wait: 'Waiting for them to say the digits are the same…',
  keepOpen: 'Keep this page open until then.',
  differ: 'They differ',
  differed: 'Somebody else stands between you and the one who invited you. You have not joined.',
  differNext: 'Tell them, and ask for a new invitation another way.',
  stop: 'Stop',
  failedNext: 'Start again',
};

const devices = {
  title: 'Your devices',
  lead: 'Every browser and command line that is signed in as you.',
  current: 'This one',
  online: 'Online now',
  lastUse: (when: string) => `Last used: ${when}`,
  how: {
    founding: 'Set up the home',
    recovery: 'Signed in with the recovery code',
    passkey: 'Signed in with a passkey',
    joining: 'Joined the home',
    rekey: 'Replaced the keys',
  } satisfies Record<OwnDevice['how'], string>,
  since: (how: string, when: string) => `${how}: ${when}`,
  unnamed: 'A device without a name',
  end: 'Sign out',
  endOf: (label: string) => `Sign out ${label}`,
  endTitle: (label: string) => `Sign out ${label}?`,
  endWhat: 'The server stops talking to it, and it forgets its keys as soon as it hears that. This is a rule the server keeps. For a device in the wrong hands, replace your keys instead.',
  endOthers: 'Sign out all others',
  endOthersTitle: 'Sign out all other devices?',
  ended: (n: number) => `${plural(n, 'device', 'devices')} signed out.`,
  only: 'No other device is signed in.',
  lost: 'In the wrong hands?',
  lostWhat: 'Signing out is a rule the server keeps. If a device is lost or stolen, replace your keys: what is recorded from then on it cannot open.',
  replace: 'Replace your keys',
};

const passkeys = {
  title: 'Passkeys',
  lead: 'A passkey opens your home with a touch: fingerprint, face or PIN. It lives in your phone, computer or password manager. The recovery code stays valid beside it.',
  none: 'You have no passkey yet.',
  added: (when: string) => `Added: ${when}`,
  used: (when: string) => `Last used: ${when}`,
  unused: 'Not used yet',
  unnamed: 'A passkey without a name',
  label: 'Name of the passkey',
  labelHint: 'So that you know it again. The server cannot read it.',
  add: 'Add a passkey',
  adding: 'Waiting for your passkey…',
  wasAdded: 'Your passkey is added.',
  remove: 'Remove',
  removeOf: (label: string) => `Remove ${label}`,
  removeTitle: (label: string) => `Remove ${label}?`,
  removeWhat: 'It no longer signs you in. That is a rule the server keeps; if it is in the wrong hands, replace your keys instead. Your phone or password manager may go on listing it: delete it there too.',
  removeLast: 'It is your only one: from then on you need your recovery code.',
  removeYes: 'Remove passkey',
  support: {
    no: 'This browser has no passkeys. Your recovery code does the same.',
    'no-prf': 'This browser has passkeys, but cannot unlock a home with one. Here you need your recovery code. In another browser you can add one.',
  },
};

const hubs = {
  doubledTitle: 'Two machines use this hub’s key',
  doubled: (name: string, when: string) => `A second machine tried to be ${name}. Last time: ${when}. The server lets in only one of them.`,
  doubledMine: 'If you copied or restored the hub’s folder: switch off one of the two and delete its folder.',
  doubledNotMine: 'If you did not: somebody has a copy of your hub’s keys. Connect a new hub, move the cameras to it, then remove this one.',
  replaceTitle: 'Replacing a hub',
  replace: [
    'Connect the new hub. Both can run side by side.',
    'Change each camera and choose the new hub. Its timeline goes on; for a while both may record it.',
    'When the new one records, remove the old one. What it recorded stays readable.',
    'Run “latchkey hub reset” on the old machine before you give it away: its keys, cameras and stored pieces are deleted.',
  ],
};

export const mp = { enter, code, recovery, role, may, people, person, newKeys, rights, remove, invite, join, devices, passkeys, hubs } as const;
