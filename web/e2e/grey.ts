/** Pictures as the finder of the hidden mark takes them, after what happens to a screenshot on its way. */
import type { Page } from 'playwright-core';
import type { Grey } from '../src/desk/hidden';

export interface Harm {
  /** of its width and height that is kept, by scaling */
  readonly part?: number;
  /** cut off at the left and at the top, in parts of the picture */
  readonly cut?: number;
  /** pixels of blur, after scaling */
  readonly blur?: number;
}

export async function greyIn(page: Page, bytes: Buffer, { part = 1, cut = 0, blur = 0 }: Harm = {}): Promise<Grey> {
  const { width, height, b64 } = await page.evaluate(async ([data, size, off, soft]) => {
    const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))]));
    const canvas = document.createElement('canvas');
    const [w, h] = [Math.round(bitmap.width * (1 - off)), Math.round(bitmap.height * (1 - off))];
    [canvas.width, canvas.height] = [Math.round(w * size), Math.round(h * size)];
    const ctx = canvas.getContext('2d');
    if (ctx === null) throw new Error('no canvas');
    ctx.imageSmoothingQuality = 'high';
    if (soft > 0) ctx.filter = `blur(${soft}px)`;
    ctx.drawImage(bitmap, bitmap.width - w, bitmap.height - h, w, h, 0, 0, canvas.width, canvas.height);
    const rgba = ctx.getImageData(0, 0, canvas.width, canvas.height).data;
    let text = '';
    for (let i = 0; i < rgba.length; i += 4) text += String.fromCharCode(Math.round(0.299 * (rgba[i] ?? 0) + 0.587 * (rgba[i + 1] ?? 0) + 0.114 * (rgba[i + 2] ?? 0)));
    return { width: canvas.width, height: canvas.height, b64: btoa(text) };
  }, [bytes.toString('base64'), part, cut, blur] as const);
  return { width, height, data: new Uint8Array(Buffer.from(b64, 'base64')) };
}
