import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

const root = new URL('..', import.meta.url).pathname
const common = {
  expect: { poll: { interval: 10, timeout: 5000 } },
  testTimeout: 20_000,
  hookTimeout: 30_000,
}
/** Tests that run inside workerd, for the storage of a Durable Object. */
const insideWorkerd = ['test/log/object.test.ts', 'test/adapters/worker.test.ts']
/** Tests that kill, signal or delay servers on four runtimes; they run after all other tests, which would take their processors. */
const processes = ['test/clients/**/*.test.ts', 'test/fault/**/*.test.ts', 'test/auth/keys.test.ts']
/** Tests with browsers, which use every processor, and tests whose figures need an otherwise idle machine. */
const alone = ['test/browser/**/*.test.ts', 'test/fault/hostile.test.ts', 'test/fault/stall.test.ts']
/** In CI each of these tests may fail once. */
const retry = process.env.CI ? 1 : 0

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
          exclude: [...insideWorkerd, ...processes, ...alone],
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
          exclude: alone,
          maxWorkers: '100%',
          retry,
          sequence: { groupOrder: 2 },
        },
      },
      {
        root,
        test: { ...common, name: 'alone', include: alone, maxWorkers: 1, retry, sequence: { groupOrder: 3 } },
      },
      {
        root,
        plugins: [cloudflareTest({ wrangler: { configPath: `${root}wrangler.toml` } })],
        test: { ...common, name: 'workerd', include: insideWorkerd, sequence: { groupOrder: 4 } },
      },
    ],
  },
})
