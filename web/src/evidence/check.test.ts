import { describe, expect, it } from 'vitest';
import vectors from '../../../testkit/vectors/evidence.json';
import { parseB64 } from '../crypto/bytes';
import { verifyEvidence } from './check';
import { type Report, type Step, steps } from './report';
import { changed } from './testchange';

interface Want {
  readonly invalid?: boolean;
  readonly failed: readonly string[] | null;
  readonly parts: number;
  readonly pictures: number;
  readonly gaps: readonly { readonly from: number; readonly to: number; readonly why: string }[] | null;
  readonly logged: number;
  readonly after: number;
  readonly before: number;
}

const raw = parseB64(vectors.file) ?? new Uint8Array();

/** A report in the form of the vectors. */
function found(r: Report): Want {
  const failed = steps.filter((s: Step) => r.problems.some((p) => p.step === s));
  // How far somebody came is his own.
  const read = failed.includes('footage') ? { parts: 0, pictures: 0 } : { parts: r.parts, pictures: r.pictures };
  return { failed, ...read, gaps: r.gaps, logged: r.logged.length, after: r.after?.at ?? 0, before: r.before?.at ?? 0 };
}

describe('evidence vectors', () => {
  it.each(vectors.cases)('$name', async (c) => {
    const want: Want = c.want;
    const file = new Blob([await changed(raw, c.changes ?? [])]);
    const policy = 'policy' in c ? (c.policy ?? '') : '';
    if (want.invalid === true) {
      await expect(verifyEvidence(file, { policy })).rejects.toThrow('evidence');
      return;
    }
    const report = await verifyEvidence(file, { policy });
    const got = found(report);
    expect(got, JSON.stringify(report.problems)).toEqual({ ...want, failed: want.failed ?? [], gaps: want.gaps ?? [] });
  });

  it('gives the movie of the recorded parts, and tells how far it is', async () => {
    const shares: number[] = [];
    const report = await verifyEvidence(new Blob([raw]), { progress: (done) => shares.push(done) });
    expect(report.movie?.size).toBeGreaterThan(10_000);
    expect(report).toMatchObject({ sound: true, ownPolicy: true, statements: 10 });
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(-1)).toBeGreaterThan(0.99);
  });
});
