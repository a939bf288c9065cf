/**
 * The story of a camera lent for a while: an owner lets a guest who sees one
 * camera see the other from now on, for an hour, and the past of the first;
 * the guest's wall shows it, says since and until when, and plays it; then the
 * owner ends it, and it is gone.
 */
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Between } from './between';
import { eventually, expectAccessible, expectMoving, openPage, startBrowser } from './browser';
import { Latchkey } from './latchkey';
import { addsCamera, connectsHub, follows, founds, go, invites, press } from './person';

let latchkey: Latchkey;
let between: Between;
let browser: Browser;
let cloud: string;
let origin: string;
let ann: Page;
let sam: Page;

beforeAll(async () => {
  [latchkey, browser] = await Promise.all([Latchkey.prepare(), startBrowser()]);
  [, cloud = ''] = await latchkey.start('server', ['serve', '--data', join(latchkey.dir, 'cloud'), '--listen', '127.0.0.1:0', '--proof-every', '1s'], /listens on (http:\/\/\S+)/);
  between = await Between.start(cloud);
  origin = between.origin.replace('127.0.0.1', 'localhost');
  [{ page: ann }, { page: sam }] = [await openPage(browser, origin), await openPage(browser, origin)];
});
afterAll(async () => {
  await browser?.close();
  await between?.stop();
  await latchkey?.stop();
});

const dialogOf = (page: Page) => page.locator('dialog[open]');
const tile = (page: Page, name: string) => page.locator('article').filter({ hasText: name });

describe('a guest who sees one camera of two', () => {
  it('is let in', async () => {
    await founds(ann, origin, 'Elm Street 4', 'Ann Bishop');
    await connectsHub(ann, latchkey, origin, cloud);
    await addsCamera(ann, latchkey, 'Porch', 'porch.mp4');
    await addsCamera(ann, latchkey, 'Driveway', 'driveway.mp4');
    const link = await invites(ann, { name: 'Sam Weller', cameras: ['Porch'], history: 'The last 7 days' });
    await follows(sam, link, 'Sam Weller');
    await ann.getByRole('heading', { name: 'Compare the digits' }).waitFor();
    await press(ann, 'They are the same');
    await ann.getByText('Sam Weller has joined').waitFor({ timeout: 30_000 });
    await expectMoving(tile(sam, 'Porch').getByRole('img').first());
    expect(await sam.locator('article').count()).toBe(1);
  });

  it('is lent the other from now on', async () => {
    await go(ann, '#/');
    await tile(ann, 'Driveway').getByRole('link').first().click();
    await ann.getByRole('button', { name: 'Select a stretch' }).click();
    await ann.getByRole('button', { name: 'Share', exact: true }).click();
    const dialog = dialogOf(ann);
    await dialog.getByLabel('Somebody of your home').check();
    await dialog.getByText('Sam Weller does not see this camera.').waitFor();
    expect(await dialog.getByLabel('This stretch').isDisabled()).toBe(true);
    await dialog.getByLabel('For how long').selectOption({ label: '1 hour' });
    await dialog.getByText(/^They see this camera from now on/).waitFor();
    await expectAccessible(ann);
    await dialog.getByRole('button', { name: 'Share', exact: true }).click();
    await dialog.getByText(/^Sam Weller sees it as soon as your hub has heard of it/).waitFor({ timeout: 60_000 });
    await dialog.getByRole('button', { name: 'Done' }).click();
  });

  it('finds it on the wall, live, with the times that it is theirs', async () => {
    await tile(sam, 'Given to you').first().waitFor({ timeout: 60_000 });
    expect(await sam.getByTestId('granted').count()).toBe(1);
    await expectMoving(tile(sam, 'Given to you').getByRole('img').first());
    await tile(sam, 'Driveway').waitFor({ timeout: 90_000 });
    await expectAccessible(sam);
    await tile(sam, 'Driveway').getByRole('link').first().click();
    await sam.getByTestId('granted').filter({ hasText: /^Given to you: \d\d:\d\d to / }).waitFor();
    await expectMoving(sam.getByRole('img', { name: /^Driveway, / }));
  });

  it('has it no more when the owner has ended it', async () => {
    await go(ann, '#/shared');
    await ann.getByText(/as it is recorded/).waitFor();
    await ann.getByRole('button', { name: /^End: Driveway/ }).click();
    await dialogOf(ann).getByRole('button', { name: 'End it' }).click();
    await ann.getByText('Nothing is shared right now.').waitFor({ timeout: 30_000 });
    await go(sam, '#/');
    await eventually(async () => expect(await tile(sam, 'Driveway').count()).toBe(0));
    await expectMoving(tile(sam, 'Porch').getByRole('img').first());
  });
});
