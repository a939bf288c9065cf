// @vitest-environment happy-dom
/** From a selected stretch to a link, and to its end. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, expectNamed, has, open, press, said, widen, words } from '../fake-page';
import type { FakeHome } from '../fake';

beforeEach(() => widen(1440));
afterEach(close);

/** The camera's page with a stretch selected and the dialog open. */
async function sharing(): Promise<FakeHome> {
  const home = open('home', '#/');
  await said('Porch');
  const answer = await home.cameras();
  location.hash = `#/camera/${answer.ok ? answer.value[0]!.id : ''}`;
  await said('Select a stretch');
  press('Select a stretch');
  press('Share');
  await said('For whom');
  return home;
}

describe('a stretch of the timeline', () => {
  it('is shared by link, without sound unless that is chosen, and ended', async () => {
    const home = await sharing();
    expectNamed();
    expect(words()).toContain('without sound');
    const dialog = document.querySelector('dialog[open]')!;
    dialog.querySelectorAll('button').forEach((b) => void (b.textContent?.trim() === 'Share' && b.click()));
    await said('The link is ready');
    expect(document.querySelector('[data-testid=share-link]')?.textContent).toMatch(/\/s#LK1\./);
    expect(home.sharing.list[0]).toMatchObject({ kind: 'link', sound: false });
    expect(words()).toContain('which you cannot verify');
    location.hash = '#/shared';
    await said('Not opened yet, by the server’s count');
    press('Show the link');
    await said('/s#LK1.');
    document.querySelector<HTMLButtonElement>('button[aria-label^="End: "]')?.click();
    await said('End this share?');
    const asks = [...document.querySelectorAll('dialog[open] button')].filter((b): b is HTMLButtonElement => b.textContent?.trim() === 'End it');
    asks[asks.length - 1]?.click();
    await said('Nothing is shared right now');
    expect(home.sharing.list).toEqual([]);
  });

  it('waits in words while the public log is away', async () => {
    const home = await sharing();
    let back: () => void = () => undefined;
    home.sharing.back = new Promise((resolve) => (back = resolve));
    document.querySelectorAll('dialog[open] button').forEach((b) => void (b.textContent?.trim() === 'Share' && (b as HTMLButtonElement).click()));
    await said('it goes on by itself');
    back();
    await said('The link is ready');
  });

  it('is not offered to who may only look', async () => {
    open('viewer', '#/');
    await said('Garden gate');
    location.hash = document.querySelector('article a')?.getAttribute('href') ?? '';
    await said('Select a stretch');
    press('Select a stretch');
    await said('Download');
    expect(has('button', 'Share')).toBe(false);
  });
});
