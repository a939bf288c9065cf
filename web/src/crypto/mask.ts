/**
 * The second key of a two-key grant (protocol 2.8): every key of its capsule is
 * covered with a part of a mask that its hub has, and no key is wider than 512
 * seconds.
 */
import { type Bytes, concat, hex, u32 } from './bytes';
import { random } from './cipher';
import { releasedLevel } from './entry';
import type { OpenEpoch } from './epoch';
import type { Plain } from './giving';
import type { TrackRange } from './grant';
import { kdf } from './hash';
import { purpose, sealObject } from './hpke';
import { descend, slots, type TreeNode } from './tree';

export class Mask {
  readonly #secret: Bytes;

  constructor(secret: Bytes = random(32)) {
    this.#secret = secret;
  }

  /** key XOR KDF(M, "release", name); a second time it is what it was. */
  cover(key: Bytes, name: Bytes): Bytes {
    const part = kdf(this.#secret, 'release', name);
    return key.map((b, i) => b ^ (part[i] ?? 0));
  }

  /** LKM1, for one grant, to a hub's X-Wing key. */
  seal(household: Bytes, grant: Bytes, hub: Bytes): Promise<Bytes> {
    return sealObject('LKM1', hub, purpose('release', household, grant), this.#secret);
  }

  erase(): void {
    this.#secret.fill(0);
  }
}

/** The nodes of an epoch for the lines, each covered by the mask. */
export function maskedEntries(epoch: OpenEpoch, lines: readonly TrackRange[], mask: Mask): Plain[] {
  const { start, epoch: id } = epoch.note;
  return lines.flatMap((t) => {
    const [from, until] = [Math.max(t.from - start, 0), Math.min(t.until - start, slots)];
    const wide = from < until ? (epoch.trees.get(hex(t.track))?.within(from, until) ?? []) : [];
    return wide.flatMap(split).map((n): Plain => {
      const name = concat(id, t.track, u32(n.level * 2 ** 24 + n.index));
      return { name, key: mask.cover(n.key, name) };
    });
  });
}

/** The node, or, of a wide one, those of 512 seconds below it. */
function split(node: TreeNode): TreeNode[] {
  if (node.level >= releasedLevel) return [node];
  const below = 2 ** (releasedLevel - node.level);
  return Array.from({ length: below }, (_, i) => descend(node, { level: releasedLevel, index: node.index * below + i }));
}
