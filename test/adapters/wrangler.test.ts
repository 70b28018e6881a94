import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { parseWorkerConfig } from '../../src/config/worker.ts'
import { cleanUp, folder } from '../server/server.ts'

const root = join(import.meta.dirname, '..', '..')
const textOf = (name: string) => readFileSync(join(root, name), 'utf8')

test('a deployment keeps logs, reaches an object with readers within 30 s, and asks for nothing that the free plan refuses', () => {
  const { observability, durable_objects, limits } = unstable_readConfig({ config: join(root, 'wrangler.toml') })
  expect(observability).toMatchObject({ enabled: true, head_sampling_rate: 1 })
  expect(durable_objects).toMatchObject({ code_update_strategy: { mode: 'deferred', max_delay: 30 } })
  expect(limits).toBeUndefined()
})

test('the limits that wrangler.toml proposes for the paid plan are 5 minutes of processor time, once uncommented', async () => {
  const config = join(folder(), 'wrangler.toml')
  writeFileSync(config, textOf('wrangler.toml').replace(/^# (\[limits\]\n)# (cpu_ms .*)$/m, '$1$2'))
  expect(unstable_readConfig({ config }).limits).toEqual({ cpu_ms: 300_000 })
  await cleanUp()
})

test('nobody can use the secret of .dev.vars.example, which everybody knows', () => {
  const [, AUTH_SECRET] = /^AUTH_SECRET="(.*)"$/m.exec(textOf('.dev.vars.example'))!
  expect(() => parseWorkerConfig({ AUTH_SECRET })).toThrow('AUTH_SECRET: expected at least 32 bytes')
})
