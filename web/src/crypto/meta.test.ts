import { describe, expect, it } from 'vitest';
import { utf8 } from './bytes';
import { metaRecords, parseMeta } from './meta';

function read(v: unknown): ReturnType<typeof parseMeta> {
  return parseMeta(utf8(JSON.stringify(v)));
}

describe('meta records', () => {
  it('reads a state', () => {
    const s = read({
      v: 1, type: 'state', at: 5, camera: 'x', name: 'Porch', mode: 'events', status: 'refused', error: 'The camera refused the password.',
      tracks: [{ track: 'ab'.repeat(16), kind: 'video', codec: 'avc1.640028', width: 1920, height: 1080, fps: 25, kbps: 4012 }, { track: 'short', kind: 'video' }, { track: 'ab'.repeat(16), kind: 'smell' }],
      hub: { name: 'Attic', version: '1', spool_parts: 3, spool_bytes: 4, spool_limit: 5, uplink: 'waiting' },
    });
    expect(s).toMatchObject({ type: 'state', name: 'Porch', mode: 'events', status: 'refused', hub: { name: 'Attic', spoolParts: 3, uplink: 'waiting' } });
    expect(s?.type === 'state' && s.tracks).toHaveLength(1);
  });

  it('reads gaps and events', () => {
    expect(read({ v: 1, type: 'gap', from: 1, to: 2, why: 'hub-off' })).toEqual({ type: 'gap', from: 1, to: 2, why: 'hub-off' });
    expect(read({ v: 1, type: 'event', id: 'e', from: 1, to: 0, label: 'manual' })).toEqual({ type: 'event', id: 'e', from: 1, to: null, label: 'manual' });
  });

  it('does not take a reason it does not know for an explanation', () => {
    expect(read({ v: 1, type: 'gap', from: 1, to: 2, why: 'because' })).toMatchObject({ why: 'missing' });
  });

  it('passes over other versions, types and things that are no JSON', () => {
    expect([read({ v: 2, type: 'gap' }), read({ v: 1, type: 'dance' }), read(null), read([]), parseMeta(new Uint8Array([255]))]).toEqual([null, null, null, null, null]);
    expect(metaRecords([{ type: 6, data: utf8('{"v":1,"type":"gap"}') }])).toEqual([]);
  });
});
