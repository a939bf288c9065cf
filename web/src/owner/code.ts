/**
 * Codes as people type them (protocol 2.10): 32 characters of Crockford's
 * base32 in 8 groups of 4. Spaces, dashes and case do not matter; O means 0,
 * I and L mean 1; a pasted QR text begins with `LK1:`. Whether the code is
 * *right* (its check characters, its account) is the worker's question.
 */

export const CODE_LENGTH = 32;
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

export interface TypedCode {
  /** The characters understood so far, in the canonical alphabet. */
  readonly chars: string;
  /** The same in groups of four, joined by a dash. */
  readonly pretty: string;
  /** The first character no code contains, or null. */
  readonly stray: string | null;
  /** Characters beyond the 32nd. */
  readonly surplus: number;
  /** Exactly 32 good characters. */
  readonly complete: boolean;
}

/** Reads what was typed or pasted so far. Never throws. */
export function readCode(typed: string): TypedCode {
  const bare = typed.trim().replace(/^LK1:/i, '').replace(/[\s\p{Pd}_.·]/gu, '').toUpperCase();
  let chars = '';
  let stray: string | null = null;
  for (const typedChar of bare) {
    const char = typedChar === 'O' ? '0' : typedChar === 'I' || typedChar === 'L' ? '1' : typedChar;
    if (ALPHABET.includes(char)) chars += char;
    else stray ??= typedChar;
  }
  const surplus = Math.max(0, chars.length - CODE_LENGTH);
  return { chars, pretty: groups(chars), stray, surplus, complete: stray === null && chars.length === CODE_LENGTH };
}

/** Groups of four, as the code is shown and printed. */
export function groups(chars: string): string {
  return chars.match(/.{1,4}/g)?.join('-') ?? '';
}
