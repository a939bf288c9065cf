/** The camera page's keys as names of wishes. Pure, so that the list in the help is the whole truth. */
export type Wish =
  | 'toggle' | 'back' | 'forward' | 'previous' | 'next' | 'slower' | 'pause' | 'faster'
  | 'now' | 'select' | 'sound' | 'fullscreen' | 'help' | 'zoom-in' | 'zoom-out';

const WISHES: Readonly<Record<string, Wish>> = {
  ' ': 'toggle', ArrowLeft: 'back', ArrowRight: 'forward', j: 'slower', k: 'pause', l: 'faster',
  n: 'now', s: 'select', m: 'sound', f: 'fullscreen', '?': 'help', '+': 'zoom-in', '=': 'zoom-in', '-': 'zoom-out',
};

export interface Stroke {
  readonly key: string;
  readonly shift: boolean;
  /** ctrl, alt or meta: the browser's own. */
  readonly modified: boolean;
  /** Where the focus is, lower case tag; its role and type. */
  readonly tag: string;
  readonly type: string;
}

/** What a key asks for, or null. Typing in a field and pressing a focused button stay what they are. */
export function wishOf({ key, shift, modified, tag, type }: Stroke): Wish | null {
  if (modified || tag === 'textarea' || tag === 'select') return null;
  if (tag === 'input' && !['checkbox', 'radio', 'range'].includes(type)) return null;
  if (key === ' ' && ['button', 'input', 'summary', 'a'].includes(tag)) return null;
  if (shift && key === 'ArrowLeft') return 'previous';
  if (shift && key === 'ArrowRight') return 'next';
  if (tag === 'input' && key.startsWith('Arrow')) return null;
  return WISHES[key.length === 1 ? key.toLowerCase() : key] ?? null;
}
