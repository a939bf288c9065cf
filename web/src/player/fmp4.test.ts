import { describe, expect, it } from 'vitest';
import { captureMs, firstAlone, mimeOf, parseFragment, parseInit } from './fmp4';
import { audioInit, fragment, hevcInit, videoInit } from './testmp4';

const unix = 1_795_460_000;

describe('init', () => {
  it('reads pictures', () => {
    const i = parseInit(videoInit(1280, 720));
    expect([i.kind, i.timescale, i.codec, i.width, i.height]).toEqual(['video', 90_000, 'avc1.64001f', 1280, 720]);
    expect([...i.description.subarray(0, 4)]).toEqual([1, 0x64, 0, 0x1f]);
    expect(mimeOf(i)).toBe('video/mp4; codecs="avc1.64001f"');
  });

  it('reads H.265 by its profile, compatibility, tier and constraints', () => {
    expect(parseInit(hevcInit()).codec).toBe('hvc1.1.6.L93.90');
  });

  it('reads AAC', () => {
    const i = parseInit(audioInit(48_000, 2));
    expect([i.kind, i.timescale, i.codec, i.channels, i.sampleRate]).toEqual(['audio', 48_000, 'mp4a.40.2', 2, 48_000]);
    expect([...i.description]).toEqual([0x11, 0x90]);
  });

  it.each([[new Uint8Array()], [videoInit(1, 1).subarray(0, 60)], [new Uint8Array(64).fill(255)]])('refuses what is no init', (b) => {
    expect(() => parseInit(b.slice())).toThrow('mp4');
  });
});

describe('fragments', () => {
  const bytes = fragment({ decodeTime: unix * 90_000 + 123, samples: [{ data: new Uint8Array([1, 2, 3]), duration: 3600, sync: true, offset: 7200 }] });

  it('keeps unix time exact', () => {
    const f = parseFragment(bytes);
    expect(f.decodeTime).toBe(unix * 90_000 + 123);
    expect(captureMs(f.decodeTime, 90_000)).toBeCloseTo(unix * 1000 + 123 / 90, 3);
    expect(f.samples).toEqual([{ data: new Uint8Array([1, 2, 3]), duration: 3600, compositionOffset: 7200, sync: true }]);
  });

  it('reads several samples and tells sync from not', () => {
    const f = parseFragment(fragment({
      decodeTime: 5,
      samples: [
        { data: new Uint8Array(5).fill(1), duration: 10, sync: true, offset: 0 },
        { data: new Uint8Array(7).fill(2), duration: 11, sync: false, offset: -3 },
      ],
    }));
    expect(f.samples.map((s) => [s.data.length, s.data[0], s.duration, s.compositionOffset, s.sync])).toEqual([[5, 1, 10, 0, true], [7, 2, 11, -3, false]]);
  });

  it('takes the first picture alone, for as long as asked', () => {
    const samples = [1, 2, 3].map((n) => ({ data: new Uint8Array(n).fill(n), duration: 3600, sync: n === 1, offset: -5 }));
    for (const n of [1, 2, 3]) {
      const whole = fragment({ decodeTime: unix * 90_000 + 123, samples: samples.slice(0, n) });
      const before = whole.slice();
      const f = parseFragment(firstAlone(whole, 180_000));
      expect(f.decodeTime).toBe(unix * 90_000 + 123);
      expect(f.samples).toEqual([{ data: new Uint8Array([1]), duration: 180_000, compositionOffset: -5, sync: true }]);
      expect(whole).toEqual(before);
    }
  });

  it('refuses samples outside their bytes', () => {
    expect(() => parseFragment(bytes.slice(0, bytes.length - 1))).toThrow('mp4');
  });
});
