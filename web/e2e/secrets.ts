/**
 * Looks for secrets in what was recorded, in every spelling that software uses
 * by accident: raw, hex, base64 of either alphabet and any alignment, an array
 * of numbers. A spelling is searched by pieces long enough not to hit by chance.
 */

/** One secret and what it is called. */
export interface Secret {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Something that was recorded, and where. */
export interface Recorded {
  readonly where: string;
  readonly bytes: Buffer;
}

const MIN = 16;

/** The spellings of a secret, as bytes to search for. */
export function spellings(secret: Uint8Array): Buffer[] {
  if (secret.length < MIN) throw new RangeError('secrets: too short to search for');
  const b = Buffer.from(secret);
  const hex = b.toString('hex');
  const texts = [hex, hex.toUpperCase(), [...b].join(','), [...b].join(', ')];
  // Inside a longer run of base64 only the middle is the same: cut what the neighbours decide.
  for (const lead of [0, 1, 2]) {
    const inner = Buffer.concat([Buffer.alloc(lead), b]).toString('base64').replace(/=+$/, '').slice(lead === 0 ? 0 : lead + 1, -2);
    texts.push(inner, inner.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [b, ...texts.map((t) => Buffer.from(t))];
}

/** Where each secret was found; empty when none was. */
export function search(recorded: readonly Recorded[], secrets: readonly Secret[]): string[] {
  const found: string[] = [];
  for (const s of secrets) {
    for (const spelling of spellings(s.bytes)) {
      for (const r of recorded) if (r.bytes.includes(spelling)) found.push(`${s.name} in ${r.where}`);
    }
  }
  return [...new Set(found)];
}

/** The same for words a person types: as they are, with and without what separates them, in any case. */
export function searchText(recorded: readonly Recorded[], name: string, text: string): string[] {
  const plain = text.replaceAll(/[\s-]/g, '');
  const forms = [text, plain, plain.toLowerCase(), text.toLowerCase(), text.replaceAll('-', ' '), encodeURIComponent(text)];
  return recorded.filter((r) => forms.some((f) => r.bytes.includes(f) || r.bytes.includes(Buffer.from(f).toString('base64').replace(/=+$/, '').slice(0, -2)))).map((r) => `${name} in ${r.where}`);
}
