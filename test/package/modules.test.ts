import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cleanUp, launch } from '../server/server.ts'
import { forHooks, Project, pack, subpaths } from './project.ts'

const counting = join(import.meta.dirname, 'count-modules.mjs')

/** The packages that answer requests, with the most modules that each may load. */
const http = { hono: 40, valibot: 1, '@valibot/to-json-schema': 1, 'eventsource-parser': 3, 'ip-bigint': 1 }
const ofHttp = { ...http, 'cidr-regex': 1 }

/** What Vue itself loads. */
const ofVue = {
  ...{ vue: 3, '@vue/runtime-dom': 2, '@vue/runtime-core': 2, '@vue/reactivity': 2, '@vue/shared': 2 },
  ...{ '@vue/compiler-dom': 2, '@vue/compiler-core': 2, '@babel/parser': 1, 'estree-walker': 1 },
  ...{ entities: 6, 'source-map-js': 11 },
}

/** The most modules that an import loads, of each package. It loads nothing of a package that is not named. */
const bounds: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  tidings: { tidings: 24, ...ofHttp },
  'tidings/node': { tidings: 34, ...ofHttp, '@hono/node-server': 5, 'node:': 16 },
  'tidings/bun': { tidings: 34, ...ofHttp, 'node:': 12 },
  'tidings/deno': { tidings: 34, ...ofHttp, 'node:': 12 },
  'tidings/sqlite': { tidings: 10, 'node:': 8 },
  'tidings/redis': { tidings: 10, '@redis/client': 500, 'node:': 14 },
  'tidings/client': { tidings: 1 },
  'tidings/client-runs': { tidings: 1 },
  'tidings/resumable-stream': { tidings: 15 },
  'tidings/assistant-stream': { tidings: 15 },
  'tidings/ai-sdk': { tidings: 15, 'eventsource-parser': 3 },
  'tidings/react': { tidings: 2, react: 2 },
  'tidings/vue': { tidings: 2, ...ofVue },
}

const serving = `import { parseConfig } from 'tidings'
import { serve } from 'tidings/node'
const hub = await serve(parseConfig({ PORT: '0', LOG: 'memory:', WARM_UP: 'false' }))
await (await fetch(hub.url + '/ready')).text()
await hub.stop()`

let project: Project | undefined

beforeAll(async () => {
  project = await Project.make(await pack(), ...forHooks)
}, 180_000)
afterAll(cleanUp)

async function loadedBy(program: string): Promise<Record<string, number>> {
  const args = ['--import', counting, '--input-type=module', '--eval', program]
  return JSON.parse((await project!.run(process.execPath, ...args)).trim().split('\n').at(-1)!)
}

function expectWithin(counts: Record<string, number>, bound: Readonly<Record<string, number>>): void {
  expect(Object.keys(counts).sort()).toEqual(Object.keys(bound).sort())
  for (const [name, count] of Object.entries(counts))
    expect([name, count]).toEqual([name, Math.min(count, bound[name]!)])
}

/** `tidings/worker` imports `cloudflare:workers`, which no other runtime has; runtimes.test.ts runs it in workerd. */
const onNode = subpaths.filter((name) => name !== 'tidings/worker')

test('every subpath has a bound', () => {
  expect(Object.keys(bounds).filter((name) => onNode.includes(name))).toEqual(onNode)
})

test.for(onNode)('import %s loads what it needs and nothing else', async (name, { skip }) => {
  if (!project) return skip('the npm registry cannot be reached')
  expectWithin(await loadedBy(`import '${name}'`), bounds[name]!)
})

test('a server with a log in memory loads what its import loads, and no client of Redis', async ({ skip }) => {
  if (!project) return skip('the npm registry cannot be reached')
  expectWithin(await loadedBy(serving), bounds['tidings/node']!)
})

test('npx tidings listens after it has loaded few modules', async ({ skip }) => {
  if (!project) return skip('the npm registry cannot be reached')
  const command = [process.execPath, '--import', counting, project.module('tidings/dist/cli/tidings.js')]
  const listens = /^Tidings listens/m
  const hub = launch({ PORT: '0', LOG: 'memory:' }, [], { name: 'tidings', command: () => command, listens })
  await hub.says(listens)
  await hub.kill('SIGTERM')
  expectWithin(JSON.parse(hub.output.trim().split('\n').at(-1)!), {
    ...bounds['tidings/node'],
    tidings: 40,
    'node:': 16,
  })
})
