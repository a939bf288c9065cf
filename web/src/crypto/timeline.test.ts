import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GapRecord, parseMeta } from './meta';
import { utf8 } from './bytes';
import type { CameraDecl } from './chain';
import { recordType } from './part';
import { backlogOf, gapsOf, joined, merged, type Stored, timeline, type TimelineSource } from './timeline';

const t0 = 1_795_460_000_000;

function stored(from: number, to: number, epoch = 'a', firstSeq = from, lastSeq = to - 1): Stored {
  return { from: t0 + from * 1000, to: t0 + to * 1000, epoch, firstSeq, lastSeq };
}

function told(from: number, to: number, why: GapRecord['why']): GapRecord {
  return { type: 'gap', from: t0 + from * 1000, to: t0 + to * 1000, why };
}

function seconds(list: readonly { from: number; to: number }[]): [number, number][] {
  return list.map((r) => [Math.round((r.from - t0) / 1000), Math.round((r.to - t0) / 1000)]);
}

describe('joined', () => {
  it('closes seams and cuts to the range', () => {
    expect(seconds(joined([stored(60, 120), stored(0, 60), stored(200, 300)], t0 + 10_000, t0 + 250_000))).toEqual([[10, 120], [200, 250]]);
  });
});

describe('merged', () => {
  it('joins what touches for the same reason, and nothing else', () => {
    const gap = (from: number, to: number, why: 'missing' | 'hub-off') => ({ from, to, why, words: why, alarm: true });
    expect(merged([gap(5, 6, 'missing'), gap(1, 2, 'missing'), gap(2, 3, 'missing'), gap(3, 4, 'hub-off')]).map((g) => [g.from, g.to, g.why])).toEqual([
      [1, 3, 'missing'], [3, 4, 'hub-off'], [5, 6, 'missing'],
    ]);
  });
});

describe('gapsOf', () => {
  const all = [t0, t0 + 100_000] as const;

  it('gives a hole the reason of its hub', () => {
    const gaps = gapsOf([stored(0, 40, 'a'), stored(70, 100, 'b')], [told(40, 70, 'hub-off')], ...all);
    expect(gaps.map((g) => [g.why, g.alarm])).toEqual([['hub-off', false]]);
    expect(seconds(gaps)).toEqual([[40, 70]]);
  });

  it('judges no gap whose reasons nobody has read, and says how to learn them', () => {
    const holes = [stored(0, 40, 'a'), stored(50, 70, 'a', 50), stored(90, 100, 'b', 0, 9)];
    const gaps = gapsOf(holes, null, ...all);
    expect(seconds(gaps)).toEqual([[40, 50], [70, 90]]);
    expect(gaps.map((g) => [g.alarm, g.words])).toEqual(Array(2).fill([false, expect.stringContaining('Zoom in')]));
    // The same holes, read: an alarm again.
    expect(gapsOf(holes, [], ...all).map((g) => g.alarm)).toEqual([true, true]);
  });

  it('is an alarm where parts of one epoch are missing, however short', () => {
    const gaps = gapsOf([stored(0, 40), stored(41, 100, 'a', 41)], [], ...all);
    expect(gaps.map((g) => [g.why, g.alarm])).toEqual([['missing', true]]);
  });

  it('says of what the hub has yet to send that it is on its way, and of nothing else', () => {
    const holes = [stored(0, 20), stored(25, 40, 'a', 25), stored(60, 100, 'a', 60)];
    const backlog = { from: t0 + 40_000, to: t0 + 60_000 };
    expect(gapsOf(holes, [], ...all, backlog).map((g) => [g.why, g.alarm])).toEqual([['missing', true], ['backlog', false]]);
    expect(gapsOf(holes, [told(40, 60, 'disk-full')], ...all, backlog).map((g) => g.why)).toEqual(['missing', 'disk-full']);
    const state = (ago: number): ReturnType<typeof parseMeta> =>
      parseMeta(utf8(JSON.stringify({ v: 1, type: 'state', at: t0 - ago, hub: { backlog_from: 100, backlog_to: 110 } })));
    for (const [ago, want] of [[0, { from: 100_000, to: 110_000 }], [119_000, { from: 100_000, to: 110_000 }], [120_000, null]] as const) {
      const s = state(ago);
      expect(s?.type === 'state' && backlogOf(s, t0)).toEqual(want);
    }
    expect(backlogOf(null, t0)).toBeNull();
  });

  it('is an alarm where nobody explains the time between epochs', () => {
    expect(gapsOf([stored(0, 40, 'a'), stored(60, 100, 'b', 0, 39)], [], ...all)).toMatchObject([{ why: 'missing', alarm: true }]);
  });

  it('does not call a seam between epochs a gap', () => {
    expect(gapsOf([stored(0, 40, 'a'), stored(42, 100, 'b', 0, 57)], [], ...all)).toEqual([]);
  });

  it('takes the longest telling of a gap that lasted', () => {
    const gaps = gapsOf([stored(0, 10, 'a'), stored(90, 100, 'b', 0, 9)], [told(10, 60, 'camera-offline'), told(10, 90, 'camera-offline')], ...all);
    expect(seconds(gaps)).toEqual([[10, 90]]);
  });

  it('does not call what is on its way missing', () => {
    expect(gapsOf([stored(0, 90)], [], ...all)).toEqual([]);
  });

  it('leaves no second without footage, gap or seam', () => {
    const piece = fc.record({ length: fc.integer({ min: 1, max: 40 }), hole: fc.integer({ min: 4, max: 40 }), explained: fc.boolean() });
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 8 }), (pieces) => {
        const list: Stored[] = [];
        const reasons: GapRecord[] = [];
        let at = 0;
        pieces.forEach((p, i) => {
          list.push(stored(at, at + p.length, `e${i}`, 0, p.length - 1));
          if (p.explained) reasons.push(told(at + p.length, at + p.length + p.hole, 'hub-off'));
          at += p.length + p.hole;
        });
        list.push(stored(at, at + 1, 'last', 0, 0));
        const gaps = gapsOf(list, reasons, t0, t0 + (at + 1) * 1000);
        const covered = [...seconds(list), ...seconds(gaps)].sort((a, b) => a[0] - b[0]);
        covered.reduce((end, [from, to]) => {
          expect(from).toBe(end);
          return to;
        }, 0);
        expect(gaps.filter((g) => g.alarm)).toHaveLength(pieces.filter((p) => !p.explained).length);
      }),
    );
  });
});

