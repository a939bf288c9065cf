/**
 * The program of this page against the release in the public log (protocol
 * 2.16). It finds a server whose files are not those that it has published, by
 * slip or in the open. It finds no liar: one who sends this browser another
 * program sends another check with it.
 */
import type { PageRelease } from '../owner/access/types';
import { parseManifest, type Released } from '../ledger/release';
import { type Bytes, equal } from './bytes';
import { isKind, refuse } from './failure';
import { H } from './hash';

/** Where a check gets its answers from; none of them is believed. */
export interface PageSource {
  /** The release, proven to stand in the log that this browser knows; null: none was published. Throws Failure 'verify'. */
  released(): Promise<Released | null>;
  manifest(): Promise<Bytes>;
  /** A file as this browser is given it; null: there is none. */
  file(path: string): Promise<Bytes | null>;
}

export async function checkPage(source: PageSource): Promise<PageRelease> {
  try {
    const found = await source.released();
    return found === null ? { state: 'unreleased' } : await compare(source, found);
  } catch (err) {
    if (!isKind(err, 'verify')) throw err;
    return { state: 'unproven' };
  }
}

async function compare(source: PageSource, { release, index }: Released): Promise<PageRelease> {
  const manifest = await source.manifest();
  if (release.kind !== 'web' || !equal(H(manifest), release.hash)) throw refuse('page: the list of files is not the one of the release');
  const files = parseManifest(manifest);
  const same = { version: release.version, source: release.source, entry: index };
  for (const { path, hash } of files) {
    const given = await source.file(path);
    if (given === null || !equal(H(given), hash)) return { state: 'differs', ...same, path };
  }
  return { state: 'released', ...same, files: files.length };
}
