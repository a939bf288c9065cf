import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

/** @type {import('@sveltejs/vite-plugin-svelte').SvelteConfig} */
export default {
  preprocess: vitePreprocess({ style: false }),
  compilerOptions: {
    runes: true,
    // From the styles alone: the default also hashes the file name, and a
    // build must give the same bytes wherever the sources lie.
    cssHash: ({ css, hash }) => `lk-${hash(css)}`,
  },
};
