/**
 * Playing with sound where a browser wants a touch first: the picture starts
 * without it, and the sound comes with the first touch.
 */

export const touchWords = 'Sound starts when you touch the picture.';

/** Starts the element. `wanted` is asked again at the touch: by then the sound may be off, or another picture shown. */
export function playAloud(video: HTMLVideoElement, wanted: () => boolean, tell: (notice: string | null) => void): void {
  video.play().catch((err: unknown) => {
    // Anything else is a play that another one has overtaken.
    if (!(err instanceof DOMException) || err.name !== 'NotAllowedError' || video.muted) return;
    video.muted = true;
    tell(touchWords);
    atTouch(() => {
      if (!wanted()) return;
      video.muted = false;
      tell(null);
    });
    video.play().catch(() => undefined);
  });
}

/** Runs fn at the reader's next touch of the page, by hand or key. */
function atTouch(fn: () => void): void {
  const once = new AbortController();
  for (const kind of ['click', 'keydown'] as const) {
    document.addEventListener(kind, () => {
      once.abort();
      fn();
    }, { signal: once.signal });
  }
}
