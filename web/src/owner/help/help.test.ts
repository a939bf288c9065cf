// @vitest-environment happy-dom
/** The operator's help: from a question to a light that is on while support can look. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FakeHome } from '../fake';
import { button, close, expectNamed, fill, has, open, press, said, submit, tick, widen, words } from '../fake-page';
import { spanWords, stretchOf, wholeSeconds, wrongStretch } from './stretch';

beforeEach(() => widen(1440));
afterEach(close);

const lights = (): string => document.querySelector('[data-testid=lights]')?.textContent ?? '';

/** The ticket in which support asks for footage. */
async function asked(): Promise<FakeHome> {
  const home = open('help', '#/');
  await said('Porch');
  location.hash = '#/help/7';
  await said('sam asks to see footage');
  return home;
}

describe('somebody who needs help', () => {
  it('is told what to do, who reads what, and what hubs send', async () => {
    const home = open('home', '#/help');
    await said('You have not asked for help yet');
    expectNamed();
    press('Ask for help');
    await said('Never sent:');
    expect(words()).toContain('Only your home and the one person of support who gets it can read this.');
    expectNamed();
    submit();
    expect(home.help.calls).toEqual([]);
    fill('What is wrong', ' The porch is grey ');
    tick('Let that person see');
    submit();
    await said('Ticket 7: Something is offline');
    expect(home.help.list[0]).toMatchObject({ topic: 'offline', health: false, letters: [{ words: 'The porch is grey' }] });
    expect(words()).toContain('The public log proves that sam is of support');
    press('Let them report');
    await said('Your hubs report to sam.');
    press('Stop reporting');
    await said('Your hubs report nothing to sam.');
    expectNamed();
  });

  it('writes, reads, and closes', async () => {
    const home = await asked();
    fill('Write', 'Which evening?');
    submit('Send');
    await said('Which evening?');
    // A question that was answered is none any more.
    expect(has('button', 'Refuse')).toBe(false);
    press('Close this ticket');
    await said('What was opened before may have been kept.');
    press('Close it');
    await said('This ticket is closed.');
    expect(home.help.calls).toEqual(['reply', 'close']);
    expect(has('button', 'Show minutes')).toBe(false);
  });

  it('decides whether somebody who took the ticket over reads what was before', async () => {
    const home = await asked();
    home.help.taken(7, 'tim');
    await said('tim has taken this ticket over, and cannot read what was written before.');
    press('Let tim read it');
    await said(/^(?!.*taken this ticket over).*$/s);
    expect(home.help.calls).toEqual(['passOn']);
  });

  it('is told on every page that support has written, until it was read', async () => {
    const home = open('help', '#/');
    await said('Something new was written in your ticket 7.');
    location.hash = '#/help/7';
    await said('sam asks to see footage');
    location.hash = '#/';
    await said('All recording');
    await said(/^(?!.*Something new).*$/s);
    expect(home.help.calls).toEqual([]);
  });

  it('is warned, and can send nothing, when the log does not prove who has the ticket', async () => {
    const home = await asked();
    home.help.lies(7);
    await said('The server names somebody whom the public log does not prove to be of support.');
    expect([has('button', 'Send'), has('button', 'Let them report')]).toEqual([false, false]);
  });
});

describe('a question for footage', () => {
  it('can be refused', async () => {
    const home = await asked();
    press('Refuse');
    await said('No, I do not let you see this.');
    expect(home.help.list[0]!.see).toEqual([]);
  });

  it('is answered with a stretch; a light is on, tells what is opened, and ends it with one press', async () => {
    const home = await asked();
    expectNamed();
    press('Show minutes');
    await said('This is what they will see');
    expect(words()).toContain('nothing before and nothing after');
    expectNamed();
    press('Let sam see');
    await said('sam can see Porch now, until');
    press('Done');
    const [see] = home.help.list[0]!.see;
    expect(see).toMatchObject({ camera: 'Porch', sound: false, live: false });
    await said('sam from support can see Porch');
    await said('Nothing of it was opened yet.');
    home.help.opens(see!.id, see!.from, see!.from + 60_000);
    await said('Opened last: ');
    await said('Opened, as your own record says:');
    expect(document.querySelector('[data-testid=opened] a')?.getAttribute('href')).toBe('#/access/20');
    expectNamed();
    location.hash = '#/';
    await said('All recording');
    expect(lights()).toContain('sam from support can see Porch');
    button('Stop now: sam from support').click();
    await said(/^(?!.*sam from support can see).*$/s);
    expect(home.help.list[0]!.see[0]!.state).toBe('ended');
  });

  it('may be live, for as long as was said', async () => {
    const home = await asked();
    press('Show minutes');
    await said('This is what they will see');
    tick('Live, from now on');
    await said('A light in this app stays on while it lasts.');
    press('Let sam see');
    await said('sam from support can see Porch live until');
    expect(home.help.list[0]!.see[0]!.to - home.help.list[0]!.see[0]!.from).toBe(5 * 60_000);
  });

  it('waits in words while the public log is away', async () => {
    const home = await asked();
    let back: () => void = () => undefined;
    home.help.back = new Promise((resolve) => (back = resolve));
    press('Show minutes');
    await said('This is what they will see');
    press('Let sam see');
    await said('You may close this: it goes on by itself');
    back();
    await said('sam can see Porch now');
  });
});

describe('a stretch', () => {
  it('is of whole seconds, or of the next minutes', () => {
    expect(wholeSeconds({ from: 10_400, to: 20_001 })).toEqual({ from: 10_000, to: 21_000 });
    expect(stretchOf({ live: null, range: { from: 10_400, to: 20_001 }, served: 'hour' }, 50_000)).toEqual({ from: 10_000, to: 21_000, until: 3_650_000 });
    expect(stretchOf({ live: 15, range: { from: 0, to: 1 }, served: 'hour' }, 50_400)).toEqual({ from: 50_000, to: 950_000, until: 950_000 });
    expect([wrongStretch({ from: 5, to: 5 }, 9), wrongStretch({ from: 5, to: 10 }, 9), wrongStretch({ from: 5, to: 9 }, 9)]).toEqual([true, true, false]);
    const noon = new Date(2026, 10, 3, 12).getTime();
    expect(spanWords({ from: noon, to: noon + 60_000 }, noon)).toBe('12:00:00 – 12:01:00');
    expect(spanWords({ from: noon, to: noon + 60_000 }, noon + 86_400_000)).toBe('Yesterday 12:00:00 – 12:01:00');
  });
});
