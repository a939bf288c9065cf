// @vitest-environment node
import { describe, expect, it } from 'vitest';
import ledger from '../../../testkit/vectors/ledger.json';
import { hex, unhex, utf8 } from '../crypto/bytes';
import { isKind } from '../crypto/failure';
import { checkCompleteness } from './completeness';
import { encodeEntry, parseEntry, tagOf } from './leaf';
import { Policy } from './policy';
import { checkReleased, parseManifest } from './release';
import { checkProof, encodeProof, parseProof } from './proof';
import { checkSetProof, encodeSetProof, parseSetProof } from './set';
import { Counter, legalOf, noticeOf } from './report';
import { provenStaff } from './staff';
import { checkConsistency } from './tree';

/** The result, or null when it is refused as bytes of others are. */
async function held<T>(f: () => T | Promise<T>): Promise<T | null> {
  try {
    return await f();
  } catch (err) {
    if (isKind(err, 'verify')) return null;
    throw err;
  }
}

const policy = new Policy(ledger.policy);
const named = <T extends { name: string }>(all: readonly T[]): [string, T][] => all.map((x) => [x.name, x]);

describe('the public log', () => {
  it('names statements', () => {
    for (const t of ledger.tags) expect(hex(tagOf(unhex(ledger.ktag), t.seq))).toBe(t.tag);
  });

  it('reads entries', async () => {
    for (const x of ledger.entries) {
      const e = parseEntry(unhex(x.entry));
      expect(hex(encodeEntry(e))).toBe(x.entry);
      expect(e).toEqual(x.note === '' ? { kind: 'household', tag: unhex(x.tag), value: unhex(x.value) } : { kind: 'public', note: utf8(x.note) });
    }
    for (const x of ledger.bad_entries) expect(await held(() => parseEntry(unhex(x.bytes))), x.name).toBeNull();
  });

  it('reads policies', async () => {
    expect([policy.origin, policy.witnessed, policy.witnesses.size, policy.auditors.size]).toEqual(['latchkey.example/log/2026', true, 6, 2]);
    for (const x of ledger.bad_policies) expect(await held(() => new Policy(x.text)), x.name).toBeNull();
  });

  it('checks proofs of the set', async () => {
    for (const p of ledger.sets.flatMap((s) => s.proofs)) {
      const proof = parseSetProof(unhex(p.proof));
      expect(hex(encodeSetProof(proof))).toBe(p.proof);
      const value = checkSetProof(proof, unhex(p.root), unhex(p.tag));
      expect(value === null ? '' : hex(value)).toBe(p.value);
    }
    for (const x of ledger.broken_proofs) expect(await held(() => [checkSetProof(parseSetProof(unhex(x.proof)), unhex(x.root), unhex(x.tag))]), x.name).toBeNull();
  });

  it.each(named(ledger.checkpoints))('checkpoint: %s', async (_name, x) => {
    const c = await held(() => policy.checkpoint(utf8(x.note)));
    expect(c).toEqual(x.holds ? { size: x.size, root: unhex(x.root), witnessed: x.witnessed } : null);
  });

  it.each(named(ledger.consistency))('consistency: %s', async (_name, x) => {
    const before = { size: x.old_size, root: unhex(x.old_root) };
    const ok = await held(() => (checkConsistency(x.hashes.map(unhex), before, { size: x.size, root: unhex(x.root) }), true));
    expect(ok).toBe(x.holds ? true : null);
  });

  it.each(named(ledger.inclusion))('inclusion: %s', async (_name, x) => {
    const ok = await held(async () => (await checkProof(parseProof(utf8(x.proof)), policy, unhex(x.entry)), true));
    expect(ok).toBe(x.holds ? true : null);
    if (x.holds) expect(encodeProof(parseProof(utf8(x.proof)))).toEqual(utf8(x.proof));
  });

  it('names the operator’s key as its line does, and who vouches since when', async () => {
    expect(ledger.policy.split('\n').some((l) => l.split(/[ \t]+/)[0] === 'operator' && l.includes(policy.operator))).toBe(true);
    const whole = ledger.checkpoints.find((c) => c.holds)!;
    const times = [...(await policy.cosigners(utf8(whole.note))).values()];
    expect(times.length).toBeGreaterThan(0);
    expect(times).toContain(whole.witnessed);
  });

  it.each(named(ledger.set_notes))('set note: %s', async (_name, x) => {
    const s = await held(() => policy.set(utf8(x.note)));
    expect(s).toEqual(x.holds ? { size: x.size, count: x.count, root: unhex(x.root), time: x.time } : null);
  });

  it.each(named(ledger.completeness))('completeness: %s', async (_name, x) => {
    const c = await held(() => checkCompleteness(utf8(x.file), policy, unhex(ledger.ktag)));
    expect(c === null ? null : [c.seq, hex(c.head), c.at]).toEqual(x.holds ? [x.seq, x.head, x.at] : null);
  });

  it.each(named(ledger.staff))('staff: %s', async (_name, x) => {
    const s = await held(() => provenStaff(utf8(x.note), utf8(x.proof), policy, x.now));
    const want = { id: x.id, role: x.role, ed: unhex(x.ed), x: unhex(x.x), trained: x.trained, from: x.from, until: x.until };
    expect(s).toEqual(x.holds ? want : null);
  });

  it.each(named(ledger.notices))('notice: %s', async (_name, x) => {
    const n = await held(() => noticeOf(utf8(x.note), policy));
    expect(n).toEqual(x.holds ? { what: x.what, hash: unhex(x.hash) } : null);
  });

  it.each(named(ledger.legals))('legal: %s', async (_name, x) => {
    const l = await held(() => legalOf(utf8(x.note), policy));
    expect(l).toEqual(x.holds ? { number: x.number, kind: x.kind, country: x.country, state: x.state, time: x.time } : null);
  });

  it.each(named(ledger.reports))('report: %s', async (_name, x) => {
    const c = new Counter(policy);
    const done = await held(async () => {
      for (const e of x.entries) await c.read(unhex(e));
      return true;
    });
    expect(done).toBe(x.holds ? true : null);
    if (!x.holds) return;
    const r = c.report();
    const kept = (all: object) => Object.fromEntries(Object.entries(all).filter(([, n]) => n !== 0));
    const requests = Object.entries(r.requests).map(([kind, states]) => [kind, kept(states)] as const);
    expect(Object.fromEntries(requests.filter(([, s]) => Object.keys(s).length > 0))).toEqual(x.requests);
    expect([r.entries, r.countries, kept(r.staff), r.releases, r.rules.map(hex)]).toEqual([x.entries.length, x.countries, x.staff, x.releases, x.rules]);
  });

  it.each(named(ledger.releases))('release: %s', async (_name, x) => {
    const r = await held(() => checkReleased(utf8(x.file), policy));
    expect(r === null ? null : [r.release, r.index]).toEqual(x.holds ? [{ kind: x.kind, version: x.version, hash: unhex(x.hash), source: x.source }, x.index] : null);
  });

  it.each(named(ledger.manifests))('manifest: %s', async (_name, x) => {
    const m = await held(() => parseManifest(utf8(x.text)));
    expect(m === null ? null : m.length).toBe(x.holds ? x.files : null);
  });
});
