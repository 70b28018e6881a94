import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test } from 'vitest'
import { cleanUp, folder, start } from '../server/server.ts'

const script = join(import.meta.dirname, 'conformance.ts')
/** Runs the script to its end, with no terminal. */
async function conformance(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [script, ...args], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { status, stdout, stderr }
}

afterEach(cleanUp)

test('npm run conformance passes on a hub and leaves its topics and its message as they were', async () => {
  const { url } = await start({ LOG: `sqlite:${folder()}/hub.db`, HEARTBEAT: '1s' })
  const post = (path: string, body: string) =>
    fetch(url + path, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
  for (const topic of ['a', 'other', 't/1']) await post(`/send?topic=${topic}`, 'mine')
  await fetch(`${url}/send?message=mine`, { method: 'POST' })
  const state = async () => ({
    topics: (await (await fetch(`${url}/topics?limit=1000`)).json()) as object,
    store: (
      (await (await fetch(`${url}/event`, { headers: { accept: 'application/json' } })).json()) as {
        events: { data: string }[]
      }
    ).events.map(({ data }) => JSON.parse(data).message as string),
  })
  const before = await state()
  const { status, stdout } = await conformance(url, '--yes')
  expect([status, stdout.slice(-2000)]).toEqual([0, expect.stringContaining(' passed')])
  expect(await state()).toEqual(before)
}, 300_000)

test('npm run conformance sends nothing before somebody has agreed', async () => {
  const { url } = await start({ LOG: `sqlite:${folder()}/hub.db` })
  const { status, stdout, stderr } = await conformance(url)
  expect([status, stdout]).toEqual([2, expect.stringContaining(`Tests ${url}: publishes to about 80 topics`)])
  expect(stderr).toContain('--yes')
})

test.each([
  [['--help'], 0],
  [[], 2],
  [['what?'], 2],
  [['http://a', 'http://b'], 2],
  [['--nope'], 2],
] as const)('npm run conformance -- %s shows its help', async (args, code) => {
  const { status, stdout, stderr } = await conformance(...args)
  expect([status, stdout + stderr]).toEqual([
    code,
    expect.stringContaining('Runs the HTTP suite against a running hub'),
  ])
})
