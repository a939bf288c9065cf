/** What a link shares, as its page asks for it: to play, and to take home. */
import type { Download, DownloadProgress } from '../owner/types';
import { download } from './download';
import type { OpenedLink } from './linkopen';
import { NoPicture, oneCamera, StretchHome } from './stretchhome';

export class LinkHome extends StretchHome {
  readonly #words: OpenedLink['words'];

  private constructor(opened: OpenedLink, whole: (until: number) => void) {
    super(opened, whole);
    this.#words = opened.words;
  }

  static override async of(opened: OpenedLink, whole: (until: number) => void, signal: AbortSignal): Promise<LinkHome> {
    const home = new LinkHome(opened, whole);
    await home.find(signal);
    return home;
  }

  async download(progress: (p: DownloadProgress) => void, signal: AbortSignal): Promise<Download> {
    const video = this.track(oneCamera, 'video');
    if (video === null) throw new NoPicture();
    return download({
      footage: this.footage, camera: oneCamera, name: this.#words.camera, video, audio: this.track(oneCamera, 'audio'),
      from: this.from, to: this.until, gaps: [], onFault: (f) => { this.fault(oneCamera, f); },
    }, progress, signal);
  }
}
