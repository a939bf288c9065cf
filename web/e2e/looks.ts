/** Pages on a phone and on a desk, light and dark. `LOOK=dir` keeps a picture of each, to be looked at. */
export const LOOK = process.env['LOOK'];

const PHONE = { name: 'phone', width: 390, height: 844 } as const;
const DESK = { name: 'desk', width: 1440, height: 900 } as const;
const ALL = [[PHONE, 'light'], [DESK, 'dark'], [PHONE, 'dark'], [DESK, 'light']] as const;
// Each size and each scheme once; all four for whoever looks.
export const LOOKS = (LOOK === undefined ? ALL.slice(0, 2) : ALL).map(([size, scheme]) => ({ title: `${size.name} ${scheme}`, size, scheme }));

/** What sticks out to the right, and what a thumb would miss: buttons and links that stand by themselves. */
export function misfits(): string[] {
  const out: string[] = [];
  const root = document.querySelector('main') ?? document.body;
  if (root.scrollWidth > root.clientWidth) out.push(`wider than its ${root.clientWidth} px: ${root.scrollWidth}`);
  if (document.documentElement.scrollWidth > innerWidth) out.push('the page is wider than the screen');
  const shown = document.querySelector('dialog[open]') ?? document.body;
  for (const element of shown.querySelectorAll<HTMLElement>('button, a[href], label:has(input[type=radio], input[type=checkbox]), input:not([type=radio], [type=checkbox]), select')) {
    if (!element.checkVisibility() || element.closest('.sr-only, p, li > span') !== null || element.classList.contains('sr-only') || element.tabIndex < 0) continue;
    const { height, width } = element.getBoundingClientRect();
    if (height > 0 && (height < 43.5 || width < 43.5)) out.push(`too small: ${element.tagName} “${element.textContent?.trim().slice(0, 30)}” ${width}×${height}`);
  }
  return out;
}
