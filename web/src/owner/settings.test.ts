// @vitest-environment happy-dom
/** Signing in and out, devices, passkeys, codes, hubs. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FAKE_CODE, FAKE_NEW_CODE } from './fake';
import { button, close, expectNamed, fill, follow, has, open, press, said, submit, words } from './fake-page';

afterEach(close);

const headings = (): string[] => [...document.querySelectorAll('main h2')].map((h) => h.textContent?.trim() ?? '');

describe('signing in', () => {
  it('offers a passkey first, where this browser has them', async () => {
    const home = open('new');
    await said('Sign in with a passkey');
    expect([...document.querySelectorAll('main button')].map((b) => b.querySelector('span')?.textContent)).toEqual(['Sign in with a passkey', 'Set up a new home', 'I was invited', 'I have a recovery code', 'My people can help me back in']);
    expectNamed();
    press('Sign in with a passkey');
    await said('Elm Street 4');
    expect(home.calls).toEqual(['signInWithPasskey']);
    expect(words()).not.toContain('Next time, just a touch');
  });

  it('says in plain words why the code is needed without PRF', async () => {
    const home = open('new');
    home.support = 'no-prf';
    await said('cannot unlock a home with one. So here you need your recovery code.');
    expect(words()).not.toContain('Sign in with a passkey');
    press('I have a recovery code');
    await said('So here you need your recovery code.');
  });

  it('shows what went wrong with a passkey, and lets one try again', async () => {
    const home = open('new');
    const { signInWithPasskey } = home;
    home.signInWithPasskey = () => Promise.resolve({ ok: false, error: { kind: 'refused', what: 'No passkey was used.', safe: 'Nothing was changed.', next: 'Try again.' } });
    await said('Sign in with a passkey');
    press('Sign in with a passkey');
    await said('No passkey was used.');
    home.signInWithPasskey = signInWithPasskey;
    press('Sign in with a passkey');
    await said('Elm Street 4');
  });

  it.each([
    ['ended', 'This device was signed out.'],
    ['removed', 'You are no longer in this home.'],
  ] as const)('says why nobody is signed in any more: %s', async (scenario, what) => {
    open(scenario);
    await said(what);
    await said('I have a recovery code');
  });

  it('says so also while the page is open, but not after one’s own sign-out', async () => {
    const home = open('home');
    await said('Garden gate');
    home.end('device-ended');
    await said('This device was signed out.');
    press('I have a recovery code');
    fill('Recovery code', FAKE_CODE);
    submit();
    await said('Elm Street 4');
    await home.signOut();
    await said('Set up a new home');
    expect(words()).not.toContain('This device was signed out.');
  });
});

describe('a passkey', () => {
  async function recovered(): Promise<ReturnType<typeof open>> {
    const home = open('new', `#recover=${FAKE_CODE}`);
    await said('Next time, just a touch');
    return home;
  }

  it('is offered to whoever came in by the code, and added', async () => {
    const home = await recovered();
    follow('Add a passkey');
    await said('You have no passkey yet.');
    fill('Name of the passkey', '');
    submit();
    await said('Please fill in: name of the passkey.');
    fill('Name of the passkey', 'Phone');
    submit();
    await said('Your passkey is added.');
    location.hash = '#/';
    await said('Let’s connect a hub');
    expect(words()).not.toContain('Next time, just a touch');
    expect(home.calls).toEqual(['recover', 'addPasskey']);
  });

  it('can wait', async () => {
    await recovered();
    press('Not now');
    expect(words()).not.toContain('Next time, just a touch');
  });

  it('is not offered where there are none', async () => {
    const home = open('new');
    home.support = 'no';
    await said('sealed at home');
    press('I have a recovery code');
    fill('Recovery code', FAKE_CODE);
    submit();
    await said('Elm Street 4');
    expect(words()).not.toContain('Next time, just a touch');
  });

  it('is listed, added and removed, with what that does', async () => {
    const home = open('home', '#/settings/passkeys');
    await said('Safari on iPhone');
    expectNamed();
    fill('Name of the passkey', 'Laptop');
    submit();
    await said('Your passkey is added.');
    expect(headings()).toEqual(['Laptop', 'Safari on iPhone', 'Add a passkey']);
    press('Remove Safari on iPhone');
    await said('That is a rule the server keeps');
    expect(words()).not.toContain('It is your only one');
    press('Remove passkey');
    await vi.waitFor(() => expect(headings()).toEqual(['Laptop', 'Add a passkey']));
    press('Remove Laptop');
    await said('It is your only one: from then on you need your recovery code.');
    press('Remove passkey');
    await said('You have no passkey yet.');
    expect(home.calls).toEqual(['addPasskey', 'removePasskey', 'removePasskey']);
  });

  it('keeps the name that is being typed when the list comes late', async () => {
    const home = open('home');
    let come: () => void = () => undefined;
    home.passkeys = () => new Promise((resolve) => (come = () => { resolve({ ok: true, value: [{ id: 'aa', label: 'Laptop', created: Date.now(), lastUse: null }] }); }));
    location.hash = '#/settings/passkeys';
    await vi.waitFor(() => { fill('Name of the passkey', 'My key on a ring'); });
    come();
    await said('Laptop');
    expect([...document.querySelectorAll('input')].map((input) => input.value)).toContain('My key on a ring');
  });

  it.each([
    ['no-prf', 'In another browser you can add one.'],
    ['no', 'This browser has no passkeys.'],
  ] as const)('cannot be added here: %s', async (support, why) => {
    const home = open('home');
    home.support = support;
    location.hash = '#/settings/passkeys';
    await said(why);
    expect(has('button', 'Add a passkey')).toBe(false);
  });
});

describe('devices', () => {
  it('are listed with last use and how they came in, this one first of all', async () => {
    open('home', '#/settings/devices');
    await said('Chrome on Android');
    expect(headings()).toEqual(['Firefox on Linux', 'Safari on iPhone', 'Chrome on Android', 'In the wrong hands?']);
    expect(words()).toContain('This one');
    expect(words()).toMatch(/Signed in with the recovery code: /);
    expect(has('button', 'Sign out Firefox on Linux')).toBe(false);
    expectNamed();
  });

  it('are signed out one by one or all, told what that is worth', async () => {
    const home = open('home', '#/settings/devices');
    await said('Chrome on Android');
    press('Sign out Safari on iPhone');
    await said('This is a rule the server keeps. For a device in the wrong hands, replace your keys instead.');
    expect(home.calls).toEqual([]);
    press('Sign out');
    await vi.waitFor(() => expect(headings()).not.toContain('Safari on iPhone'));
    press('Sign out all others');
    await said('Sign out all other devices?');
    press('Sign out all others');
    await said('1 device signed out.');
    await said('No other device is signed in.');
    expect(home.calls).toEqual(['endDevice', 'endOtherDevices']);
  });
});

describe('the recovery code', () => {
  it('asks on every page to be made anew once it was used, and stops when it is', async () => {
    const home = open('code-used', '#/people');
    await said('Your recovery code has been used.');
    location.hash = '#/settings/trust';
    await said('Not protected');
    await said('Your recovery code has been used.');
    location.hash = '#/new-code';
    await said('The old code keeps working until you have typed the new one back.');
    expect(words()).not.toContain('Your recovery code has been used.');
    press('Show me a new code');
    await said('Your new recovery code');
    expect(document.querySelector('[data-testid=code]')?.textContent?.trim().replace(/\s+/g, '-')).toBe(FAKE_NEW_CODE);
    expectNamed();
    press('I have put it away');
    fill('Recovery code', FAKE_CODE);
    submit();
    await said('That is not the code on your sheet.');
    fill('Recovery code', FAKE_NEW_CODE);
    submit();
    await said('The new code counts from now on.');
    location.hash = '#/settings/recovery';
    await said('Your code on paper opens everything');
    expect(words()).not.toContain('Your recovery code has been used.');
    expect(home.calls).toEqual(['beginNewCode', 'finishNewCode', 'finishNewCode']);
  });

  it('is printed with what its finder must know', async () => {
    open('home', '#/new-code');
    await said('Show me a new code');
    press('Show me a new code');
    await said('Your new recovery code');
    const sheet = document.querySelector('.print-sheet')?.textContent ?? '';
    expect(sheet).toContain('Elm Street 4, Ann');
    expect(sheet).toContain('To use it: open');
    expect(sheet).toContain('an admin of the home can remove you and invite you again');
  });

  it('says who could let one in again, or that nobody could', async () => {
    open('home', '#/settings/recovery');
    await said('You are the only admin.');
    expectNamed();
    close();
    open('member', '#/settings/recovery');
    await said('an admin of the home can remove you and invite you again');
    expect(words()).not.toContain('You are the only admin.');
  });
});

describe('new keys', () => {
  it('tell first what they do, then do it, and offer a passkey again', async () => {
    const home = open('home', '#/settings/recovery');
    await said('Lost a device?');
    location.hash = '#/new-keys';
    await said('All your other devices and all your passkeys are out');
    await said('What was recorded before stays readable for you.');
    expect(home.calls).toEqual([]);
    expectNamed();
    press('Make new keys');
    await said('Your new recovery code');
    press('I have put it away');
    fill('Recovery code', FAKE_NEW_CODE);
    submit();
    await said('Your keys are replaced.');
    expect(home.calls).toEqual(['beginNewKeys', 'finishNewKeys']);
    location.hash = '#/settings/devices';
    await said('No other device is signed in.');
    location.hash = '#/settings/passkeys';
    await said('You have no passkey yet.');
  });
});

describe('hubs', () => {
  it('are loud about a doubled one, with what to do, and explain how one is replaced', async () => {
    open('doubled');
    await said('Two machines use the key of Cupboard. See Settings, Hubs.');
    location.hash = '#/settings/hubs';
    await said('A second machine tried to be Cupboard.');
    expect(document.querySelector('[role=alert]')?.textContent).toContain('If you copied or restored the hub’s folder: switch off one of the two');
    await said('Replacing a hub');
    await said('latchkey hub reset');
    expect(button('Remove Cupboard')).toBeDefined();
  });
});
