/**
 * Letters (spec/keys, "Letters"): something sealed to one member. Anybody can
 * write one: what has to be true stands in a signed note inside.
 */
import { type Bytes, fromUtf8, utf8 } from './bytes';
import { openObject, purpose, sealObject, type SealingKey } from './hpke';

/** The longest label of a device or passkey, in bytes of UTF-8. */
const maxLabel = 120;

export function sealLetter(household: Bytes, publicKey: Bytes, plaintext: Bytes): Promise<Bytes> {
  return sealObject('LKS1', publicKey, purpose('letter', household), plaintext);
}

/** Opens a letter with whichever of a member's keys it was sealed to; throws Failure 'verify'. */
export function openLetter(household: Bytes, keys: readonly SealingKey[], sealed: Bytes): Promise<Bytes> {
  return openObject('LKS1', keys, purpose('letter', household), sealed);
}

/** A label for the member himself, cut to what a label may hold. */
export function sealLabel(household: Bytes, publicKey: Bytes, label: string): Promise<Bytes> {
  let cut = shown(label);
  while (utf8(cut).length > maxLabel) cut = [...cut].slice(0, -1).join('');
  return sealLetter(household, publicKey, utf8(cut));
}

/** The text of a label; empty when there is none, or it is none of ours. */
export async function openLabel(household: Bytes, keys: readonly SealingKey[], sealed: Bytes): Promise<string> {
  try {
    return shown(fromUtf8(await openLetter(household, keys, sealed)));
  } catch {
    // A label is a help to the eye: nothing depends on it.
    return '';
  }
}

/** Without control characters and what turns the direction of writing. */
function shown(text: string): string {
  return text.replaceAll(/[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '').trim();
}
