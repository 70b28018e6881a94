import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const root = new URL('..', import.meta.url).pathname
const common = {
  expect: { poll: { interval: 10, timeout: 5000 } },
  testTimeout: 20_000,
  hookTimeout: 30_000,
}
/** Runs inside workerd, where a Durable Object's storage is. */
const insideWorkerd = ['test/log/object.test.ts', 'test/adapters/worker.test.ts']
/**
 * Browsers, and servers of four runtimes that are killed or signalled, with a processor for each that others do not want meanwhile; in CI
 * such a test may fail once.
 */
const processes = [
  'test/browser/**/*.test.ts',
  'test/clients/**/*.test.ts',
  'test/fault/**/*.test.ts',
  'test/auth/keys.test.ts',
]

export default defineConfig({
  root,
  test: {
    globalSetup: ['test/announce.ts'],
    reporters: ['default', './test/matrix.ts'],
    projects: [
      {
        root,
        test: {
          ...common,
          name: 'node',
          include: ['test/**/*.test.ts'],
          exclude: [...insideWorkerd, ...processes],
          maxWorkers: '100%',
          sequence: { groupOrder: 1 },
        },
      },
      {
        root,
        test: {
          ...common,
          name: 'processes',
          include: processes,
          retry: process.env.CI ? 1 : 0,
          sequence: { groupOrder: 2 },
        },
      },
      {
        root,
        plugins: [cloudflareTest({ wrangler: { configPath: `${root}wrangler.toml` } })],
        test: { ...common, name: 'workerd', include: insideWorkerd, sequence: { groupOrder: 3 } },
      },
    ],
  },
})
