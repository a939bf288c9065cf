/**
 * Links (spec/keys, "Links"): the secret that the fragment carries, what is
 * derived of it, and the words that only its holder can read.
 */
import { type Bytes, b64, concat, equal, fromUtf8, own, parseB64, utf8 } from './bytes';
import { open, random, seal } from './cipher';
import { isKind, refuse } from './failure';
import { kdf } from './hash';
import { type SealingKey, sealingKey } from './hpke';

const fragmentHead = '#LK1.';
const wordsMagic = utf8('LKT1');
const saltSize = 16;
const headSize = wordsMagic.length + saltSize;
const tagSize = 16;
const maxWords = 4096;
const none = new Uint8Array();

/** Whether a fragment is that of a link to one person, whose own keys it takes (spec/keys, "Links to a person"). */
export const isToPerson = (fragment: string): boolean => /^#LKP1\.[A-Za-z0-9_-]{43}$/.test(fragment);

/** What a sharer tells whoever opens his link: nothing of it is proven but that he who made the link wrote it. */
export interface LinkWords {
  /** the person; may be empty, like the next three */
  readonly from: string;
  /** its name */
  readonly camera: string;
  readonly note: string;
  /** IANA time zone to show times in */
  readonly zone: string;
  /** H of the text of the log's policy that the sharer has pinned */
  readonly policy: Bytes;
}

export class Link {
  readonly #secret: Bytes;
  /** the key that capsules for the link are sealed to */
  readonly sealing: SealingKey;

  private constructor(secret: Bytes, sealing: SealingKey) {
    this.#secret = secret;
    this.sealing = sealing;
  }

  static fresh(): Promise<Link> {
    return Link.#of(random(32));
  }

  /** Reads a fragment in its one form, `#LK1.` ‖ 43 characters. Throws Failure 'verify', which does not quote it. */
  static async parse(fragment: string): Promise<Link> {
    const text = /^#LK1\.([A-Za-z0-9_-]{43})$/.exec(fragment)?.[1];
    const secret = text === undefined ? null : parseB64(`${text.replaceAll('-', '+').replaceAll('_', '/')}=`, 32);
    if (secret === null) throw refuse('link: not a link');
    return Link.#of(secret);
  }

  static async #of(secret: Bytes): Promise<Link> {
    return new Link(secret, await sealingKey(kdf(secret, 'link seed', none)));
  }

  /** The fragment: this is the secret. */
  reveal(): string {
    return fragmentHead + b64(this.#secret).replaceAll('+', '-').replaceAll('/', '_').replace('=', '');
  }

  /** Names the key: the server keeps the share object under it. */
  get kid(): Bytes {
    return this.sealing.kid;
  }

  /** Says to the holder that its maker meant the grant with this text hash. */
  mac(text: Bytes): Bytes {
    return kdf(this.#secret, 'link auth', text);
  }

  async sealWords(w: LinkWords): Promise<Bytes> {
    const plain = utf8(wordsText(w));
    if (headSize + plain.length + tagSize > maxWords) throw refuse('link: too many words');
    const head = concat(wordsMagic, random(saltSize));
    return concat(head, await seal(this.#wordsKey(head), head, plain));
  }

  /** Opens an LKT1 object of this link. Throws Failure 'verify' on one of another link, or not in its one form. */
  async openWords(b: Bytes): Promise<LinkWords> {
    if (b.length < headSize + tagSize || b.length > maxWords || !equal(b.subarray(0, 4), wordsMagic)) throw refuse('link: no words');
    const head = own(b.subarray(0, headSize));
    return parseWords(await open(this.#wordsKey(head), head, own(b.subarray(headSize))));
  }

  #wordsKey(head: Bytes): Bytes {
    return kdf(this.#secret, 'link words', head.subarray(wordsMagic.length));
  }
}

/** The one form of the words. Throws Failure 'verify' on control characters. */
function wordsText(w: LinkWords): string {
  for (const s of [w.from, w.camera, w.note, w.zone]) {
    if (/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(s)) throw refuse('link: words with a control character');
  }
  return JSON.stringify({ from: w.from, camera: w.camera, note: w.note, zone: w.zone, policy: b64(w.policy) });
}

function parseWords(plain: Bytes): LinkWords {
  try {
    const text = fromUtf8(plain);
    const { from, camera, note, zone, policy } = JSON.parse(text) as Record<string, unknown>;
    const hash = typeof policy === 'string' ? parseB64(policy, 32) : null;
    if (typeof from === 'string' && typeof camera === 'string' && typeof note === 'string' && typeof zone === 'string' && hash !== null) {
      const words = { from, camera, note, zone, policy: hash };
      if (wordsText(words) === text) return words;
    }
  } catch (err) {
    if (isKind(err, 'verify')) throw err;
  }
  // The parser's own message could quote them.
  throw refuse('link: words not in their one form');
}
