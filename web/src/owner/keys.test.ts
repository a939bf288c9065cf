import { describe, expect, it } from 'vitest';
import { wishOf, type Stroke } from './keys';

const stroke = (key: string, rest: Partial<Stroke> = {}): Stroke => ({ key, shift: false, modified: false, tag: 'body', type: '', ...rest });

describe('wishOf', () => {
  it('knows every key of the help', () => {
    const wishes = [' ', 'ArrowLeft', 'ArrowRight', 'j', 'K', 'l', 'N', 's', '+', '-', 'm', 'f', '?'].map((key) => wishOf(stroke(key)));
    expect(wishes).toEqual(['toggle', 'back', 'forward', 'slower', 'pause', 'faster', 'now', 'select', 'zoom-in', 'zoom-out', 'sound', 'fullscreen', 'help']);
    expect(wishOf(stroke('ArrowLeft', { shift: true }))).toBe('previous');
    expect(wishOf(stroke('ArrowRight', { shift: true }))).toBe('next');
  });

  it('leaves typing, menus and the browser’s own keys alone', () => {
    for (const tag of ['textarea', 'select']) expect(wishOf(stroke('s', { tag }))).toBeNull();
    expect(wishOf(stroke('n', { tag: 'input', type: 'datetime-local' }))).toBeNull();
    expect(wishOf(stroke('s', { modified: true }))).toBeNull();
    expect(wishOf(stroke('ArrowLeft', { tag: 'input', type: 'radio' }))).toBeNull();
  });

  it('lets space press a focused button, and other keys work there', () => {
    expect(wishOf(stroke(' ', { tag: 'button' }))).toBeNull();
    expect(wishOf(stroke('n', { tag: 'button' }))).toBe('now');
  });
});
