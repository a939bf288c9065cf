/** The worker of the stranger's page: it has the link's secret and hands out pictures and words only. It keeps nothing. */
import { Failure, isKind } from '../crypto/failure';
import { isToPerson, Link } from '../crypto/link';
import { linkSource } from '../crypto/linkapi';
import { LinkHome } from '../crypto/linkhome';
import { LinkOver, LinkRefused, openLink, type OpenedLink } from '../crypto/linkopen';
import { NoPicture } from '../crypto/stretchhome';
import { PlayerFeed } from '../player/feed';
import type { FromLinkWorker, LinkProblem, LinkView, ToLinkWorker } from './messages';

const scope = self as unknown as DedicatedWorkerGlobalScope;
const state: { home: LinkHome | null; opening: AbortController; saving: AbortController } = { home: null, opening: new AbortController(), saving: new AbortController() };

function post(m: FromLinkWorker): void {
  scope.postMessage(m);
}

async function open(fragment: string): Promise<void> {
  state.opening.abort();
  const mine = (state.opening = new AbortController());
  state.home = null;
  try {
    const link = await parse(fragment);
    const opened = await openLink(link, linkSource(scope.location.origin, link.kid));
    const home = await LinkHome.of(opened, (until) => { post({ kind: 'whole', until }); }, mine.signal);
    if (mine.signal.aborted) return;
    state.home = home;
    post({ kind: 'opened', view: viewOf(opened, home) });
  } catch (err) {
    if (!mine.signal.aborted) post({ kind: 'failed', problem: problemOf(err) });
  }
}

class NoLink extends Error {}
class ToPerson extends Error {}

async function parse(fragment: string): Promise<Link> {
  if (isToPerson(fragment)) throw new ToPerson();
  try {
    return await Link.parse(fragment);
  } catch {
    throw new NoLink();
  }
}

function viewOf({ words, grant, checkpoint, log, hubs, stray }: OpenedLink, home: LinkHome): LinkView {
  const { from, camera, note, zone } = words;
  return {
    from, camera, note, zone,
    begin: home.from, end: home.until, shows: home.begins, served: grant.until * 1000, sound: home.sound,
    log: { ...log, size: checkpoint.size, since: checkpoint.witnessed === null ? null : checkpoint.witnessed * 1000 },
    hubs: hubs.length, stray,
  };
}

function problemOf(err: unknown): LinkProblem {
  if (err instanceof NoLink) return { kind: 'wrong' };
  if (err instanceof ToPerson) return { kind: 'person' };
  if (err instanceof LinkOver) return { kind: 'over', until: err.until };
  if (err instanceof LinkRefused) return { kind: 'refused', check: err.check };
  if (isKind(err, 'network')) return { kind: 'away' };
  if (err instanceof NoPicture) return { kind: 'empty' };
  if (isKind(err, 'not-found')) return { kind: 'gone' };
  if (isKind(err, 'verify')) return { kind: 'refused', check: 'epoch' };
  return { kind: 'internal' };
}

async function save(): Promise<void> {
  state.saving.abort();
  const mine = (state.saving = new AbortController());
  try {
    if (state.home === null) throw new Failure('not-found', 'link: nothing is open');
    const file = await state.home.download((progress) => { post({ kind: 'progress', progress }); }, mine.signal);
    post({ kind: 'downloaded', file });
  } catch {
    post({ kind: 'download-failed', cancelled: mine.signal.aborted });
  }
}

scope.onmessage = (e: MessageEvent<ToLinkWorker>) => {
  const m = e.data;
  switch (m.kind) {
    case 'open':
      void open(m.fragment);
      return;
    case 'player':
      new PlayerFeed(m.port, () => state.home);
      return;
    case 'download':
      void save();
      return;
    case 'cancel':
      state.saving.abort();
      return;
  }
};
