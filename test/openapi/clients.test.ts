import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { install, run } from '../server/programs.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { writeDescription } from './description.ts'

const place = folder()
let isInstalled = false

beforeAll(async () => {
  isInstalled = await install('openapi/clients', place)
  writeFileSync(join(place, 'package.json'), '{"type":"module"}')
}, 300_000)

afterAll(cleanUp)

/** A program of a user of openapi-fetch, with the types that openapi-typescript generates. */
const WITH_OPENAPI_FETCH = `
import createClient from 'openapi-fetch'
import type { paths } from './api.d.ts'

const client = createClient<paths>({ baseUrl: process.argv[2]! })
const topic = 'made/by-fetch'
const query = { topic }
const first = await client.POST('/send', { params: { query }, body: { data: { n: 1 }, event: 'said' } })
await client.POST('/send', { params: { query, header: { 'Idempotency-Key': 'k' } }, body: [{ data: 'a' }, { data: 'b' }] })
await client.POST('/send', { params: { query: { topic, raw: true } }, body: { data: 'as it is' } })
const headers = { accept: 'application/json' }
const polled = await client.GET('/event', { params: { query: { topic: [topic, 'made/**'], from: 'earliest' } }, headers })
const set = await client.GET('/send', { params: { query: { message: 'hi' } } })
const shown = await client.GET('/topics/{topic}', { params: { path: { topic } } })
const refused = await client.POST('/send', { params: { query }, body: { message: 'x' } })
// @ts-expect-error the store is set to a message
const incomplete = await client.GET('/send', { params: { query: {} } })
const codes: (string | undefined)[] = [refused.error?.code, incomplete.error?.code]
const kept: number | undefined = shown.data?.kept
console.log(JSON.stringify({ first: first.data, polled: polled.data, set: set.data?.query, kept, codes }))
`

/** A program of a user of the client that orval generates. */
const WITH_ORVAL = `
import { publish, set, showTopic, subscribe } from './client.ts'

const topic = 'made/by-orval'
const first = await publish({ data: { n: 1 }, event: 'said' }, { topic })
await publish([{ data: 'a' }, { data: 'b' }], { topic }, { headers: { 'idempotency-key': 'k' } })
await publish({ data: 'as it is' }, { topic, raw: true })
const polled = await subscribe({ topic: [topic, 'made/**'], from: 'earliest' }, { headers: { accept: 'application/json' } })
const done = await set({ message: 'hi' })
const shown = await showTopic(topic)
const refused = await publish({ message: 'x' }, { topic })
const codes: (string | undefined)[] = [refused.status === 400 ? refused.data.code : undefined, 'message_missing']
const kept: number | undefined = shown.status === 200 ? shown.data.kept : undefined
const query = done.status === 200 ? done.data.query : undefined
console.log(JSON.stringify({ first: first.data, polled: polled.data, set: query, kept, codes }))
`

/** Checks the types of a program, and runs it against a hub. */
async function outcomeOf(program: string, { url }: Server): Promise<unknown> {
  writeFileSync(join(place, 'program.ts'), program)
  const tsc = join(place, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--allowImportingTsExtensions', '--target', 'esnext']
  const types = [
    '--module',
    'nodenext',
    '--types',
    'node',
    '--typeRoots',
    join(import.meta.dirname, '../../node_modules/@types'),
  ]
  const checked = await run(process.execPath, [tsc, ...options, ...types, 'program.ts'], place)
  expect(checked).toEqual({ code: 0, output: '' })
  const { output } = await run(process.execPath, ['--no-warnings', 'program.ts', url], place)
  return JSON.parse(output)
}

const outcome = (topic: string) => {
  const id = expect.any(String)
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  return {
    first: { id, topic, durability: 'memory' },
    polled: {
      events: [
        { id, topic, event: 'said', data: '{"n":1}', time },
        { id, topic, event: 'message', data: 'a', time },
        { id, topic, event: 'message', data: 'b', time },
        { id, topic, event: 'message', data: '{"data":"as it is"}', time },
      ],
      position: id,
    },
    set: { message: 'hi' },
    kept: 4,
    codes: ['field_unknown', 'message_missing'],
  }
}

test('a client of openapi-typescript and openapi-fetch does what its user means', { timeout: 180_000 }, async ({
  skip,
}) => {
  skip(!isInstalled, 'the npm registry cannot be reached')
  const generator = join(place, 'node_modules', 'openapi-typescript', 'bin', 'cli.js')
  await run(process.execPath, [generator, await writeDescription(place), '-o', 'api.d.ts'], place)
  expect(await outcomeOf(WITH_OPENAPI_FETCH, await start())).toEqual(outcome('made/by-fetch'))
})

test('a client of orval does what its user means', { timeout: 180_000 }, async ({ skip }) => {
  skip(!isInstalled, 'the npm registry cannot be reached')
  const hub = await start()
  const output = { target: 'client.ts', client: 'fetch', baseUrl: hub.url }
  const config = { hub: { input: await writeDescription(place), output } }
  writeFileSync(join(place, 'orval.config.mjs'), `export default ${JSON.stringify(config)}\n`)
  const generator = join(place, 'node_modules', 'orval', 'dist', 'bin', 'orval.mjs')
  const { code, output: said } = await run(process.execPath, [generator, '--config', 'orval.config.mjs'], place)
  expect(code, said).toBe(0)
  expect(await outcomeOf(WITH_ORVAL, hub)).toEqual(outcome('made/by-orval'))
})
