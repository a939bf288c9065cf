// @vitest-environment node
/** The page against the release in the log: what it can find out by itself. */
import { afterEach, describe, expect, it } from 'vitest';
import type { PageRelease } from '../owner/access/types';
import { accessOps } from './accessops';
import { b64, type Bytes, utf8 } from './bytes';
import { beginFounding, found } from './founding';
import { H } from './hash';
import { LogBook } from './logbook';
import { TestLog } from './testlog';
import { TestServer } from './testserver';

const page: Readonly<Record<string, string>> = { 'assets/a.js': 'let a', 'index.html': '<p>', 'sw.js': 'worker' };
const manifest = (of = page): Bytes => utf8(Object.keys(of).sort().map((path) => `${path} ${b64(H(utf8(of[path] ?? '')))}\n`).join(''));

let book: LogBook | null = null;
afterEach(() => { book?.close(); });

interface World {
  readonly server: TestServer;
  readonly log: TestLog;
  readonly check: () => Promise<PageRelease>;
}

async function begin(releasers = 2): Promise<World> {
  const server = new TestServer();
  const log = (server.log = await TestLog.start(false, releasers));
  for (const [path, text] of Object.entries(page)) server.page.set(path, utf8(text));
  const here = server.browser();
  const member = await found(here, await beginFounding(here.api, 'The house', 'Ann'));
  await server.proves();
  const opened = (book = new LogBook(member, () => undefined));
  await opened.look();
  const name = (): string => '';
  return { server, log, check: () => accessOps({ member, log: opened, person: name, hub: name, camera: name }).checkPage(null) };
}

describe('the page checks its own program', () => {
  it('is the release that two have signed and the log has', async () => {
    const { log, check } = await begin();
    expect(await check()).toEqual({ state: 'unreleased' });
    await log.release(manifest());
    expect(await check()).toMatchObject({ state: 'released', version: '1.2', source: 'abc', files: 3 });
  });

  it('names a file that is another, or missing', async () => {
    const { server, log, check } = await begin();
    await log.release(manifest());
    server.page.set('sw.js', utf8('worker!'));
    expect(await check()).toMatchObject({ state: 'differs', path: 'sw.js' });
    server.page.delete('assets/a.js');
    expect(await check()).toMatchObject({ state: 'differs', path: 'assets/a.js' });
  });

  it.each<[string, (w: World) => Promise<void>]>([
    ['one signature alone', ({ log }) => log.release(manifest(), 1)],
    ['another list of files', async ({ log }) => {
      await log.release(manifest());
      log.files.set('release/web/manifest', manifest({ ...page, 'sw.js': 'worker!' }));
    }],
    ['a release that only a fork of the log has', async ({ log }) => {
      const fork = log.fork();
      for (let i = 0; i < 20; i++) fork.add(new Uint8Array(32), i, H(utf8(`${i}`)));
      await fork.release(manifest());
      for (const [path, file] of fork.files) if (path !== 'policy') log.files.set(path, file);
    }],
    ['no release file', async ({ log }) => {
      await log.release(manifest());
      log.files.set('release/web', utf8('latchkey/v1 released\n'));
    }],
  ])('believes no release that does not hold: %s', async (_, lie) => {
    const world = await begin();
    await lie(world);
    expect(await world.check()).toEqual({ state: 'unproven' });
  });

  it('believes nobody whom the pinned policy does not name', async () => {
    const { log, check } = await begin(0);
    await log.release(manifest());
    expect(await check()).toEqual({ state: 'unproven' });
  });
});
