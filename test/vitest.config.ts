import { matchesGlob } from 'node:path'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './longest-first.ts'
import { isRest } from './part.ts'
import { runs } from './seed.ts'

const root = new URL('..', import.meta.url).pathname
/** A page that has lost its hub waits for up to 30 s before it tries again. */
const returnMs = 40_000
const common = {
  expect: { poll: { interval: 10, timeout: returnMs } },
  // The rest starts hundreds of servers on runtimes that take seconds to start.
  testTimeout: runs(isRest ? 180_000 : 60_000, 3_600_000),
  hookTimeout: isRest ? 180_000 : 60_000,
}
/** Tests that run inside workerd, for the storage of a Durable Object. */
const insideWorkerd = [
  'test/log/object.test.ts',
  'test/adapters/worker.test.ts',
  'test/adapters/forward.test.ts',
  'test/adapters/rpc.test.ts',
  'test/adapters/hubs.test.ts',
  'test/hosts/worker.test.ts',
  'test/client/worker.test.ts',
]
/** Tests whose limits need an otherwise idle machine; they run one after the other, after all others. */
const alone = ['test/fault/hostile.test.ts', 'test/fault/stall.test.ts']
/** More than the processors: tests mostly wait, for clocks, sockets and processes. */
const maxWorkers = 4

/** Files that only `npm run test:all` runs. */
const onlyInRest = [
  'test/fault/nodes.test.ts',
  'test/fault/damage.test.ts',
  'test/browser/page-tabs.test.ts',
  'test/browser/docs.test.ts',
  'test/browser/axe.test.ts',
  'test/browser/form.test.ts',
  'test/browser/cross-site-closed.test.ts',
  'test/browser/history.test.ts',
  'test/browser/use.test.ts',
  'test/browser/closed-hub.test.ts',
  'test/browser/page-run.test.ts',
  'test/fault/redis-runs.test.ts',
  'test/hosts/next.test.ts',
  'test/hosts/nitro.test.ts',
  'test/http/conformance.test.ts',
  'test/fault/proxies.test.ts',
  'test/clients/table.test.ts',
  'test/http/bun-redis.test.ts',
  'test/http/bun-stream.test.ts',
  'test/http/deno-redis.test.ts',
  'test/http/deno-stream.test.ts',
  'test/http/worker-stream.test.ts',
  'test/planted/planted.test.ts',
  'test/http/python.test.ts',
  'test/openapi/clients.test.ts',
  'test/openapi/linters.test.ts',
  'test/openapi/schemathesis.test.ts',
  'test/log/runtimes.test.ts',
  'test/deploy/image.test.ts',
  'test/deploy/linters.test.ts',
  'test/package/api.test.ts',
  'test/package/bundlers.test.ts',
  'test/package/contents.test.ts',
  'test/package/declarations.test.ts',
  'test/package/modules.test.ts',
  'test/package/runtimes.test.ts',
  'test/package/walk.test.ts',
  'test/browser/beyond.test.ts',
  'test/browser/client-rest.test.ts',
  'test/browser/firefox.test.ts',
  'test/fault/hostile.test.ts',
  'test/fault/idle.test.ts',
  'test/fault/killed-producers.test.ts',
  'test/fault/worker.test.ts',
]
/** Files of which `npm test` runs one part and `npm run test:all` the other: those that call `part()`. */
const inBoth: string[] = [
  'test/hub/race.test.ts',
  'test/runs/simulator.test.ts',
  'test/recipes.test.ts',
  'test/recipes/recipes.test.ts',
  'test/auth/auth.test.ts',
  'test/auth/canary.test.ts',
  'test/auth/keys.test.ts',
  'test/auth/pages.test.ts',
  'test/browser/ai-chat.test.ts',
  'test/browser/chromium.test.ts',
  'test/browser/client-chromium.test.ts',
  'test/browser/prefix.test.ts',
  'test/browser/ticket.test.ts',
  'test/fault/away.test.ts',
  'test/fault/boot.test.ts',
  'test/fault/churn.test.ts',
  'test/fault/descriptors.test.ts',
  'test/fault/drain.test.ts',
  'test/fault/ends.test.ts',
  'test/fault/ingest.test.ts',
  'test/fault/kill.test.ts',
  'test/fault/lost.test.ts',
  'test/fault/npm.test.ts',
  'test/fault/reads.test.ts',
  'test/fault/runs.test.ts',
  'test/fault/short.test.ts',
  'test/fault/stall.test.ts',
  'test/fault/unread-log.test.ts',
  'test/cli/backup.test.ts',
  'test/cli/doctor.test.ts',
  'test/cli/help.test.ts',
  'test/cli/send.test.ts',
  'test/cli/serve.test.ts',
  'test/cli/tail.test.ts',
  'test/client/runtimes.test.ts',
  'test/clients/whole.test.ts',
  'test/http/bun.test.ts',
  'test/http/deno.test.ts',
  'test/http/framing.test.ts',
  'test/http/ingest.test.ts',
  'test/http/limits.test.ts',
  'test/http/node-redis.test.ts',
  'test/http/node-stream.test.ts',
  'test/integrations/ai-sdk-cuts.test.ts',
]

/** The files of a project: those that match `patterns`, of them in `npm run test:all` those that it runs. */
const files = (patterns: string[], exclude: string[] = []) => ({
  include: isRest
    ? [...onlyInRest, ...inBoth].filter((file) => patterns.some((pattern) => matchesGlob(file, pattern)))
    : patterns,
  exclude: isRest ? exclude : [...exclude, ...onlyInRest],
})

export default defineConfig({
  root,
  test: {
    globalSetup: ['test/announce.ts'],
    maxConcurrency: 3,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', './test/matrix.ts', './test/skips.ts'],
    projects: [
      {
        root,
        test: {
          ...common,
          name: 'node',
          ...files(['test/**/*.test.ts'], [...insideWorkerd, ...alone]),
          setupFiles: ['test/until.ts'],
          maxWorkers,
        },
      },
      {
        root,
        test: {
          ...common,
          name: 'alone',
          ...files(alone),
          setupFiles: ['test/until.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
      {
        root,
        plugins: [
          cloudflareTest({
            wrangler: { configPath: `${root}wrangler.toml` },
            miniflare: {
              bindings: { AUTH_SECRET: '' }, // not the secret in .dev.vars of who runs the tests
              durableObjects: { BROKEN: { className: 'Broken', scriptName: 'broken' } },
              workers: [
                {
                  name: 'broken',
                  modules: true,
                  scriptPath: `${root}test/adapters/broken-objects.js`,
                  durableObjects: { BROKEN: 'Broken' },
                },
              ],
            },
          }),
        ],
        resolve: { alias: { 'tidings/worker': `${root}src/adapters/worker.ts` } },
        test: { ...common, name: 'workerd', ...files(insideWorkerd), maxWorkers },
      },
    ],
  },
})
