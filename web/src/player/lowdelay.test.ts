import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseFragment, parseInit } from './fmp4';
import { LowDelay } from './lowdelay';
import { fragment, videoInit } from './testmp4';

const unix = 1_795_460_000;

interface Chunk {
  readonly type: string;
  readonly timestamp: number;
}

/** A decoder that notes what it is given. */
function noting(queue: { size: number }): Chunk[] {
  const chunks: Chunk[] = [];
  vi.stubGlobal('EncodedVideoChunk', class {
    readonly type: string;
    readonly timestamp: number;
    constructor(init: Chunk) {
      this.type = init.type;
      this.timestamp = init.timestamp;
    }
  });
  vi.stubGlobal('VideoDecoder', class {
    state = 'unconfigured';
    get decodeQueueSize(): number {
      return queue.size;
    }
    configure(): void {
      this.state = 'configured';
    }
    decode(c: Chunk): void {
      chunks.push(c);
    }
    close(): void {
      this.state = 'closed';
    }
  });
  vi.stubGlobal('cancelAnimationFrame', () => undefined);
  return chunks;
}

function pictures(first: number, n: number, key: boolean): ReturnType<typeof parseFragment> {
  const samples = Array.from({ length: n }, (_, i) => ({ data: new Uint8Array([i]), duration: 3600, sync: key && i === 0, offset: 0 }));
  return parseFragment(fragment({ decodeTime: unix * 90_000 + first * 3600, samples }));
}

afterEach(() => { vi.unstubAllGlobals(); });

describe('the low-delay way', () => {
  const init = parseInit(videoInit(1280, 720));

  it('gives every picture of a part its own time', () => {
    const chunks = noting({ size: 0 });
    const d = new LowDelay(null, { shown: () => undefined, failed: () => undefined });
    d.push(init, pictures(0, 5, true));
    d.push(init, pictures(5, 1, false));
    d.push(init, pictures(6, 2, false));
    d.close();
    expect(chunks.map((c) => c.timestamp / 1000)).toEqual([0, 40, 80, 120, 160, 200, 240, 280]);
    expect(chunks.map((c) => c.type)).toEqual(['key', ...Array.from({ length: 7 }, () => 'delta')]);
  });

  it('leaves out the rest of a part that it cannot keep up with, to the next key frame', () => {
    const queue = { size: 0 };
    const chunks = noting(queue);
    const d = new LowDelay(null, { shown: () => undefined, failed: () => undefined });
    d.push(init, pictures(0, 1, true));
    queue.size = 100;
    d.push(init, pictures(1, 4, false));
    queue.size = 0;
    d.push(init, pictures(5, 4, false));
    d.push(init, pictures(9, 4, true));
    d.close();
    expect(chunks.map((c) => c.timestamp / 1000)).toEqual([0, 360, 400, 440, 480]);
  });
});
