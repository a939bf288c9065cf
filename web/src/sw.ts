/**
 * The app shell, kept for a start without a line. It holds files of one build
 * and nothing else: no API answer, no footage, no key ever passes its cache.
 *
 * The build writes the two names below; their version is a hash of the files,
 * so the browser sees a new worker exactly when the app changed.
 */
const worker = self as unknown as ServiceWorkerGlobalScope;

const CACHE = 'latchkey-shell-__SHELL_VERSION__';
const FILES = new Set('__SHELL_FILES__'.split(' '));
const PAGE = '/index.html';

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      // Past the HTTP cache: a shell is whole and of one build, or it is not installed.
      await cache.addAll([...FILES].map((file) => new Request(file, { cache: 'reload' })));
      await worker.skipWaiting();
    })(),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name.startsWith('latchkey-shell-') && name !== CACHE) await caches.delete(name);
      }
      await worker.clients.claim();
    })(),
  );
});

/**
 * The page itself comes from the server first, so that a new build is seen at
 * once, and from the cache when there is no line. Named files carry their hash:
 * the cached one is the right one. Everything else is left to the browser.
 */
worker.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== worker.location.origin) return;
  if (event.request.mode === 'navigate' && (url.pathname === '/' || url.pathname === PAGE)) {
    event.respondWith(pageFirstFromServer(event.request));
    return;
  }
  if (url.pathname.startsWith('/assets/') && FILES.has(url.pathname)) {
    event.respondWith(fromCache(event.request));
  }
});

async function pageFirstFromServer(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await (await caches.open(CACHE)).match(PAGE);
    if (kept !== undefined) return kept;
    throw error;
  }
}

async function fromCache(request: Request): Promise<Response> {
  return (await (await caches.open(CACHE)).match(request)) ?? fetch(request);
}
