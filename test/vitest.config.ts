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
/** Servers of four runtimes that are killed, signalled or kept waiting, when nobody but them wants the processors. */
const processes = ['test/clients/**/*.test.ts', 'test/fault/**/*.test.ts', 'test/auth/keys.test.ts']
/** Browsers, which take all processors there are, and those whose figures tell nothing on a machine that others want too. */
const alone = ['test/browser/**/*.test.ts', 'test/fault/hostile.test.ts', 'test/fault/stall.test.ts']
/** In CI a test of these may fail once. */
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
