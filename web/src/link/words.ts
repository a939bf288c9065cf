/** The words of the stranger's page. */
import type { LinkProblem } from './messages';

/** What happened, what is safe, what to do. */
export interface Told {
  readonly what: string;
  readonly safe: string;
  readonly next: string;
}

const askSharer = 'Ask whoever shared it with you for a new link.';
const nothingShown = 'Nothing of it was shown.';

const checks: Readonly<Record<(LinkProblem & { kind: 'refused' })['check'], string>> = {
  mac: 'What the server gave is not what this link was made for.',
  words: 'What the sharer wrote with this link does not open.',
  policy: 'The server names other keys or watchers of its public log than the sharer knew.',
  grant: 'The server gave another kind of permission than this link has.',
  proof: 'There is no valid proof that this share stands in the public log.',
  capsule: 'The keys that the server gave are not those that the sharer made.',
  epoch: 'The footage is not signed by a hub that the sharer named.',
};

const problemWords: Readonly<Record<Exclude<LinkProblem['kind'], 'refused' | 'over'>, Told>> = {
  wrong: { what: 'This is not a whole link.', safe: '', next: 'Open the link again from the message it came in, or ask for it once more. This page forgets it when it is reloaded.' },
  person: { what: 'This was shared with one person, and only his own keys open it.', safe: 'This page has no keys and asks for none.', next: 'Open it where your keys are: latchkey open, with the whole link in quotes.' },
  gone: { what: 'This link does not work (any more).', safe: 'It was ended by whoever shared it, or its time is over.', next: askSharer },
  away: { what: 'The server cannot be reached right now.', safe: '', next: 'Check this device’s connection and try again.' },
  empty: { what: 'There is no picture here.', safe: 'What was shared was not recorded, or has been erased since.', next: askSharer },
  internal: { what: 'Something went wrong in this page.', safe: nothingShown, next: 'Open the link again from the message it came in.' },
};

export const oldBrowser: Told = {
  what: 'This browser is too old to open it.',
  safe: 'What was shared is opened on your own device, which takes a browser of the last years.',
  next: 'Open the link in a current Firefox, Chrome, Edge or Safari.',
};

export function told(problem: LinkProblem, when: (ms: number) => string): Told {
  switch (problem.kind) {
    case 'refused':
      return { what: `Damaged, or not what was shared: ${checks[problem.check]}`, safe: nothingShown, next: `Open the link again. If this stays, tell whoever shared it: ${problem.check === 'policy' ? 'the server’s keys have changed' : 'the server gives something else'}.` };
    case 'over':
      return { what: 'The time of this link is over.', safe: `It worked until ${when(problem.until)}.`, next: askSharer };
    default:
      return problemWords[problem.kind];
  }
}

export const w = {
  opening: 'Opening and checking…',
  sharedBy: (from: string) => (from === '' ? 'Shared with you' : `${from} shared this with you`),
  camera: (name: string) => (name === '' ? 'A camera' : name),
  there: (zone: string) => `At the camera (${zone})`,
  until: (when: string) => `You can open this link until ${when}. Then, or when it is ended before, the server stops serving it.`,
  lateStart: (s: string) => `The picture begins ${s} later: a camera does not send a whole picture every second.`,
  soundOnly: 'With sound',
  silent: 'Without sound',
  play: 'Play',
  pause: 'Pause',
  again: 'Play again',
  soundOn: 'Turn sound on',
  soundOff: 'Turn sound off',
  fullscreen: 'Full screen',
  place: 'Place in the recording',
  download: 'Download as MP4',
  cancel: 'Cancel',
  downloading: 'Fetching and opening…',
  saved: (name: string) => `Saved ${name}.`,
  savedGaps: 'Some of it is missing from the file.',
  notSaved: 'The file could not be made. Try again.',
  tryAgain: 'Try again',
  player: 'The picture stopped.',
  picture: (camera: string, state: string) => `${camera}, ${state}`,
  phase: { playing: 'playing', paused: 'paused', waiting: 'loading', ended: 'at its end' },
  verified: 'Verified: as it was recorded, and given by the one who made this link',
  partly: 'Not whole: some of it did not verify, or is missing',
  what: 'What was checked',
  hub: (n: number) => `Every picture is signed by ${n === 1 ? 'the hub' : 'one of the hubs'} that the sharer named, and follows the one before.`,
  maker: 'Whoever made the link meant exactly this camera and these seconds; the server cannot change that.',
  log: (name: string, size: number) => `The share stands in the public log ${name}, among ${size} entries.`,
  witnesses: (n: number, when: string) => `Of ${n} independent ${n === 1 ? 'witness' : 'witnesses'}, enough have vouched for the log since ${when}.`,
  noWitness: 'Nobody but the operator vouches for this log.',
  stray: (n: number) => `The link came with ${n} ${n === 1 ? 'key' : 'keys'} beyond what it says. They were thrown away.`,
  whatNot: 'What was not',
  page: (host: string) => `This page itself came from ${host}. A changed page could show anything. The command “latchkey open” checks the same with a program of your own.`,
  written: 'The names and the note are what the sharer wrote. Nothing proves them.',
  scene: 'What the camera was shown: a picture is signed as it came in.',
  kept: 'This page stores nothing on your device and asks nobody but this server.',
} as const;
