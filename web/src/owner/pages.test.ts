// @vitest-environment happy-dom
import { flushSync } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FAKE_CODE as CODE, FakeHome } from './fake';
import { button, close, fill, follow, open, press, said, show, submit, words } from './fake-page';

afterEach(close);

describe('a new home', () => {
  it('is founded only after the code was typed back right', async () => {
    const home = open('new');
    await said('sealed at home');
    press('Set up a new home');
    submit();
    await said('Please fill in: name of the home');
    expect(home.calls).toEqual([]);
    fill('Name of the home', 'Elm Street 4');
    fill('Your name', 'Ann');
    submit();
    await said('Your recovery code');
    expect(document.querySelector('[data-testid=code]')?.textContent?.replace(/\s+/g, '-')).toContain(CODE);
    press('I have put it away');
    await said('Type it back');
    expect(button('Finish').disabled).toBe(true);

    fill('Recovery code', CODE.replace('5J2K', '5J2M'));
    submit();
    await said('That is not the code on your sheet.');
    fill('Recovery code', CODE.toLowerCase().replaceAll('-', ' ').replace('0', 'o'));
    submit();
    await said('Let’s connect a hub');
    expect(home.calls).toEqual(['beginHousehold', 'finishHousehold', 'finishHousehold']);
  });

  it('names the character that no code contains', async () => {
    open('new');
    await said('sealed at home');
    press('I have a recovery code');
    fill('Recovery code', '5J2K U');
    await said('“U” is in no code');
    expect(button('Open').disabled).toBe(true);
  });
});

describe('a link with a code', () => {
  it('opens the home and leaves no trace in the address', async () => {
    const home = open('new', `#recover=${CODE}`);
    await said('Let’s connect a hub');
    expect(location.href).not.toContain('recover');
    expect(home.calls).toEqual(['recover']);
  });

  it('asks first when somebody is signed in here', async () => {
    const home = open('home', `#recover=${CODE}`);
    await said('Open another home here?');
    expect(home.calls).toEqual([]);
    expect(location.href).not.toContain('recover');
    press('Stay here');
    expect(home.calls).toEqual([]);
  });

  it('keeps a code that does not open, to look at again', async () => {
    open('new', '#recover=ABCD');
    await said('No home opens with this code.');
    expect(document.querySelector('textarea')?.value).toBe('ABCD');
  });
});

describe('home', () => {
  it('says in one line that all is well', async () => {
    open('home');
    await said(/All recording\. Complete and verified up to \d\d:\d\d\./);
    expect(document.querySelectorAll('article')).toHaveLength(3);
  });

  it('is loud when something does not verify, and says what to do', async () => {
    open('trouble');
    await said('Something does not verify');
    press('Seal: Does not verify');
    await said('Do not rely on this stretch.');
    await said(/Checked against the public log \d\d:\d\d/);
  });

  it('leads to the next step while it is empty', async () => {
    open('no-camera');
    await said('Add your first camera');
    expect(document.querySelector('main a[href="#/add-camera"]')).not.toBeNull();
  });
});

describe('a hub', () => {
  it('is connected by one command, steps shown', async () => {
    open('no-hub', '#/add-hub');
    await said(`--pair ${CODE}`);
    const steps = [...document.querySelectorAll('ol li')].map((li) => li.textContent?.trim());
    expect(steps).toEqual(['Waiting for your hub', 'Hub found', 'Keys checked', 'Your household signed it in', 'Connected']);
    expect(document.querySelector('[aria-current=step]')?.textContent).toContain('Waiting');
  });
});

describe('removing a camera', () => {
  it('tells what stays, and only then does it', async () => {
    const home = open('home', '#/settings/cameras');
    await said('Garden gate');
    press('Remove Porch');
    await said('What is already recorded stays until its time is up');
    expect(home.calls).not.toContain('removeCamera');
    press('Remove camera');
    await vi.waitFor(() => expect(home.calls).toContain('removeCamera'));
    await vi.waitFor(() => expect(words()).not.toContain('Porch'));
  });
});