describe('timeline', () => {
  const track = new Uint8Array(16).fill(7);
  const meta = new Uint8Array(16).fill(8);
  const camera: CameraDecl = { camera: new Uint8Array(16), since: t0 / 1000 - 500 * 86_400, tracks: [{ track, kind: 'video' }, { track: meta, kind: 'meta' }] } as unknown as CameraDecl;
  const day = 86_400_000;
  /** a moment whose gaps have had time to be explained */
  const t = t0 - 400 * day;

  /** a chain in which this member sees everything from the first moment on */
  const always = { time: 0, retain: new Map(), retainAll: 0, erased: [], members: new Map([['', { tracks: 'all', pastEd: [] }]]) };

  /** A server with two stretches a day apart; counts who reads meta records. */
  function source(segments = [0, 24]): { source: TimelineSource; reads: () => number } {
    let reads = 0;
    const segment = (hour: number): object => ({ start: BigInt(t / 1000 + hour * 3600), firstSlot: 0, lastSlot: 3599, epoch: new Uint8Array(16).fill(hour), firstSeq: 0, lastSeq: 1 });
    return {
      source: {
        api: { footage: { timeline: () => Promise.resolve({ segments: segments.map(segment), more: false }) } },
        footage: {
          read: async function* (_track: string, span: { to?: number }) {
            reads++;
            // The record of a gap stands at its end.
            if (span.to !== undefined && span.to < t + day) return;
            yield { opened: [{ part: { records: [{ type: recordType.event, data: utf8(JSON.stringify({ v: 1, type: 'gap', from: t + 3_600_000, to: t + day, why: 'hub-off' })) }] } }], faults: [], bytes: 1 };
          },
        },
        sharing: { chain: { length: 1, at: (seq: number) => (seq === 0 ? always : null), head: always }, kid: new Uint8Array(), epochs: null },
        faultsOf: () => [],
      } as unknown as TimelineSource,
      reads: () => reads,
    };
  }

  it('explains what it reads', async () => {
    const s = source();
    const got = await timeline(s.source, camera, t, t + 25 * 3_600_000, new AbortController().signal);
    expect(s.reads()).toBe(1);
    expect(got.gaps[0]).toMatchObject({ why: 'hub-off', alarm: false });
  });

  it('explains a gap that goes on beyond the view by what its hub wrote at its end', async () => {
    const s = source([]);
    const got = await timeline(s.source, camera, t + 7_200_000, t + 14_400_000, new AbortController().signal);
    expect(s.reads()).toBe(2);
    expect(got.gaps.map((g) => [g.why, g.alarm])).toEqual([['hub-off', false]]);
  });

  it('over a month reads no records, and calls no gap an alarm', async () => {
    const s = source();
    const got = await timeline(s.source, camera, t, t + 30 * day, new AbortController().signal);
    expect(s.reads()).toBe(0);
    expect(got.ranges).toHaveLength(2);
    expect(got.gaps.length).toBeGreaterThan(0);
    expect(got.gaps.filter((g) => g.alarm)).toEqual([]);
  });
});
