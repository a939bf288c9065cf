// @vitest-environment node
/** Early removals, who an epoch may be sealed to, and the directory: the vectors that Go is held to. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fromUtf8, hex, unhex, utf8 } from './bytes';
import { apply, type ChainState, holderOf, recipientsFit } from './chain';
import { directoryText, openDirectory, parseDirectory } from './directory';
import { grantsTo, kidsOf, overlaps } from './grant';
import { parseNote } from './note';
import { Overlay } from './overlay';

const folder = resolve(import.meta.dirname, '../../../testkit/vectors');

function load<T>(name: string): T {
  return JSON.parse(readFileSync(resolve(folder, name), 'utf8')) as T;
}

interface Step {
  apply?: string;
  early?: string;
  error?: string;
  members: string[];
  hubs: string[];
  revoked: string[];
  held: number;
}

async function replayed(notes: readonly string[], now: number): Promise<ChainState> {
  let s: ChainState | null = null;
  for (const n of notes) s = await apply(s, parseNote(utf8(n)), now);
  if (s === null) throw new Error('no chain');
  return s;
}

describe('overlay', () => {
  const v = load<{ now: number; chain: string[]; cases: { name: string; steps: Step[] }[]; fits: { name: string; got: string[]; ok: boolean; left_out: string[] }[] }>('overlay.json');

  it.each(v.cases)('$name', async ({ steps }) => {
    let state = await replayed(v.chain, v.now);
    let overlay = Overlay.empty;
    expect(steps.length).toBeGreaterThan(0);
    for (const [i, step] of steps.entries()) {
      const done = (async () => {
        if (step.apply !== undefined) state = await apply(state, parseNote(utf8(step.apply)), v.now);
        else overlay = await overlay.add(state, utf8(step.early ?? ''), v.now);
      })();
      if (step.error === undefined) await done;
      else await expect(done, `step ${i}`).rejects.toThrow();
      const under = overlay.under(state);
      const held = overlay.settle(state);
      expect([...under.members.keys()].sort(), `step ${i}`).toEqual(step.members);
      expect([...under.hubs.keys()].sort()).toEqual(step.hubs);
      expect([...under.grants.values()].filter((g) => g.revoked).map((g) => hex(g.grant)).sort()).toEqual(step.revoked);
      expect(held.notes).toHaveLength(step.held);
      expect(held.under(state)).toEqual(under);
      expect(Overlay.parse(overlay.notes).under(state)).toEqual(under);
      expect([under.seq, hex(under.hash), under.time]).toEqual([state.seq, hex(state.hash), state.time]);
    }
  });

  it('reads back nothing but removals, one of each party', async () => {
    const removal = v.cases[0]?.steps.find((s) => s.early !== undefined)?.early ?? '';
    expect(Overlay.parse([utf8(removal)]).bodies).toMatchObject([{ type: 'unmember' }]);
    for (const bad of [[removal, removal], [v.chain[1] ?? ''], ['x']]) expect(() => Overlay.parse(bad.map(utf8))).toThrow();
    const other = await replayed(v.chain, v.now);
    expect(Overlay.parse([utf8(removal)]).settle({ ...other, household: new Uint8Array(16) }).notes).toHaveLength(0);
  });

  it.each(v.fits)('recipients: $name', async ({ got, ok, left_out }) => {
    const state = await replayed(v.chain, v.now);
    if (ok) expect(recipientsFit(got.map(unhex), state, v.now).map(hex)).toEqual(left_out);
    else expect(() => recipientsFit(got.map(unhex), state, v.now)).toThrow();
  });
});

describe('directory', () => {
  const v = load<{
    household: string; by: string; n: number; time: number; names: { household: string; people: Record<string, string>; hubs: Record<string, string> };
    note: { text: string; note: string }; refused: { name: string; note: string }[]; reject: { name: string; note: string }[];
  }>('directory.json');
  const chain = load<{ now: number; chain: { note: string }[] }>('statements.json');
  const head = (): Promise<ChainState> => replayed(chain.chain.map((c) => c.note), chain.now);

  it('reads and writes it', async () => {
    const d = await openDirectory(utf8(v.note.note), await head());
    expect([hex(d.household), hex(d.by), d.n, d.time]).toEqual([v.household, v.by, v.n, v.time]);
    expect([d.names.household, Object.fromEntries(d.names.people), Object.fromEntries(d.names.hubs)]).toEqual([v.names.household, v.names.people, v.names.hubs]);
    expect(fromUtf8(directoryText(d))).toBe(v.note.text);
  });

  it.each(v.refused)('refuses: $name', async ({ note }) => {
    parseDirectory(parseNote(utf8(note)));
    await expect(openDirectory(utf8(note), await head())).rejects.toThrow();
  });

  it.each(v.reject)('refuses: $name', ({ note }) => {
    expect(() => parseDirectory(parseNote(utf8(note)))).toThrow();
  });

  it('does not write names that nobody would take', () => {
    const d = { household: new Uint8Array(16), by: new Uint8Array(16), n: 1, time: 1, names: { household: 'a\nb', people: new Map<string, string>(), hubs: new Map<string, string>() } };
    expect(() => directoryText(d)).toThrow();
  });
});

describe('grants to a member', () => {
  const v = load<{ now: number; chain: { name: string; note: string }[] }>('statements.json');

  it('are found under every key he had', async () => {
    const at = v.chain.findIndex((c) => c.name === 'rekey of a grantee');
    const s = await replayed(v.chain.slice(0, at + 1).map((c) => c.note), v.now);
    const m = [...s.members.values()].find((x) => x.past.length > 0 && x.role === 'viewer');
    if (m === undefined) throw new Error('nobody has a past');
    expect(grantsTo(s, m)).toHaveLength(2);
    for (const kid of kidsOf(m)) expect(holderOf(s, kid)).toBe(m);
    expect(holderOf(s, new Uint8Array(16))).toBeNull();
    const g = grantsTo(s, m)[0];
    const r = g?.tracks[0];
    if (g === undefined || r === undefined) throw new Error('no grant');
    expect([overlaps(g, r.track, r.until - 1, r.until + 5), overlaps(g, r.track, r.until, r.until + 5), overlaps(g, new Uint8Array(16), 0, r.until)]).toEqual([true, false, false]);
  });
});