describe('the trust page', () => {
  it.each([
    [{ state: 'released', version: '1.4.0', source: 'abc', entry: 7, files: 101 }, 'All 101 files that this browser was given are those of version 1.4.0'],
    [{ state: 'differs', version: '1.4.0', source: 'abc', entry: 7, path: 'assets/x.js' }, 'The file assets/x.js is not the one that was published as version 1.4.0.'],
    [{ state: 'unreleased' }, 'has published no version of this page'],
    [{ state: 'unproven' }, 'does not hold'],
  ] as const)('says what the page was found to be, and that a liar would say so too: %j', async (release, what) => {
    const home = open('home');
    home.access.release = release;
    location.hash = '#/settings/trust';
    await said(what);
    await said('A server that sent you a false page would send it with a false answer here.');
    await said(`latchkey verify --web ${location.origin}`);
  });

  it('publishes all ten limits and whom this session trusts', async () => {
    open('home', '#/settings/trust');
    await said(`This session trusts ${location.host}`);
    const limits = [...document.querySelectorAll('section')].find((s) => s.querySelector('h3')?.textContent === 'Not protected');
    expect(limits?.querySelectorAll('li')).toHaveLength(10);
  });
});

describe('changing a camera', () => {
  it('keeps the camera and asks its address again', async () => {
    const home = open('home', '#/settings/cameras');
    await said('Garden gate');
    follow('Change Porch');
    await said('Only your hub knows the camera’s address');
    fill('Address', 'http://wrong');
    submit();
    await said('The address must begin with rtsp://');
    fill('Address', 'rtsp://10.0.0.3/new');
    submit();
    await vi.waitFor(() => expect(home.calls).toContain('changeCamera'));
    expect(home.calls).not.toContain('addCamera');
  });
});

describe('a camera', () => {
  async function openPorch(): Promise<FakeHome> {
    const home = open('home');
    await said('Porch');
    location.hash = document.querySelector('article a')?.getAttribute('href') ?? '';
    await said(/Live, \d/);
    return home;
  }
  const slider = (): Element => {
    const found = document.querySelector('[role=slider]');
    if (found === null) throw new Error('no slider');
    return found;
  };
  const key = (target: Element | Document, name: string): void => {
    target.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
    flushSync();
  };

  it('looks back by keys on the timeline and comes back to now', async () => {
    await openPorch();
    expect(slider().getAttribute('aria-valuetext')).toMatch(/live$/);
    for (let i = 0; i < 5; i++) key(slider(), 'ArrowLeft');
    await vi.waitFor(() => expect(slider().getAttribute('aria-valuetext')).toMatch(/recorded$/));
    expect(button('Jump to now')).toBeDefined();
    key(document.body, 'n');
    await said(/Live, \d/);
  });

  it('opens its keys with ? and pauses with K', async () => {
    await openPorch();
    key(document.body, 'k');
    await vi.waitFor(() => expect(button('Play')).toBeDefined());
    key(document.body, '?');
    await said('Jump to now');
  });

  it('downloads a selected stretch and says what the file does not show', async () => {
    const home = await openPorch();
    URL.createObjectURL = () => 'blob:fake';
    // happy-dom would follow the link instead of saving.
    const names: string[] = [];
    const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
      names.push(this.download);
    });
    key(slider(), 'PageDown');
    key(document.body, 's');
    await said('Selected: 1 min');
    press('Download');
    await said(/of 8\.4 MB/);
    await said('Saved porch.mp4');
    expect(home.calls).toContain('download');
    expect(names).toEqual(['porch.mp4']);
    click.mockRestore();
  });

  it('cancels a download: nothing is saved, and another can begin', async () => {
    await openPorch();
    const click = vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(() => undefined);
    key(slider(), 'PageDown');
    key(document.body, 's');
    await said('Selected: 1 min');
    press('Download');
    await said(/of 8\.4 MB/);
    press('Cancel');
    await vi.waitFor(() => expect(words()).not.toMatch(/of 8\.4 MB/));
    expect(words()).not.toContain('It did not work.');
    expect(words()).not.toContain('Saved');
    expect(click).not.toHaveBeenCalled();
    expect(button('Download')?.disabled).toBe(false);
    click.mockRestore();
  });
});

describe('a start without a line', () => {
  it('says so and tries again, instead of offering a new home', async () => {
    const home = new FakeHome('home');
    const { session } = home;
    home.session = () => Promise.resolve({ ok: false, error: { kind: 'network', what: 'The server cannot be reached.', safe: 'Your hub keeps recording.', next: 'Try again when you are online.' } });
    show(home);
    await said('Your hub keeps recording.');
    expect(words()).not.toContain('Set up a new home');
    home.session = session;
    press('Try again');
    await said('Garden gate');
  });
});
