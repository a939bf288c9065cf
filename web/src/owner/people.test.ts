// @vitest-environment happy-dom
/** Who sees what, letting somebody in, and out again. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FAKE_DIGITS, FAKE_INVITATION, FAKE_NEW_CODE } from './fake';
import { button, close, expectNamed, field, fill, follow, has, open, press, said, submit, tick, widen, words } from './fake-page';

beforeEach(() => widen(1440));
afterEach(close);

const rowOf = (name: string): string[] => {
  const row = [...document.querySelectorAll('tbody tr')].find((tr) => tr.querySelector('th')?.textContent?.trim().startsWith(name));
  return [...(row?.querySelectorAll('td') ?? [])].map((td) => td.textContent?.trim().replace(/\s+/g, ' ') ?? '');
};

describe('the picture of who sees what', () => {
  it('is a table whose rows and columns have heads', async () => {
    open('home', '#/people');
    await said('Mina');
    expect([...document.querySelectorAll('thead th[scope=col]')].map((th) => th.textContent?.trim())).toEqual(['Person', 'Porch', 'Driveway', 'Garden gate', 'Cameras added later', 'Actions']);
    expect([...document.querySelectorAll('tbody th[scope=row]')].map((th) => th.textContent?.trim().replace(/\s+/g, ' '))).toEqual(['Ann (you) Admin', 'Sam Member', 'Mina Viewer']);
    expect(rowOf('Sam').slice(0, 4)).toEqual(['Picture and sound', 'Picture only', 'No', 'No']);
    expect(rowOf('Ann')[3]).toBe('Yes');
    expectNamed();
  });

  it('is a card a person where there is no room', async () => {
    widen(390);
    open('home', '#/people');
    await said('Mina');
    expect(document.querySelector('table')).toBeNull();
    const [, sam] = document.querySelectorAll('ul[aria-label="Who may see which camera"] > li');
    expect(sam?.textContent?.replace(/\s+/g, ' ')).toMatch(/Sam Member\. May look, and record.*Porch ?Picture and sound ?Driveway ?Picture only ?Garden gate ?No/);
    expectNamed();
  });

  it('says what it does not show', async () => {
    open('home', '#/people');
    await said('Latchkey does not show yet who is looking');
  });

  it('shows hubs and own devices beneath', async () => {
    open('doubled', '#/people');
    await said('Carries Porch, Driveway, Garden gate');
    await said('Two machines use this hub’s key');
    await said(/Safari on iPhone, ?Last used: Yesterday/);
  });

  it('asks again after a failure', async () => {
    const home = open('home');
    await said('Garden gate');
    const { people } = home;
    home.people = () => Promise.resolve({ ok: false, error: { kind: 'internal', what: 'It is broken.', safe: '', next: '' } });
    location.hash = '#/people';
    await said('It is broken.');
    home.people = people;
    press('Try again');
    await said('Mina');
  });
});

describe('somebody who is no admin', () => {
  it('sees who sees what, and nothing to change it', async () => {
    open('member', '#/people');
    await said('Mina');
    for (const name of ['Invite somebody', 'Change Mina', 'Remove Mina']) expect(has('a, button', name)).toBe(false);
  });

  it('is told whom to ask where only an admin may go', async () => {
    const home = open('viewer', '#/people/invite');
    await said('Only an admin of the home can do this.');
    location.hash = '#/add-camera';
    await said('Only an admin of the home can do this.');
    expect(document.querySelector('form')).toBeNull();
    expect(home.calls).toEqual([]);
  });

  it('finds no camera or hub to change, add or remove', async () => {
    open('viewer', '#/settings/cameras');
    await said('Recording');
    expect(has('a, button', 'Change Garden gate') || has('a, button', 'Remove Garden gate') || has('a, button', 'Add a camera')).toBe(false);
    location.hash = '#/settings/hubs';
    await said('Cupboard');
    expect(has('a, button', 'Remove Cupboard') || has('a, button', 'Connect a hub')).toBe(false);
    location.hash = '#/';
    await said('All recording.');
    expect(has('a', 'Add a camera')).toBe(false);
  });

  it('records by hand only as a member', async () => {
    open('viewer', '#/');
    await said('All recording.');
    location.hash = document.querySelector('article a')?.getAttribute('href') ?? '';
    await said(/Live, \d/);
    press('More');
    await said('Delay');
    expect(words()).not.toContain('Record 30 seconds');
  });

  it('is told who could share, while nothing is shared', async () => {
    open('nothing-shared');
    await said('No camera is shared with you yet');
    expect(has('a', 'See who is admin')).toBe(true);
  });
});

describe('removing a person', () => {
  async function asked(scenario: 'home' | 'trouble'): Promise<ReturnType<typeof open>> {
    const home = open(scenario, '#/people');
    await said('Mina');
    press('Remove Sam');
    await said('Sam no longer gets anything recorded from now on. What Sam already opened, Sam may have kept.');
    expect(home.calls).not.toContain('removeMember');
    return home;
  }

  it('says first what they keep, then who has heard of it', async () => {
    const home = await asked('home');
    press('Remove Sam');
    await said('Sam is removed');
    expect(words()).toContain('Within seconds nothing new is locked for them.');
    expect([...document.querySelectorAll('[aria-label="Who has heard of it"] li')].map((li) => li.textContent?.trim())).toEqual(['The server has it.', 'Cupboard has heard it and locks new footage without them.']);
    expect(home.calls).toContain('removeMember');
    press('Close');
    expect(rowOf('Sam')).toEqual([]);
    await vi.waitFor(() => expect(document.activeElement?.textContent).toBe('People'));
  });

  it('is honest about a hub that has not heard', async () => {
    await asked('trouble');
    press('Remove Sam');
    await said('Cupboard has not heard it yet.');
    await said('Until then its new footage is still locked for them too.');
  });

  it('is honest about a server that does not take it, and tries again', async () => {
    const home = await asked('home');
    const [hub] = await home.hubs().then((answer) => (answer.ok ? answer.value : []));
    home.removal = { server: 'failed', hubs: [{ kid: hub!.kid, heard: true }] };
    press('Remove Sam');
    await said('The server did not take it.');
    await said('Your hubs that have heard it act on it');
    home.removal = null;
    press('Try again');
    await said('The server has it.');
  });

  it('does not call removed whom nobody has removed', async () => {
    const home = await asked('home');
    home.removal = { server: 'failed', hubs: [] };
    press('Remove Sam');
    await said('Nobody has heard yet that Sam is removed');
  });

  it('is not offered for oneself', async () => {
    open('home', '#/people');
    await said('Mina');
    expect(has('button', 'Remove Ann')).toBe(false);
  });
});

describe('somebody whose keys were replaced', () => {
  it('is told about aloud until it was read', async () => {
    const home = open('new-keys', '#/people');
    await said('New keys since');
    await vi.waitFor(() => expect(words()).toContain('Sam has new keys'), 5000);
    expect(words()).toMatch(/with the recovery code .* Ask Sam in person .* remove this person, and invite again/);
    expectNamed();
    press('Sam says it is right');
    await vi.waitFor(() => expect(words()).not.toContain('Sam has new keys'));
    expect(home.calls).toContain('seenNewKeys');
    expect(words()).toContain('New keys since');
  });
});

describe('one person', () => {
  async function openSam(): Promise<ReturnType<typeof open>> {
    const home = open('home', '#/people');
    await said('Mina');
    follow('Change Sam');
    await said('What Sam may do');
    return home;
  }

  it('gets another name', async () => {
    const home = await openSam();
    expect(button('Save name').disabled).toBe(true);
    fill('Name', 'Samuel');
    submit('Save name');
    await said('What Samuel may do');
    expect(home.calls).toContain('renameMember');
    expectNamed();
  });

  it('gets other rights, in words before and after', async () => {
    const home = await openSam();
    const change = vi.spyOn(home, 'changeMember');
    await said('What you take away was open before: it may have been kept.');
    expect(button('Save').disabled).toBe(true);
    tick('Viewer');
    tick('Driveway');
    tick('Garden gate');
    tick('Garden gate with sound');
    submit('Save');
    await said('Saved. Viewer. Porch with sound, Garden gate with sound.');
    const [, asked] = change.mock.calls[0]!;
    expect(asked.role).toBe('viewer');
    expect(asked.rights.all ? [] : asked.rights.cameras.map((c) => c.sound)).toEqual([true, true]);
  });

  it('is not left without any camera by accident', async () => {
    const home = await openSam();
    tick('Porch');
    tick('Driveway');
    submit('Save');
    await said('Choose at least one camera.');
    expect(home.calls).not.toContain('changeMember');
  });

  it('is removed from here, too, and then gone', async () => {
    await openSam();
    press('Remove Sam');
    await said('Sam may have kept');
    press('Remove Sam');
    await said('Sam is removed');
    press('Close');
    await vi.waitFor(() => expect(location.hash).toBe('#/people'));
  });

  it('does not change what he may do himself', async () => {
    open('home', '#/people');
    await said('Mina');
    follow('Change Ann');
    await said('What you may do yourself is changed by another admin.');
    expect(has('button', 'Save')).toBe(false);
  });
});

describe('an invitation', () => {
  async function filled(pace?: number): Promise<ReturnType<typeof open>> {
    const home = open('home', '#/people/invite', pace);
    await said('They get keys of their own.');
    expectNamed();
    fill('Their name', 'Robin');
    return home;
  }

  it('wants a name and something to see', async () => {
    const home = open('home', '#/people/invite');
    await said('They get keys of their own.');
    submit();
    await said('Please fill in: their name.');
    await said('Choose at least one camera.');
    await vi.waitFor(() => expect(document.activeElement).toBe(field('Their name')));
    expect(home.calls).toEqual([]);
  });

  it('goes by a link, digits compared, into the home', async () => {
    const home = await filled(0.05);
    const invite = vi.spyOn(home, 'inviteMember');
    tick('Porch');
    tick('Porch with sound');
    tick('The last 7 days');
    submit();
    await said('Give this to Robin');
    expect(document.querySelector('[data-testid=invite-link]')?.textContent).toBe(`${location.origin}/#join=${FAKE_INVITATION}`);
    await said(/Works for another 1[45]:\d\d/);
    expect(document.querySelector('[aria-current=step]')?.textContent).toContain('Waiting for them to open it');
    expectNamed();

    await said('Read these to each other, on the phone or in person. They must be the same.');
    expect(document.querySelector('[data-testid=digits]')?.textContent?.trim().replace(/\s+/g, ' ')).toBe(FAKE_DIGITS);
    expect(document.activeElement?.textContent).toBe('Compare the digits');
    expectNamed();
    press('They are the same');
    await said('Robin has joined');
    expect(words()).toContain('Robin sees from now on: Porch with sound.');
    expect(words()).toContain('The last 7 days were handed over, too.');
    expect(invite.mock.calls[0]![0]).toMatchObject({ name: 'Robin', role: 'viewer', history: { days: 7 } });
    expect(home.calls).toEqual(['inviteMember', 'confirm']);
    follow('See who sees what');
    await said('Mina');
    expect(rowOf('Robin').slice(0, 4)).toEqual(['Picture and sound', 'No', 'No', 'No']);
  });

  it('is stopped when the digits differ, and says why', async () => {
    const home = await filled();
    tick('All cameras');
    submit();
    await said('They must be the same');
    press('They differ');
    await said('Another device answered this invitation, not the one you are talking to. Nobody was let in');
    expect(home.calls).toEqual(['inviteMember', 'cancelInvite']);
    press('Make a new invitation');
    await said('How far back they may look');
    await new Promise((resolve) => setTimeout(resolve, 50));
    // What becomes of the one that was given up is no news.
    expect(words()).not.toContain('Stopped.');
  });

  it('dies when its page is left before anybody compared', async () => {
    const home = await filled(1);
    tick('All cameras');
    submit();
    await said('Give this to Robin');
    location.hash = '#/';
    await vi.waitFor(() => expect(home.calls).toContain('cancelInvite'));
  });

  it('shows what went wrong, and begins anew', async () => {
    const home = await filled();
    home.inviteMember = () => Promise.resolve({ ok: true, value: { link: 'l', code: 'c', qr: [[true]], done: Promise.resolve({ ok: false, error: { kind: 'not-found', what: 'The time is up.', safe: 'Nobody joined.', next: 'Make a new invitation.' } }), confirm: () => undefined, cancel: () => undefined } });
    tick('All cameras');
    submit();
    await said('Nobody joined.');
    press('Make a new invitation');
    await said('Their name');
  });
});

describe('being invited', () => {
  const LINK = `#join=${FAKE_INVITATION}`;

  async function joining(pace?: number): Promise<ReturnType<typeof open>> {
    const home = open('new', LINK, pace);
    await said('You were invited');
    expect(location.href).not.toContain('join');
    expectNamed();
    submit();
    await said('Please fill in: your name.');
    expect(home.calls).toEqual([]);
    fill('Your name', 'Sam');
    submit();
    await said('This code opens what is shared with you.');
    press('I have put it away');
    await said('You have not joined before this.');
    return home;
  }

  it('leads from the link over one’s own code and the digits into the home', async () => {
    const home = await joining(0.05);
    expect(home.calls).toEqual(['beginJoin']);
    fill('Recovery code', FAKE_NEW_CODE.replace('T3WA', 'T3WB'));
    submit();
    await said('That is not the code on your sheet.');
    fill('Recovery code', FAKE_NEW_CODE);
    submit();
    await said('Read these to whoever invited you');
    expect(document.querySelector('[data-testid=digits]')?.textContent?.trim().replace(/\s+/g, ' ')).toBe(FAKE_DIGITS);
    await said('Waiting for them to say the digits are the same');
    expectNamed();
    await said('Elm Street 4');
    expect(home.calls).toEqual(['beginJoin', 'finishJoin', 'finishJoin']);
    // A calm next step.
    await said('Next time, just a touch');
  });

  it('ends when the digits differ', async () => {
    await joining();
    fill('Recovery code', FAKE_NEW_CODE);
    submit();
    await said('They must be the same');
    press('They differ');
    await said('Somebody else stands between you and the one who invited you. You have not joined.');
    press('Back');
    await said('Your cameras, sealed at home');
  });

  it('stays out when the home does not let in', async () => {
    const home = await joining();
    home.finishJoin = (_a, onDigits) => {
      onDigits(FAKE_DIGITS);
      return Promise.resolve({ ok: false, error: { kind: 'not-found', what: 'The invitation has ended.', safe: 'You have not joined.', next: 'Ask for a new one.' } });
    };
    fill('Recovery code', FAKE_NEW_CODE);
    submit();
    await said('The invitation has ended.');
    press('Start again');
    await said('I was invited');
  });

  it('asks first when somebody is signed in here, and can be declined', async () => {
    const home = open('home', LINK);
    await said('Join another home here?');
    expect(location.href).not.toContain('join');
    press('Stay here');
    expect(words()).not.toContain('You were invited');
    location.hash = LINK;
    await said('Join another home here?');
    expect(location.href).not.toContain('join');
    press('Look at the invitation');
    await said('You were invited');
    expect(home.calls).toEqual([]);
    // Nothing has happened yet: back is back.
    press('Back');
    await said('Garden gate');
  });

  it('takes a pasted link, and says what is none', async () => {
    const home = open('new');
    await said('sealed at home');
    press('I was invited');
    await said('Invitation link or code');
    fill('Invitation link or code', 'https://cam.example/#join=ABC');
    fill('Your name', 'Sam');
    submit();
    await said('This is no invitation.');
    fill('Invitation link or code', `https://cam.example/${LINK}`);
    submit();
    await said('Your recovery code');
    expect(home.calls).toEqual(['beginJoin']);
  });

  it('shows a link that is refused, to look at again', async () => {
    open('new', `#join=${FAKE_INVITATION.replace('7C4T', '7C4S')}`);
    await said('You were invited');
    fill('Your name', 'Sam');
    submit();
    await said('This invitation is not whole.');
    expect(field('Invitation link or code').value).toContain('7C4S');
  });
});

describe('what is not shared', () => {
  it('is told quietly, without an alarm', async () => {
    const home = open('viewer');
    await said('All recording.');
    const [camera] = await home.cameras().then((answer) => (answer.ok ? answer.value : []));
    location.hash = `#/camera/${camera!.id}?at=${Date.now() - 100 * 3_600_000}`;
    await said('From before you joined, or not shared with you');
    expect(document.querySelector('main [role=alert]')).toBeNull();
  });
});
