import { createHash } from 'node:crypto';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig, type Plugin } from 'vite';

/**
 * Puts the list of files of this build into sw.js, with a version that is a
 * hash of their content: same sources, same bytes; any change, a new shell.
 */
function shellList(): Plugin {
  return {
    name: 'latchkey-shell-list',
    apply: 'build',
    enforce: 'post',
    generateBundle(_options, bundle) {
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk') throw new Error('shell list: the build has no sw.js');
      const digest = createHash('sha256');
      // What strangers' pages alone use is no part of an owner's shell.
      const files = Object.keys(bundle).filter((name) => name !== 'sw.js' && !/^((s|verify|desk)\.html|assets\/(s|linkworker|verify|verifyworker|desk|deskworker)-.*)$/.test(name)).sort();
      for (const name of files) {
        const file = bundle[name];
        if (file === undefined) continue;
        digest.update(name).update('\0').update(file.type === 'chunk' ? file.code : file.source).update('\0');
      }
      worker.code = worker.code
        .replace('__SHELL_VERSION__', digest.digest('hex').slice(0, 16))
        .replace('__SHELL_FILES__', files.map((name) => `/${name}`).join(' '));
    },
  };
}

export default defineConfig({
  plugins: [svelte(), tailwindcss(), shellList()],
  worker: {
    format: 'es',
    rolldownOptions: { output: { entryFileNames: 'assets/[name]-[hash].js', chunkFileNames: 'assets/[name]-[hash].js' } },
  },
  build: {
    target: 'es2023',
    outDir: 'dist',
    assetsDir: 'assets',
    // A data: URL is a second copy that no cache sees, and the CSP allows none for scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    rolldownOptions: {
      // One entry per door: a page loads only what its reader may use.
      input: { index: 'index.html', s: 's.html', verify: 'verify.html', desk: 'desk.html', sw: 'src/sw.ts' },
      output: {
        entryFileNames: (chunk) => (chunk.name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/[name]-[hash][extname]',
        // What plays is a file of its own: what else comes first is measured without it.
        codeSplitting: { groups: [{ name: 'player', test: /\/src\/player\// }, { name: 'svelte', test: /\/node_modules\/svelte\// }] },
      },
    },
  },
  server: { host: '127.0.0.1', proxy: { '/v1': { target: 'http://127.0.0.1:8440', ws: true }, '^/latchkey\\.v1\\.': 'http://127.0.0.1:8440' } },
});
