/**
 * The walls of the web tree as a test, over every source file: the linter sees
 * only .ts, and a wall that holds for half of the files is none.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = join(import.meta.dirname, '..');

interface Source {
  /** Path below src, with slashes. */
  readonly path: string;
  readonly text: string;
}

interface Wall {
  readonly name: string;
  readonly applies: (path: string) => boolean;
  readonly forbidden: RegExp;
}

const isTest = (path: string): boolean => path.endsWith('.test.ts');
const inPages = (path: string): boolean => /^(owner|ui)\//.test(path) && path !== 'owner/home.ts' && !isTest(path);

/** What a stranger's browser loads: pages of links and of evidence, their workers, and whatever of src/crypto only those use. */
const forStrangers = (path: string): boolean => (/^(link|verify|evidence)\//.test(path) || /^crypto\/link\w*\.ts$/.test(path)) && !isTest(path);
/** Both sides of a stranger's page, but for its worker, never see a key. */
const inStrangersPage = (path: string): boolean => /^(link|verify)\//.test(path) && !/^(link\/link|verify\/verify)worker\.ts$/.test(path) && !isTest(path);

/** The desk's pages: keys and calls stay in its worker and in what only that loads. */
const inDeskPage = (path: string): boolean => (/^desk\/.*\.svelte$/.test(path) || /^desk\/(main|invitation|room|messages|words|health|figures|mark|hidden|span)\.ts$/.test(path)) && !isTest(path);
const forDesk = (path: string): boolean => path.startsWith('desk/') && !isTest(path);

const WALLS: readonly Wall[] = [
  { name: 'only src/crypto names crypto.subtle', applies: (path) => !path.startsWith('crypto/') && !isTest(path), forbidden: /\bsubtle\b/ },
  { name: 'pages do not import crypto, api or ciphers', applies: inPages, forbidden: /from\s+['"](?:(?:\.\.?\/)+(?:crypto|api)\/|@noble\/|@hpke\/)/ },
  { name: 'only dev.ts and tests import the home in memory', applies: (path) => !isTest(path) && !/^owner\/(dev|fake[\w-]*)\.ts$/.test(path), forbidden: /from\s+['"][./\w-]*\/fake[\w-]*['"]/ },
  { name: 'no address of anybody else', applies: (path) => !isTest(path) && !path.startsWith('api/'), forbidden: /["'`]https?:\/\/(?!127\.0\.0\.1|localhost|www\.w3\.org|[\w-]+\.example[^.\w])[\w.-]+\.[a-z]{2,}/ },
  { name: 'only owner/passkey.ts asks for passkeys', applies: (path) => !isTest(path) && path !== 'owner/passkey.ts' && path !== 'owner/passkey-support.ts', forbidden: /navigator\.credentials|\bPublicKeyCredential\b/ },
  { name: 'no credential serialises itself (its JSON has what a passkey derived)', applies: (path) => !isTest(path) && !path.startsWith('api/'), forbidden: /\.toJSON\b/ },
  { name: 'the stranger’s page has no code of members, but their types', applies: forStrangers, forbidden: /import\s+(?!type\b)[^;]*?from\s+['"](?:\.\.?\/)+(?:(?:\.\.\/)?owner\/|(?:crypto\/)?(?:member|household|store|vault|safe|names|epochs|account|worker)['"])/ },
  { name: 'the stranger’s page does not import crypto, api or ciphers', applies: inStrangersPage, forbidden: /from\s+['"](?:(?:\.\.?\/)+(?:crypto|api)\/|@noble\/|@hpke\/)/ },
  { name: 'the stranger’s page keeps nothing', applies: forStrangers, forbidden: /\b(?:localStorage|sessionStorage|indexedDB|document\.cookie|caches\.open|serviceWorker)\b/ },
  { name: 'the desk’s pages do not import crypto, api, ciphers, or what its worker is made of', applies: inDeskPage, forbidden: /from\s+['"](?:(?:\.\.?\/)+(?:crypto|api|ledger)\/|@noble\/|@hpke\/|\.\/(?:deskapi|deskworker|join|keep|conversation|unmask|view)['"])/ },
  { name: 'the desk has no code of members, but their types', applies: forDesk, forbidden: /import\s+(?!type\b)[^;]*?from\s+['"](?:\.\.?\/)+(?:(?:\.\.\/)?owner\/|(?:crypto\/)?(?:member|household|store|vault|safe|names|epochs|account|worker)['"])/ },
  { name: 'the desk takes no footage home', applies: forDesk, forbidden: /\bdownload\s*=|\.download\b|createObjectURL|from\s+['"][./]*crypto\/(?:download|movie|mp4file|linkhome)['"]/ },
  { name: 'no inline style in markup (the CSP refuses it)', applies: (path) => path.endsWith('.svelte'), forbidden: /\sstyle="[^{]/ },
];

function sources(): Source[] {
  return readdirSync(SRC, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|svelte)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => ({ path: relative(SRC, file).replaceAll('\\', '/'), text: readFileSync(file, 'utf8') }));
}

const breaches = (files: readonly Source[]): string[] =>
  WALLS.flatMap((wall) => files.filter((file) => wall.applies(file.path) && wall.forbidden.test(file.text)).map((file) => `${wall.name}: ${file.path}`));

describe('walls', () => {
  it('hold for every file', () => {
    const files = sources().filter((file) => file.path !== 'ui/walls.test.ts');
    expect(files.length).toBeGreaterThan(40);
    expect(breaches(files)).toEqual([]);
  });

  it('each catch a planted breach', () => {
    const planted: Source[] = [
      { path: 'owner/Bad.svelte', text: "await crypto.subtle.digest('SHA-256', x)" },
      { path: 'owner/pages/Bad.svelte', text: "import { open } from '../../crypto/opener';" },
      { path: 'owner/main.ts', text: "import { FakeHome } from './fake';" },
      { path: 'ui/Bad.svelte', text: "fetch('https://fonts.example.com/x')" },
      { path: 'crypto/bad.ts', text: 'await navigator.credentials.get({})' },
      { path: 'owner/passkey.ts', text: 'send(credential.toJSON())' },
      { path: 'link/Bad.svelte', text: "import Shell from '../owner/Shell.svelte';" },
      { path: 'link/bad.ts', text: "import { Link } from '../crypto/link';" },
      { path: 'link/linkworker.ts', text: "indexedDB.open('x')" },
      { path: 'desk/Bad.svelte', text: "import { view } from './view';" },
      { path: 'desk/view.ts', text: "import { Member } from '../crypto/member';" },
      { path: 'desk/Bad.svelte', text: "link.download = 'x.mp4'" },
      { path: 'ui/Bad.svelte', text: '<p style="color: red">' },
    ];
    expect(breaches(planted).map((breach) => breach.split(':')[0])).toEqual(WALLS.map((wall) => wall.name));
  });
});
