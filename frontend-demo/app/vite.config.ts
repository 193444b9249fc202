import { resolve } from 'node:path';
import { defineConfig } from 'vite';

const page = (name: string) => resolve(import.meta.dirname, name);

export default defineConfig({
  build: {
    // Nothing goes into data: URLs, so that the server can send a strict content security policy.
    assetsInlineLimit: 0,
    // The editor alone is over any sensible limit.
    chunkSizeWarningLimit: 4_000,
    rolldownOptions: {
      input: [page('index.html'), page('graphiql.html')],
      onwarn: (warning, warn) => {
        // React libraries mark what is not for servers; here nothing is.
        if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') {
          warn(warning);
        }
      },
    },
  },
  worker: { format: 'es' },
});
