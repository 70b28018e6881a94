import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Reader } from '../reader.ts'
import { blocksOf, fileOf } from '../recipes/guide.ts'
import { bun, deno, type Runtime, wranglerDev } from '../server/runtimes.ts'
import { cleanUp, folder, freePort, type Server, start } from '../server/server.ts'
import { installNode, oldestNodes, otherNode } from './nodes.ts'
import { Project, pack } from './project.ts'

const root = join(import.meta.dirname, '..', '..')
const unreachable = 'the npm registry cannot be reached'
const listens = /^Listens on http:\/\/\S+:(\d+)$/m

let project: Project | undefined

beforeAll(async () => {
  project = await Project.make(await pack())
}, 180_000)
afterAll(cleanUp)

/** A program that serves a hub on a runtime. */
const program = (subpath: string) => `import process from 'node:process'
import { parseConfig } from 'tidings'
import { serve } from 'tidings/${subpath}'

const { url } = await serve(parseConfig(process.env))
console.log('Listens on ' + url)
`

const wrangler = `name = "project"
main = "worker.mjs"
compatibility_date = "2026-10-20"
compatibility_flags = ["enable_request_signal"]

[vars]
HUB = "main"

[assets]
directory = "node_modules/tidings/public"
binding = "ASSETS"
run_worker_first = true

[[durable_objects.bindings]]
name = "HUBS"
class_name = "TidingsHub"

[[migrations]]
tag = "v1"
new_sqlite_classes = ["TidingsHub"]
`

/** How a runtime runs a program of the project. */
const runs = (name: string, subpath: string, command: (file: string) => readonly string[]): Runtime => ({
  name,
  command: () => command(project!.write(`${subpath}.mjs`, program(subpath))),
  listens,
})

const runtimes: Readonly<Record<string, () => Promise<Runtime | undefined>>> = {
  ...Object.fromEntries(
    oldestNodes.map((version) => [
      `Node ${version}`,
      async () => {
        const node = await installNode(version)
        return node === undefined ? undefined : runs(`Node ${version}`, 'node', (file) => [node, file])
      },
    ]),
  ),
  ...(otherNode && { [`Node at ${otherNode}`]: async () => runs('Node', 'node', (file) => [otherNode!, file]) }),
  Bun: async () => runs('Bun', 'bun', (file) => [bun.command({}, [])[0]!, file]),
  Deno: async () =>
    runs('Deno', 'deno', (file) => [
      ...[deno.command({}, [])[0]!, 'run', '-A', '--unstable-no-legacy-abort', '--node-modules-dir=manual'],
      file,
    ]),
  workerd: async () => {
    project!.write('worker.mjs', "export { default, TidingsHub } from 'tidings/worker'\n")
    return wranglerDev(project!.write('wrangler.toml', wrangler))
  },
}

describe.each(Object.keys(runtimes))('the tarball on %s', (name) => {
  test('serves the page and the description, publishes, and resumes after kill -9', async ({ skip }) => {
    if (!project) return skip(unreachable)
    const runtime = await runtimes[name]!()
    if (!runtime) return skip(`needs ${name} from npm, which this machine does not have`)
    const log = `sqlite:${folder()}/hub.db`
    // A port of its own for each, because fetch keeps connections to the killed one.
    const startAnother = async () => start({ LOG: log, PORT: `${await freePort()}` }, runtime)

    const first = await startAnother()
    const page = await fetch(first.url)
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('<title>')])
    expect((await fetch(`${first.url}/openapi.json`)).status).toBe(200)
    expect(await publish(first, 'one', 'two', 'three')).toMatchObject({ durability: 'disk' })
    const early = await subscribe(first, { topic: 'a', from: 'earliest' })
    await early.gets('one', 'two', 'three')
    await first.kill('SIGKILL')

    const second = await startAnother()
    const resumed = await subscribe(second, { topic: 'a' }, early.events.find(({ data }) => data === 'one')!.id)
    await resumed.gets('two', 'three')
    await publish(second, 'four')
    await resumed.gets('two', 'three', 'four')
    expect(resumed.control('gap')).toEqual([])
    await second.kill('SIGKILL')
  })
})

