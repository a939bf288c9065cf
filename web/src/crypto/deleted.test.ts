import { describe, expect, it } from 'vitest';
import type { Gap } from '../owner/types';
import { hex } from './bytes';
import type { ChainState } from './chain';
import { deletedTimes, deletedWords, withDeleted } from './deleted';

const track = new Uint8Array(16).fill(7);
const other = new Uint8Array(16).fill(8);
const start = 1_790_000_000;
const now = 3600;

type Part = Partial<Pick<ChainState, 'retainAll' | 'retain' | 'erased'>> & { at?: number };

function chainOf(...parts: readonly Part[]) {
  const states = parts.map((p) => ({ time: start + (p.at ?? 0), retainAll: 0, retain: new Map(), erased: [], ...p }) as unknown as ChainState);
  return { length: states.length, at: (seq: number): ChainState | null => states[seq] ?? null };
}

const ms = (s: number): number => (start + s) * 1000;
const erase = (t: Uint8Array, from: number, until: number) => ({ erased: [{ track: t as Uint8Array<ArrayBuffer>, from: start + from, until: start + until }] });
const own = (t: Uint8Array, seconds: number) => new Map([[hex(t as Uint8Array<ArrayBuffer>), seconds]]);

// C29: a gap that retain or erase covers is "deleted", any other is an alarm.
describe('C29: a gap of seconds 100 to 150, at second 3600', () => {
  it.each<[string, Part[], [number, number, string][]]>([
    ['no policy', [{}], [[100, 150, 'missing']]],
    ['older than the policy', [{ retainAll: now - 150 }], [[100, 150, 'deleted']]],
    ['younger than the policy', [{ retainAll: now - 100 }], [[100, 150, 'missing']]],
    ['the policy falls into it', [{ retainAll: now - 120 }], [[100, 120, 'deleted'], [120, 150, 'missing']]],
    ['a policy of its own, shorter', [{ retainAll: 2 ** 20, retain: own(track, 60) }], [[100, 150, 'deleted']]],
    ['a policy of its own, longer', [{ retainAll: 60, retain: own(track, 2 ** 20) }], [[100, 150, 'missing']]],
    ['a policy of another track', [{ retain: own(other, 60) }], [[100, 150, 'missing']]],
    ['deleted under a policy of before', [{ retainAll: 60 }, { at: 1000, retainAll: 2 ** 20 }], [[100, 150, 'deleted']]],
    ['a policy of before it was filmed', [{ retainAll: 60 }, { at: 90, retainAll: 2 ** 20 }], [[100, 150, 'missing']]],
    ['a policy beyond all numbers', [{ retainAll: 2 ** 53 - 1 }], [[100, 150, 'missing']]],
    ['erased', [erase(track, 100, 150)], [[100, 150, 'deleted']]],
    ['erased, of another track', [erase(other, 100, 150)], [[100, 150, 'missing']]],
    ['erased, one second less at each side', [erase(track, 101, 149)], [[100, 101, 'missing'], [101, 149, 'deleted'], [149, 150, 'missing']]],
    ['erased elsewhere', [erase(track, 150, 200)], [[100, 150, 'missing']]],
  ])('%s', (_, parts, want) => {
    const gap: Gap = { from: ms(100), to: ms(150), why: 'missing', words: 'missing', alarm: true };
    const got = withDeleted([gap], deletedTimes(chainOf(...parts), track, ms(now)));
    expect(got).toEqual(want.map(([from, to, why]) => ({
      from: ms(from), to: ms(to), why, words: why === 'deleted' ? deletedWords : 'missing', alarm: why !== 'deleted',
    })));
  });

  it('leaves a hub’s own reason and what did not verify', () => {
    const list: Gap[] = (['hub-off', 'unverified', 'not-shared'] as const).map((why) => ({ from: ms(100), to: ms(150), why, words: why, alarm: why === 'unverified' }));
    expect(withDeleted(list, [{ from: 0, to: ms(3600) }])).toEqual(list);
  });
});
