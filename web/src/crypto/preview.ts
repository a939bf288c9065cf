/**
 * Single pictures for scrubbing: the random-access part at or before a moment,
 * opened, verified and decoded here. Opened bytes are kept, pictures are not:
 * decoding a small one again is cheaper than holding it.
 */
import type { Preview } from '../owner/types';
import { captureMs, type Init, parseFragment, parseInit, type Sample } from '../player/fmp4';
import { Failure } from './failure';
import type { Footage } from './footage';
import { recordType } from './part';
import type { Fault, Timed } from './reader';

const capacity = 400;

interface Still {
  readonly init: Init;
  readonly sample: Sample;
  readonly at: number;
}

export class PreviewRoom {
  readonly #footage: Footage;
  readonly #stills = new Map<string, Still>();
  readonly #decoder = new StillDecoder();

  constructor(footage: Footage) {
    this.#footage = footage;
  }

  /** Tries the tracks in order; throws Failure 'not-found' or 'unsupported'. */
  async at(tracks: readonly string[], at: number, onFault: (f: Fault) => void, signal: AbortSignal): Promise<Preview> {
    let unsupported: Failure | null = null;
    for (const track of tracks) {
      const still = await this.#still(track, at, onFault, signal);
      if (still === null) continue;
      try {
        return { image: await this.#decoder.decode(still.init, still.sample), at: still.at };
      } catch (cause) {
        unsupported = new Failure('unsupported', `preview: this browser cannot decode ${still.init.codec}`, { cause });
      }
    }
    throw unsupported ?? new Failure('not-found', 'preview: no picture before this moment');
  }

  async #still(track: string, at: number, onFault: (f: Fault) => void, signal: AbortSignal): Promise<Still | null> {
    const second = `${track} ${Math.floor(at / 1000)}`;
    const known = this.#stills.get(second);
    // A picture that lies after the asked moment in the same second is not the one before it.
    if (known !== undefined && known.at <= at) {
      this.#stills.delete(second);
      this.#stills.set(second, known);
      return known;
    }
    const read = await this.#footage.at(track, at, signal);
    read?.faults.forEach(onFault);
    const opened = read?.opened[0];
    const still = opened === undefined ? null : stillOf(opened);
    // The last second may still get a later picture.
    if (still !== null && at < Date.now() - 5000) this.#keep(second, still);
    return still;
  }

  #keep(second: string, still: Still): void {
    this.#stills.set(second, still);
    for (const key of this.#stills.keys()) {
      if (this.#stills.size <= capacity) return;
      this.#stills.delete(key);
    }
  }
}

function stillOf(t: Timed): Still | null {
  const init = t.part.records.find((r) => r.type === recordType.init);
  const fragment = t.part.records.find((r) => r.type === recordType.fragment);
  if (init === undefined || fragment === undefined) return null;
  const head = parseInit(init.data);
  const f = parseFragment(fragment.data);
  const sample = f.samples[0];
  if (sample === undefined) return null;
  return { init: head, sample, at: captureMs(f.decodeTime + sample.compositionOffset, head.timescale) };
}

/** Decodes key frames one at a time with one decoder. */
class StillDecoder {
  #decoder: VideoDecoder | null = null;
  #configured = '';
  #pending: { resolve: (f: VideoFrame) => void; reject: (e: unknown) => void } | null = null;
  #turn: Promise<unknown> = Promise.resolve();

  decode(init: Init, sample: Sample): Promise<ImageBitmap> {
    const mine = this.#turn.then(() => this.#one(init, sample));
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #one(init: Init, sample: Sample): Promise<ImageBitmap> {
    const decoder = this.#ready(init);
    const frame = new Promise<VideoFrame>((resolve, reject) => (this.#pending = { resolve, reject }));
    // Rejected through `flush` as well: whichever is first counts.
    frame.catch(() => undefined);
    decoder.decode(new EncodedVideoChunk({ type: 'key', timestamp: 0, data: sample.data }));
    await decoder.flush();
    this.#pending?.reject(new Error('preview: no picture came out'));
    const shown = await frame;
    try {
      return await createImageBitmap(shown);
    } finally {
      shown.close();
    }
  }

  #ready(init: Init): VideoDecoder {
    const key = `${init.codec} ${init.width}x${init.height} ${init.description.join()}`;
    let decoder = this.#decoder;
    if (decoder?.state !== 'configured' || this.#configured !== key) {
      if (decoder?.state !== undefined && decoder.state !== 'closed') decoder.close();
      decoder = new VideoDecoder({
        output: (f) => {
          const pending = this.#pending;
          this.#pending = null;
          if (pending === null) f.close();
          else pending.resolve(f);
        },
        error: (e) => this.#pending?.reject(e),
      });
      decoder.configure({ codec: init.codec, description: init.description, optimizeForLatency: true });
      this.#configured = key;
      this.#decoder = decoder;
    }
    return decoder;
  }
}
