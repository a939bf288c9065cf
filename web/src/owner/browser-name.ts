/** What this browser calls itself among its owner's devices: coarse, and for him alone. */

interface Hints {
  readonly brands: readonly { readonly brand: string }[];
  readonly platform: string;
}

/** The browser as it describes itself; a test brings its own. */
export interface Described {
  readonly userAgent: string;
  readonly userAgentData?: Hints;
}

const brands: readonly (readonly [RegExp, string])[] = [
  [/Edg/, 'Edge'],
  [/OPR|Opera/, 'Opera'],
  [/Brave/, 'Brave'],
  [/SamsungBrowser|Samsung/, 'Samsung Internet'],
  [/Firefox|FxiOS/, 'Firefox'],
  [/Google Chrome|CriOS/, 'Chrome'],
  [/Chrom/, 'Chromium'],
  [/Safari/, 'Safari'],
];

const systems: readonly (readonly [RegExp, string])[] = [
  [/iPhone/, 'iPhone'],
  [/iPad/, 'iPad'],
  [/Android/, 'Android'],
  [/CrOS|Chrome ?OS/i, 'ChromeOS'],
  [/Mac/i, 'macOS'],
  [/Windows/, 'Windows'],
  [/Linux/, 'Linux'],
];

const first = (table: readonly (readonly [RegExp, string])[], text: string): string | undefined => table.find(([sign]) => sign.test(text))?.[1];

/** Such as "Chromium on Linux". */
export function browserName(d: Described): string {
  const hints = d.userAgentData;
  const told = hints === undefined ? '' : hints.brands.map((b) => b.brand).join(' ');
  // Every brand names "Chrome" in its user agent; the hints tell them apart.
  const name = first(brands, told === '' ? d.userAgent.replace('Chrome/', 'Google Chrome/') : told) ?? 'A browser';
  const system = first(systems, hints?.platform === undefined || hints.platform === '' ? d.userAgent : hints.platform);
  return system === undefined ? name : `${name} on ${system}`;
}
