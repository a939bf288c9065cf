/** The search for secrets bites: every spelling is found, wherever it stands. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { search, searchText } from './secrets';

const secret = randomBytes(32);
const around = (text: string | Buffer): Buffer => Buffer.concat([randomBytes(5000), Buffer.from(text), randomBytes(5000)]);

const planted: readonly (readonly [name: string, bytes: string | Buffer])[] = [
  ['raw', secret],
  ['hex', secret.toString('hex')],
  ['upper hex', secret.toString('hex').toUpperCase()],
  ['base64', secret.toString('base64')],
  ['base64url', secret.toString('base64url')],
  ['JSON array', JSON.stringify({ prf: [...secret] })],
  ['JSON array, pretty', `[${[...secret].join(', ')}]`],
  ...[1, 2, 3, 4].map((n) => [`base64, after ${n} others`, Buffer.concat([randomBytes(n), secret, randomBytes(n)]).toString('base64')] as const),
  ...[1, 2, 3, 4].map((n) => [`base64url, after ${n} others`, Buffer.concat([randomBytes(n), secret]).toString('base64url')] as const),
];

describe('the search for secrets', () => {
  it.each(planted)('finds %s', (_name, bytes) => {
    const recorded = [{ where: 'here', bytes: around(bytes) }];
    expect(search(recorded, [{ name: 'it', bytes: secret }])).toEqual(['it in here']);
    expect(search(recorded, [{ name: 'another', bytes: randomBytes(32) }])).toEqual([]);
  });

  it('finds a code as a person types it', () => {
    const code = '5J2K-9QWX-0TFD-M7VC-3HRB-ZN4Y-81GA-E6PS';
    for (const form of [code, code.toLowerCase(), code.replaceAll('-', ''), code.replaceAll('-', ' '), Buffer.from(code).toString('base64')]) {
      expect(searchText([{ where: 'here', bytes: around(form) }], 'code', code)).toEqual(['code in here']);
    }
  });
});
