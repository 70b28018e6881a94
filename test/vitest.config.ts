import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const root = new URL('..', import.meta.url).pathname
const common = {
  expect: { poll: { interval: 10, timeout: 5000 } },
  testTimeout: 20_000,
  hookTimeout: 30_000,
  // Browsers, four runtimes and killed servers share two cores there. What fails by its seed or by its code fails twice.
  retry: process.env.CI ? 1 : 0,
}
/** Runs inside workerd, where a Durable Object's storage is. */
const insideWorkerd = ['test/log/object.test.ts', 'test/adapters/worker.test.ts']

export default defineConfig({
  root,
  test: {
    globalSetup: ['test/announce.ts'],
    reporters: ['default', './test/matrix.ts'],
    projects: [
      { root, test: { ...common, name: 'node', include: ['test/**/*.test.ts'], exclude: insideWorkerd } },
      {
        root,
        plugins: [cloudflareTest({ wrangler: { configPath: `${root}wrangler.toml` } })],
        test: { ...common, name: 'workerd', include: insideWorkerd },
      },
    ],
  },
})
