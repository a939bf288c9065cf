/** What people do in the stories of people and devices: in the words of the page. */
import type { CDPSession, Page } from 'playwright-core';
import { expect } from 'vitest';
import { expectMoving } from './browser';
import { freePort, type Latchkey, scene } from './latchkey';

/** An authenticator in this page that derives secrets, and touches itself. */
export async function authenticator(page: Page): Promise<CDPSession> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      hasPrf: true, isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  return cdp;
}

export const go = (page: Page, hash: string): Promise<void> => page.evaluate((to) => void (location.hash = to), hash);
export const press = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('button', { name, exact: typeof name === 'string' }).click();

/** Reads the code on the page, puts it away and types it back. */
export async function codeCeremony(page: Page, finish: string): Promise<string> {
  const code = (await page.getByTestId('code').innerText()).trim().split(/\s+/).join('-');
  expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){7}[0-9A-HJKMNP-TV-Z]{4}$/);
  await press(page, 'I have put it away');
  await page.getByLabel('Recovery code').fill(code);
  await press(page, finish);
  return code;
}

export async function founds(page: Page, origin: string, household: string, person: string): Promise<string> {
  await page.goto(origin);
  await press(page, /Set up a new home/);
  await page.getByLabel('Name of the home').fill(household);
  await page.getByLabel('Your name').fill(person);
  await press(page, 'Next');
  const code = await codeCeremony(page, 'Finish');
  await page.getByRole('heading', { level: 1, name: household }).waitFor();
  return code;
}

export async function recovers(page: Page, origin: string, code: string): Promise<void> {
  await page.goto(origin);
  await press(page, /I have a recovery code/);
  await page.getByLabel('Recovery code').fill(code);
  await press(page, 'Open');
}

/** The command that the page shows for a new hub, as arguments; `as` names its folder. */
export async function hubCommand(page: Page, as = 'latchkey-hub'): Promise<string[]> {
  await go(page, '#/add-hub');
  const [, ...args] = (await page.getByTestId('hub-command').innerText()).trim().split(/\s+/);
  return args.map((arg) => (arg === 'latchkey-hub' ? as : arg));
}

/** Runs the page's command on this machine; to the cloud itself where the page came by another way. */
export async function connectsHub(page: Page, latchkey: Latchkey, origin: string, cloud = origin): Promise<void> {
  await latchkey.start('hub', (await hubCommand(page)).map((arg) => (arg === origin ? cloud : arg)), /paired/);
  await page.getByText('Your hub is connected.').waitFor({ timeout: 30_000 });
}

/** Plays one of the demo's scenes as a camera, and adds it. */
export async function addsCamera(page: Page, latchkey: Latchkey, name: string, file: string): Promise<void> {
  const address = `rtsp://127.0.0.1:${await freePort()}/${name.toLowerCase()}`;
  await latchkey.start('camera', ['camera', 'simulate', scene(file), '--listen', address], /Playing/);
  await go(page, '#/add-camera');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Address', { exact: true }).fill(address);
  await press(page, 'Add camera');
  await expectMoving(page.locator('article').filter({ hasText: name }).getByRole('img').first());
}

export interface Guest {
  readonly name: string;
  /** names of cameras; all when absent */
  readonly cameras?: readonly string[];
  /** as the page says it, such as "The last 7 days" */
  readonly history: string;
}

/** Fills in an invitation and answers its link. */
export async function invites(page: Page, guest: Guest): Promise<string> {
  await go(page, '#/people/invite');
  await page.getByLabel('Their name').fill(guest.name);
  await page.getByLabel(guest.cameras === undefined ? 'All cameras, also those added later' : 'Only these cameras').check();
  for (const camera of guest.cameras ?? []) await page.getByLabel(camera, { exact: true }).check();
  await page.getByLabel(guest.history).check();
  await press(page, 'Make the invitation');
  return (await page.getByTestId('invite-link').innerText()).trim();
}

/** Follows a link up to the digits; answers his own recovery code. */
export async function follows(page: Page, link: string, person: string): Promise<string> {
  await page.goto(link);
  await page.getByLabel('Your name').fill(person);
  await press(page, 'Next');
  const code = await codeCeremony(page, 'Join');
  await page.getByTestId('digits').waitFor();
  return code;
}

export const digits = async (page: Page): Promise<string> => (await page.getByTestId('digits').innerText()).replaceAll(/\D/g, '');
