// @vitest-environment node
/** Trusted contacts: the vectors that Go is held to, and the field's laws. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, fromUtf8, hex, own, unhex, utf8 } from './bytes';
import { signer } from './cipher';
import { claimDigits, claimId, openShare, parseClaim, parseShare, sealShare, shareTo, signClaim, verifyShare } from './contactnote';
import { kidOf } from './hash';
import { newSealingKey } from './hpke';
import { sealLetter } from './letter';
import { parseNote, verifyNote } from './note';
import { combine, gfInverse, gfMul, openContactWrap, sealContactWrap, split, splitAlong } from './shamir';

interface NoteVector { text: string; note: string; hash: string; signer: string }
const v = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../../testkit/vectors/contact.json'), 'utf8')) as {
  products: { a: number; b: number; p: number; inverse: number }[];
  secret: string; slope: string; points: { x: number; y: string }[]; set: string; vk: string; wrap: string; seed: string;
  share_notes: NoteVector[]; claim_note: NoteVector; claim_id: string; digits: string; member: string; by: string;
  reject: { name: string; note: string }[];
};

describe('vectors', () => {
  it('multiplies and divides', () => {
    for (const { a, b, p, inverse } of v.products) expect([gfMul(a, b), gfInverse(a)]).toEqual([p, inverse]);
  });

  it('splits and combines', () => {
    const points = splitAlong(unhex(v.secret), unhex(v.slope));
    expect(points.map((p) => ({ x: p.x, y: hex(p.y) }))).toEqual(v.points);
    for (const p of points) {
      for (const q of points) {
        if (p === q) expect(() => combine(p, q)).toThrow();
        else expect(hex(combine(p, q))).toBe(v.secret);
      }
    }
  });

  it('opens the wrap of its set only', async () => {
    expect(hex(await openContactWrap(unhex(v.secret), unhex(v.set), unhex(v.wrap)))).toBe(v.vk);
    const other = unhex(v.set);
    other[0] = (other[0] ?? 0) ^ 1;
    await expect(openContactWrap(unhex(v.secret), other, unhex(v.wrap))).rejects.toThrow();
    const made = await sealContactWrap(unhex(v.secret), other, unhex(v.vk));
    expect(hex(await openContactWrap(unhex(v.secret), other, made))).toBe(v.vk);
  });

  it('reads shares', async () => {
    for (const [i, s] of v.share_notes.entries()) {
      const note = parseNote(utf8(s.note));
      expect(fromUtf8(note.text)).toBe(s.text);
      await verifyNote(note, unhex(s.signer));
      const share = parseShare(note);
      expect({ x: share.point.x, y: hex(share.point.y) }).toEqual(v.points[i]);
      expect(hex(share.by)).toBe(v.member);
    }
  });

  it('reads and writes the claim', async () => {
    const claim = parseClaim(parseNote(utf8(v.claim_note.note)));
    await verifyNote(claim.note, unhex(v.claim_note.signer));
    expect(hex(claimId(claim))).toBe(v.claim_id);
    expect(claimDigits(claim)).toBe(v.digits);
    expect(hex(claim.by)).toBe(v.by);
    const contact = await signer(unhex(v.seed));
    const again = parseClaim(parseNote(await signClaim({ ...claim, member: unhex(v.by) }, claim.time, contact)));
    expect(hex(again.by)).toBe(hex(kidOf(contact.publicKey)));
    expect(hex(claimId({ ...again, member: claim.member }))).toBe(v.claim_id);
  });

  it.each(v.reject)('refuses $name', ({ name, note }) => {
    const read = name.startsWith('claim') ? parseClaim : parseShare;
    expect(() => read(parseNote(utf8(note)))).toThrow();
  });
});

describe('the field', () => {
  const byte = fc.integer({ min: 0, max: 255 });
  it('keeps its laws', () => {
    fc.assert(fc.property(byte, byte, byte, (a, b, c) => {
      expect(gfMul(a, b)).toBe(gfMul(b, a));
      expect(gfMul(a, b ^ c)).toBe(gfMul(a, b) ^ gfMul(a, c));
      expect(gfMul(a, gfMul(b, c))).toBe(gfMul(gfMul(a, b), c));
      expect(gfMul(a, gfInverse(a))).toBe(a === 0 ? 0 : 1);
    }));
  });

  it('gives any secret back from any two shares', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 2 }), (s, i, d) => {
      const points = split(own(s));
      const [p, q] = [points[i], points[(i + d) % 3]];
      if (p === undefined || q === undefined) throw new Error('no points');
      expect(hex(combine(p, q))).toBe(hex(s));
    }));
  });
});

describe('a share', () => {
  it('goes from its owner to a contact to who is helped, and no other way', async () => {
    const owner = await signer(unhex(v.seed));
    const [contact, helped, other] = await Promise.all([newSealingKey(), newSealingKey(), newSealingKey()]);
    const household: Bytes = new Uint8Array(16).fill(1);
    const [, point] = split(unhex(v.secret));
    if (point === undefined) throw new Error('no point');
    const letter = await sealShare(owner, point, { household, set: unhex(v.set), to: new Uint8Array(16).fill(3), x: contact.publicKey, now: 1_790_000_000 });
    const share = await openShare(household, [other, contact], letter);
    await verifyShare(share, owner.publicKey);
    await expect(verifyShare(share, unhex(v.claim_note.signer))).rejects.toThrow();
    const arrived = await openShare(household, [helped], await shareTo(share, helped.publicKey));
    await verifyShare(arrived, owner.publicKey);
    expect(arrived.point).toEqual(point);
    await expect(openShare(household, [other], letter)).rejects.toThrow();
    await expect(openShare(new Uint8Array(16), [contact], letter)).rejects.toThrow();
    await expect(openShare(household, [contact], await sealLetter(household, contact.publicKey, utf8('Tablet')))).rejects.toThrow();
  });
});