test.for(oldestNodes)('Node %s loads the tarball with require(), without a warning', async (version, { skip }) => {
  const node = project && (await installNode(version))
  if (!project || !node) return skip(`needs Node ${version} from npm, which this machine does not have`)
  const program = `const { default: app, createApp, Hub } = require('tidings')
const { serve } = require('tidings/node')
app.request('/send?message=hi').then(({ status }) => console.log(typeof createApp, typeof Hub, typeof serve, status))`
  const withoutSqlite = '--disable-warning=ExperimentalWarning' // of node:sqlite, on Node 22
  expect(await project.run(node, withoutSqlite, project.write('program.cjs', program))).toBe(
    'function function function 200\n',
  )
  const alone = "console.log(typeof require('tidings').createApp)"
  expect(await project.run(node, project.write('alone.cjs', alone))).toBe('function\n')
})

test('the tarball on workerd bundles no client of Redis and no Node', async ({ skip }) => {
  if (!project) return skip(unreachable)
  await runtimes.workerd!()
  const bin = join(root, 'node_modules', 'wrangler', 'bin', 'wrangler.js')
  const output = await project.run(process.execPath, bin, 'deploy', '--dry-run', '--outdir', 'uploaded')
  expect(output).toContain('--dry-run: exiting now')
  expect(output).not.toMatch(/node:|redis/i)
})

test('the Worker of the guide is bundled and serves as its wrangler.toml says, and wrangler warns of nothing', async ({
  skip,
}) => {
  if (!project) return skip(unreachable)
  const blocks = blocksOf('src/adapters/WORKERS.md')
  const textOf = (language: string) => blocks.find((block) => block.language === language)!.text
  project.write('worker.ts', textOf('ts'))
  const config = project.write('wrangler.toml', textOf('toml'))
  const bin = join(root, 'node_modules', 'wrangler', 'bin', 'wrangler.js')
  const output = await project.run(process.execPath, bin, 'deploy', '--dry-run', '--config', config)
  expect(output).toContain('env.HUBS (TidingsHub)')
  expect(output).toContain('--dry-run: exiting now')
  expect(output).not.toMatch(/warn/i)
  const server = await start({ LOG: `sqlite:${folder()}/hub.db` }, wranglerDev(config))
  expect(await publish(server, 'one')).toMatchObject({ durability: 'disk' })
  await server.kill('SIGKILL')
})

test('the Worker of the guide to hosts serves its own routes, and the hub and its page below a path', async ({
  skip,
}) => {
  if (!project) return skip(unreachable)
  const greeter = blocksOf('src/adapters/HOSTS.md').find((block) => fileOf(block) === 'greeter.ts')!
  project.write('greeter.ts', greeter.text)
  const config = wrangler
    .replace('main = "worker.mjs"', 'main = "greeter.ts"')
    .replace('HUB = "main"', 'GREETING = "hi"\nBASE_PATH = "/live"')
  const runtime = wranglerDev(project.write('greeter.toml', config))
  const server = await start({ LOG: `sqlite:${folder()}/hub.db` }, runtime)
  expect(await (await fetch(server.url)).text()).toBe('hi')
  const url = `${server.url}/live`
  expect(await (await fetch(`${url}/`)).text()).toContain('<title>')
  expect(await (await fetch(`${url}/openapi.json`)).json()).toMatchObject({ servers: [{ url: '/live' }] })
  expect(await publish({ url }, 'one')).toMatchObject({ durability: 'disk' })
  const reader = await subscribe({ url }, { topic: 'a', from: 'earliest' })
  await expect.poll(() => reader.data).toEqual(['one'])
  await server.kill('SIGKILL')
})

async function publish({ url }: Pick<Server, 'url'>, ...messages: string[]): Promise<unknown> {
  const body = JSON.stringify(messages.map((data) => ({ topic: 'a', data })))
  const response = await fetch(`${url}/send`, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
  expect(response.status).toBe(200)
  return response.json()
}

async function subscribe(
  { url }: Pick<Server, 'url'>,
  query: Record<string, string>,
  lastEventId?: string,
): Promise<Reader> {
  const headers = { accept: 'text/event-stream', ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) }
  const response = await fetch(`${url}/event?${new URLSearchParams(query)}`, { headers })
  expect(response.status).toBe(200)
  return new Reader().follow(response.body!)
}
