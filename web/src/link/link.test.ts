// @vitest-environment happy-dom
/** The stranger's page in each of its states, over a room in memory. */
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Player, PlayerState } from '../owner/types';
import { takeFragment } from './fragment';
import LinkPage from './LinkPage.svelte';
import type { FromLinkWorker, LinkProblem, LinkView } from './messages';
import type { LinkRoom } from './room';
import { told } from './words';

const view: LinkView = {
  from: 'Ann', camera: 'Porch', note: '<b>The parcel</b>', zone: '', begin: 1_790_000_000_000, end: 1_790_000_063_000, shows: 1_790_000_002_000, served: 1_790_086_400_000,
  sound: true, log: { name: 'log.example/log/2026', size: 4821, witnesses: 2, since: 1_789_999_990_000 }, hubs: 1, stray: 0,
};
const still: PlayerState = {
  phase: 'playing', live: false, at: view.shows, lagMs: null, mode: 'mse', codec: null, width: 0, height: 0, seal: 'verified', sealWords: '', skipped: 0, gap: null, error: null, notice: null,
};

class Room implements LinkRoom {
  able = true;
  readonly opened: string[] = [];
  readonly played: string[] = [];
  say: (m: FromLinkWorker) => void = () => undefined;
  show: (s: PlayerState) => void = () => undefined;
  on(fn: (m: FromLinkWorker) => void): void { this.say = fn; }
  open(fragment: string): void { this.opened.push(fragment); }
  download(): void { this.played.push('download'); }
  cancel(): void { this.played.push('cancel'); }
  player(): Player {
    const note = (what: string) => (): void => void this.played.push(what);
    return {
      state: still, metrics: { joinMs: null, frames: 0, dropped: 0, shown: null },
      on: (fn: (s: PlayerState) => void) => { this.show = fn; return () => undefined; },
      seek: (_camera: string, at: number) => this.played.push(`seek ${at}`),
      setSound: (on: boolean) => this.played.push(`sound ${on}`),
      pause: note('pause'), play: note('play'), destroy: note('destroy'), live: note('live'), setRate: note('rate'), step: note('step'), stop: note('stop'),
    } as unknown as Player;
  }
}

let page: ReturnType<typeof mount> | null = null;
function show(room = new Room()): Room {
  page = mount(LinkPage, { target: document.body, props: { room, fragment: '#LK1.x' } });
  flushSync();
  return room;
}
function hear(room: Room, m: FromLinkWorker): void {
  room.say(m);
  flushSync();
}
const words = (): string => document.body.textContent ?? '';
const press = (name: string): void => {
  const found = [...document.querySelectorAll('button')].find((b) => (b.getAttribute('aria-label') ?? b.textContent ?? '').trim() === name);
  if (found === undefined) throw new Error(`no button ${name}`);
  found.click();
  flushSync();
};

afterEach(() => {
  if (page !== null) void unmount(page);
  page = null;
  document.body.innerHTML = '';
});

describe('the stranger’s page', () => {
  it('takes the secret out of the address before anything else', () => {
    history.replaceState(null, '', '/s#LK1.abc');
    expect(takeFragment()).toBe('#LK1.abc');
    expect([location.hash, takeFragment()]).toEqual(['', '']);
  });

  it('says who, what, until when; the note is text', () => {
    const room = show();
    expect(words()).toContain('Opening and checking');
    expect(room.opened).toEqual(['#LK1.x']);
    hear(room, { kind: 'opened', view });
    expect(words()).toContain('Ann shared this with you');
    expect(words()).toContain('<b>The parcel</b>');
    expect(words()).toContain('The picture begins 2 s later');
    expect(words()).toMatch(/log\.example\/log\/2026, among 4821 entries/);
    expect(words()).toContain('This page itself came from');
    expect(room.played).toEqual([`seek ${view.shows}`]);
  });

  it('plays, with sound when asked, and again from the first picture', () => {
    const room = show();
    hear(room, { kind: 'opened', view });
    room.show(still);
    flushSync();
    press('Pause');
    press('Turn sound on');
    hear(room, { kind: 'whole', until: view.end });
    room.show({ ...still, at: view.end - 100, phase: 'buffering' });
    flushSync();
    press('Play again');
    expect(room.played.slice(1)).toEqual(['pause', 'sound true', `seek ${view.shows}`]);
    room.show({ ...still, seal: 'broken' });
    flushSync();
    expect(words()).toContain('Not whole');
  });

  it('opens again when the server does not serve it any more', () => {
    const room = show();
    hear(room, { kind: 'opened', view });
    room.show({ ...still, error: { kind: 'not-found', what: '', safe: '', next: '' } });
    flushSync();
    expect(room.opened).toHaveLength(2);
    hear(room, { kind: 'failed', problem: { kind: 'gone' } });
    expect(words()).toContain('This link does not work (any more).');
  });

  const problems: readonly LinkProblem[] = [
    { kind: 'wrong' }, { kind: 'person' }, { kind: 'gone' }, { kind: 'away' }, { kind: 'empty' }, { kind: 'internal' }, { kind: 'over', until: view.served },
    ...(['mac', 'words', 'policy', 'grant', 'proof', 'capsule', 'epoch'] as const).map((check) => ({ kind: 'refused', check }) as const),
  ];
  it.each(problems)('says what is wrong and what to do: $kind $check', (problem) => {
    const room = show();
    hear(room, { kind: 'failed', problem });
    const said = told(problem, () => 'then');
    expect(document.querySelector('[data-testid=problem]')?.textContent).toBe(said.what);
    expect(words()).toContain(said.next);
    expect(document.querySelector('video')).toBeNull();
  });

  it('tells an old browser so, and opens nothing', () => {
    const room = new Room();
    room.able = false;
    show(room);
    expect(words()).toContain('This browser is too old');
    expect(room.opened).toEqual([]);
  });

  it('saves the file, or says that it could not', () => {
    const room = show();
    hear(room, { kind: 'opened', view });
    const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => undefined);
    press('Download as MP4');
    expect(room.played).toContain('download');
    hear(room, { kind: 'downloaded', file: { blob: new Blob(['x']), filename: 'porch.mp4', gaps: [] } });
    expect([words().includes('Saved porch.mp4.'), click.mock.calls.length]).toEqual([true, 1]);
    click.mockRestore();
    press('Download as MP4');
    hear(room, { kind: 'download-failed', cancelled: false });
    expect(words()).toContain('could not be made');
  });
});
