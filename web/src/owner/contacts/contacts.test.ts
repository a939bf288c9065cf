// @vitest-environment happy-dom
/** Choosing trusted contacts, helping, stopping, and the way back, on the home in memory. */
import { afterEach, describe, expect, it } from 'vitest';
import { FakeHome } from '../fake';
import { button, close, expectNamed, fill, has, open, press, said, show, submit, tick, words } from '../fake-page';
import type { Kid, Person } from '../types';
import { FAKE_CLAIM_DIGITS, FAKE_NEW, fakeClaim } from './fake-contacts';
import { daysLeft, helpCode, openClaims } from './words';

const LINK = '9K3V-T0XR-71MD-WQ8C-2HJP-ZN5Y-4AGB-E6FS';

afterEach(close);

/** A home of five: enough to choose from. */
async function crowd(): Promise<FakeHome> {
  const home = new FakeHome('home');
  const answer = await home.people();
  if (!answer.ok) throw new Error('no people');
  const more = ['Ben', 'Carl'].map((name): Person => ({ kid: name.toLowerCase().padEnd(32, '0') as Kid, name, role: 'member', rights: { all: true }, me: false, removable: true, newKeys: null }));
  home.people = () => Promise.resolve({ ok: true, value: [...answer.value, ...more] });
  return home;
}

describe('choosing', () => {
  it('wants three, and says what it means before', async () => {
    const home = await crowd();
    show(home, '#/people');
    await said('You have not chosen anybody');
    press('Choose three people');
    await said('0 of 3 chosen');
    expect(words()).toContain('they would not have to wait');
    for (const name of ['Sam', 'Mina']) tick(name);
    expect(button('Trust these three').disabled).toBe(true);
    tick('Ben');
    expect(button('Trust these three').disabled).toBe(false);
    const carl = [...document.querySelectorAll('label')].find((l) => l.textContent?.includes('Carl'))?.querySelector('input');
    expect(carl?.disabled).toBe(true);
    submit('Trust these three');
    await said('Any two of Sam, Mina and Ben can help you back.');
    expectNamed();
    press('Do without');
    await said('Their parts open nothing');
    press('Do without');
    await said('You have not chosen anybody');
    expect(home.trusted.calls).toEqual(['setContacts', 'removeContacts']);
  });

  it('needs enough people', async () => {
    open('home', '#/people');
    await said('Invite them first.');
    expect(has('button', 'Choose three people')).toBe(false);
  });

  it('says when it does not work any more', async () => {
    const home = await crowd();
    home.trusted.chosen = { people: [{ kid: 'a' as Kid, name: 'Sam' }], since: null, broken: 'One of them has left or has new keys.' };
    show(home, '#/people');
    await said('This does not work any more. One of them has left');
  });
});

describe('helping', () => {
  it('hands over a link, compares, and signs', async () => {
    const home = await crowd();
    home.trusted.trusting = [{ kid: 'ab'.repeat(16) as Kid, name: 'Sam' }];
    show(home, '#/people');
    await said('People who trust you');
    press('Help Sam back in');
    await said('A message is not enough');
    press('Make a link');
    await said('Do you both see the same digits?');
    expect(document.querySelector('[data-testid=digits]')?.textContent?.replace(/\s+/g, ' ').trim()).toBe(FAKE_CLAIM_DIGITS);
    expectNamed();
    press('Yes, they are the same');
    await said('You have confirmed that it is Sam.');
    await said('Sam is being helped back in');
    expect(home.trusted.calls).toEqual(['help', 'confirm']);
  });

  it('signs nothing when the digits differ', async () => {
    const home = await crowd();
    home.trusted.trusting = [{ kid: 'ab'.repeat(16) as Kid, name: 'Sam' }];
    show(home, '#/people');
    await said('People who trust you');
    press('Help Sam back in');
    press('Make a link');
    await said('Do you both see');
    press('No');
    await said('somebody else has used the link');
    expect(home.trusted.calls).toEqual(['help', 'cancel']);
  });
});

