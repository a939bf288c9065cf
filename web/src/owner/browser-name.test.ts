import { describe, expect, it } from 'vitest';
import { browserName } from './browser-name';

const hinted = (platform: string, ...brands: string[]): Parameters<typeof browserName>[0] => ({
  userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
  userAgentData: { platform, brands: brands.map((brand) => ({ brand })) },
});

describe('the name of a browser', () => {
  it.each([
    [hinted('Linux', 'Not_A Brand', 'Chromium'), 'Chromium on Linux'],
    [hinted('Linux', 'HeadlessChrome', 'Chromium'), 'Chromium on Linux'],
    [hinted('Windows', 'Not_A Brand', 'Chromium', 'Microsoft Edge'), 'Edge on Windows'],
    [hinted('macOS', 'Google Chrome', 'Chromium'), 'Chrome on macOS'],
    [{ userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1' }, 'Safari on iPhone'],
    [{ userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0' }, 'Firefox on Windows'],
    [{ userAgent: 'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36' }, 'Chrome on Android'],
    [{ userAgent: 'curl/8' }, 'A browser'],
  ])('%#', (described, name) => {
    expect(browserName(described)).toBe(name);
  });
});
