import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CODE_LENGTH, groups, readCode } from './code';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const aCode = fc.array(fc.constantFrom(...ALPHABET), { minLength: CODE_LENGTH, maxLength: CODE_LENGTH }).map((chars) => chars.join(''));

describe('readCode', () => {
  it('reads its own pretty form back', () => {
    fc.assert(fc.property(aCode, (code) => {
      const read = readCode(groups(code));
      expect(read).toEqual({ chars: code, pretty: groups(code), stray: null, surplus: 0, complete: true });
    }));
  });

  it('reads it in lower case, with any spaces and dashes between, and after LK1:', () => {
    const gap = fc.constantFrom('', ' ', '-', '–', '\n', ' - ', '\u00a0');
    fc.assert(fc.property(aCode, fc.array(gap, { minLength: 32, maxLength: 32 }), fc.boolean(), (code, gaps, qr) => {
      const typed = [...code.toLowerCase()].map((char, i) => char + (gaps[i] ?? '')).join('');
      expect(readCode((qr ? 'LK1:' : '') + typed).chars).toBe(code);
    }));
  });

  it('takes O for 0 and I and L for 1', () => {
    expect(readCode('oOiIlL').chars).toBe('001111');
  });

  it('names the first character no code contains and is then never complete', () => {
    fc.assert(fc.property(aCode, fc.integer({ min: 0, max: 32 }), fc.constantFrom('u', 'U', '!', 'ä', '€'), (code, at, stray) => {
      const read = readCode(code.slice(0, at) + stray + code.slice(at));
      expect(read.stray).toBe(stray.toUpperCase());
      expect(read.complete).toBe(false);
    }));
  });

  it('counts what is missing and what is too much', () => {
    expect(readCode('0123')).toMatchObject({ complete: false, surplus: 0, pretty: '0123' });
    expect(readCode('7'.repeat(35))).toMatchObject({ complete: false, surplus: 3 });
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => void readCode(text)));
  });
});
