import { defineConfig } from 'vitest/config';

// The whole way in a real browser: slow, so apart from the unit tests.
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['*.e2e.ts'],
    // Real time on a machine that is shared: a story gets a second try, and the count names it.
    retry: 1,
    testTimeout: 90_000,
    hookTimeout: 300_000,
    fileParallelism: false,
    sequence: { concurrent: false },
  },
});