describe('an open claim', () => {
  it('is on every page, and is stopped with one step', async () => {
    const home = await crowd();
    home.trusted.open = [fakeClaim()];
    show(home, '#/review');
    await said('Sam is being helped back in');
    expect(words()).toMatch(/Mina confirmed new keys .* Nothing happens before .*in 4 days/s);
    press('Stop');
    await said('with new digits');
    press('Stop it');
    await said(/^((?!is being helped back in).)*$/s);
    expect(home.trusted.calls).toEqual(['stopClaim']);
  });

  it('is loud when it is about the reader', async () => {
    const home = await crowd();
    home.trusted.open = [fakeClaim({ me: true, mine: false })];
    show(home);
    await said('Somebody says they are you');
    expect(document.querySelector('[role=alert]')?.textContent).toContain('If you did not ask for this, stop it.');
    expect(has('button', 'Compare and confirm')).toBe(false);
  });

  it('is confirmed by a second contact after comparing, and his part goes after the wait', async () => {
    const home = await crowd();
    home.trusted.open = [fakeClaim({ mayStop: false })];
    show(home);
    await said('Sam is being helped back in');
    expect(has('button', 'Stop')).toBe(false);
    press('Compare and confirm');
    await said('let these digits be read to you');
    press('Same digits, confirm');
    await said('Your part goes out from');
    const past = Date.now() - 1000;
    home.trusted.open = home.trusted.open.map((c) => ({ ...c, until: past, releaseAt: past }));
    close();
    show(home);
    await said('The seven days are over.');
    press('Give my part now');
    await said('Your part is given.');
    expect(home.trusted.calls).toEqual(['confirmClaim', 'releaseShare']);
  });
});

describe('the way back', () => {
  it('leads from a link over a new code to the digits', async () => {
    const home = open('new', `#help=${LINK}`);
    await said('Your people can help you back in');
    expect(location.href).not.toContain('help=');
    submit('Go on');
    await said('You get a new code, because the old one is lost.');
    press('I have put it away');
    await said('Type it back');
    fill('Recovery code', FAKE_NEW.replace('R8QD', 'R8QE'));
    submit();
    await said('That is not the code');
    fill('Recovery code', FAKE_NEW);
    submit();
    await said('Read these digits to each of the two');
    expectNamed();
    expect(home.trusted.calls).toEqual(['beginComeback', 'meetContact', 'meetContact']);
    home.trusted.back = { step: 'ready', digits: '', until: Date.now() - 1, confirmed: 2, shares: 2 };
    press('Look again');
    await said('You can come in');
    press('Come in');
    await said('Home');
    await said(/Cameras|Porch|hub/);
    expect(home.trusted.back).toBeNull();
  });

  it('is found from the first page, and taken up again', async () => {
    const home = open('new');
    await said('My people can help me back in');
    press('My people can help me back in');
    await said('Call two of the people you have chosen.');
    submit('Go on');
    await said('That is not the whole link.');
    press('Back');
    await said('My people can help me back in');
    close();
    home.trusted.back = { step: 'waiting', digits: FAKE_CLAIM_DIGITS.replaceAll(' ', ''), until: Date.now() + 2 * 86_400_000, confirmed: 2, shares: 0 };
    show(home);
    await said('Both have confirmed.');
    await said('in 2 days');
    press('Give this up');
    await said('forgets the new keys');
    press('Give this up');
    await said('My people can help me back in');
    expect(home.trusted.calls).toEqual(['abandonComeback']);
  });

  it('says when it was stopped', async () => {
    const home = new FakeHome('new');
    home.trusted.back = { step: 'stopped', digits: '', until: null, confirmed: 1, shares: 0 };
    show(home);
    await said('Somebody in your home stopped it.');
    press('Begin anew');
    await said('The link, or its code');
  });
});

describe('words', () => {
  it('counts days and reads links', () => {
    expect([daysLeft(0, 5), daysLeft(5, 0), daysLeft(86_400_001, 0)]).toEqual([0, 1, 2]);
    expect(helpCode(' https://x.example/#help=AB-CD ')).toBe('AB-CD');
    expect(helpCode('AB CD')).toBe('AB CD');
    expect(openClaims([fakeClaim(), fakeClaim({ state: 'done' })])).toHaveLength(1);
  });
});
