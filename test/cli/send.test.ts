import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { cleanUp, folder, type Server, start } from '../server/server.ts'
import { answering } from './answering.ts'
import { Cli } from './cli.ts'

let hub: Server
let env: Record<string, string>

beforeAll(async () => {
  hub = await start()
  env = { TIDINGS_URL: hub.url }
})
afterAll(cleanUp)

const eventsOf = async (topic: string) => {
  const headers = { accept: 'application/json' }
  const answer = await fetch(`${hub.url}/event?topic=${topic}&from=earliest`, { headers })
  return (await answer.json()) as { events: { event: string; data: string }[]; closed?: string[] }
}
const dataOf = async (topic: string) => (await eventsOf(topic)).events.map(({ data }) => data)

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings send on %s', (runtime) => {
  const cli = new Cli(runtime)
  const topic = (name: string) => `${runtime}/${name}`

  test('publishes an event with a name and a key, and prints its id; again with the key, the same id', async () => {
    const args = ['send', topic('one'), 'héllo', '--event', 'said', '--key', 'k']
    const first = await cli.run(args, { env })
    expect(first).toEqual({ status: 0, stdout: expect.stringMatching(/^\w{10}-\d+\n$/), stderr: '' })
    expect(await cli.run(args, { env })).toEqual(first)
    expect((await eventsOf(topic('one'))).events).toEqual([expect.objectContaining({ event: 'said', data: 'héllo' })])
  })

  test('- publishes all of stdin without its last line end; data may begin with a dash behind --', async () => {
    await cli.run(['send', topic('stdin'), '-'], { env, input: 'one\ntwo\n' })
    await cli.run(['send', topic('stdin'), '--', '-1'], { env })
    expect(await dataOf(topic('stdin'))).toEqual(['one\ntwo', '-1'])
  })

  test('--ndjson publishes each line, and a second run with the same key nothing', async () => {
    const input = Array.from({ length: 500 }, (_, i) => `{"data":${i}}\n`).join('')
    for (const _ of [1, 2])
      expect(await cli.run(['send', topic('lines'), '--ndjson', '--key', 'k'], { env, input })).toEqual({
        status: 0,
        stdout: '500\n',
        stderr: '',
      })
    expect((await fetch(`${hub.url}/topics/${topic('lines')}`).then((a) => a.json())).kept).toBe(500)
  })

  test('--json prints the whole answer of the hub', async () => {
    const answer = async (args: string[], input: string) => {
      const { status, stdout } = await cli.run(['send', topic('json'), '--json', ...args], { env, input })
      expect([status, stdout]).toEqual([0, expect.stringMatching(/^\{.*\}\n$/)])
      return JSON.parse(stdout)
    }
    const id = expect.stringMatching(/^\w{10}-\d+$/)
    expect(await answer(['a'], '')).toEqual({ id, topic: topic('json'), durability: 'memory' })
    expect(await answer(['--ndjson'], '{"data":1}\n{"data":2}\n')).toMatchObject({ taken: 2 })
  })

  test('--sse publishes each event, and --close closes the topic behind the last one', async () => {
    const input = 'data: a\n\nevent: x\ndata: b\n\n'
    await cli.run(['send', topic('sse'), '--sse', '--close'], { env, input })
    const { events, closed } = await eventsOf(topic('sse'))
    expect([events.map(({ event, data }) => [event, data]), closed]).toEqual([
      [
        ['message', 'a'],
        ['x', 'b'],
      ],
      [topic('sse')],
    ])
  })

  test('exits with 1 and the reason of the hub, and says how many items were taken', async () => {
    expect(await cli.run(['send', topic('bad'), '--ndjson'], { env, input: '{"data":1}\nno\n' })).toEqual({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(/^The hub refused with 400 body_invalid: .*; 1 items were published before\n$/),
    })
    const cut = await cli.run(['send', topic('cut'), '--ndjson'], { env, input: '{"data":1}\n{"dat' })
    expect([cut.status, cut.stderr]).toEqual([1, expect.stringContaining('Stdin ended inside an item: 1 items')])
  })

  test('--token-file has the token of who publishes, whatever TIDINGS_TOKEN is', async () => {
    const AUTH_SECRET = 'x'.repeat(32)
    const { url } = await start({ AUTH_SECRET })
    const token = await cli.run(['token', '--publish', 'a'], { env: { AUTH_SECRET } })
    const file = join(folder(), 'token')
    writeFileSync(file, token.stdout)
    const wrong = { TIDINGS_URL: url, TIDINGS_TOKEN: 'other' }
    const sent = await cli.run(['send', 'a', 'b', '--token-file', file], { env: wrong })
    expect(sent).toEqual({ status: 0, stdout: expect.stringMatching(/^\w{10}-1\n$/), stderr: '' })
    expect((await cli.run(['send', 'a', 'b'], { env: wrong })).status).toBe(1)
  })

  test('exits with 3 if a later try may succeed', async () => {
    const { url, close } = await answering((_, response) => {
      response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '1' })
      response.end('{"code":"log_unavailable","detail":"Cannot write now"}')
    })
    const refused = await cli.run(['send', 'a', 'b', '--url', url])
    expect([refused.status, refused.stderr]).toEqual([
      3,
      'The hub refused with 503 log_unavailable: Cannot write now\n',
    ])
    close()
    const away = await cli.run(['send', 'a', 'b', '--url', 'http://127.0.0.1:1'])
    expect(away).toMatchObject({ status: 3, stderr: expect.stringMatching(/^Cannot reach http:\/\/127.0.0.1:1: /) })
  })

  test('shows no secret: not that of a URL, of a token that is broken, nor one that the hub echoes', async () => {
    const { url, close } = await answering((request, response) => {
      response.writeHead(403, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ code: 'forbidden', detail: `Cannot: ${request.headers.authorization}` }))
    })
    const file = join(folder(), 'token')
    writeFileSync(file, 'hunter2\n')
    const cases: [string[], number][] = [
      [['--url', 'http://ann:hunter2@127.0.0.1:1'], 2],
      [['--url', 'hunter2'], 2],
      [['--token', 'hunter2 x'], 2],
      [['--url', url, '--token', 'hunter2'], 1],
      [['--url', url, '--token-file', file], 1],
    ]
    for (const [flags, exit] of cases) {
      const { status, stdout, stderr } = await cli.run(['send', 'a', 'b', ...flags])
      expect([flags, status, stdout + stderr]).toEqual([flags, exit, expect.not.stringContaining('hunter2')])
    }
    expect((await cli.run(['send', 'a', 'b', '--url', url, '--token', 'hunter2'])).stderr).toContain('Bearer [token]')
    close()
  })

  test('topics lists them: columns with tabs, and lines of JSON', async () => {
    await cli.run(['send', topic('list/a'), 'x'], { env })
    await cli.run(['send', topic('list/b'), 'x', '--close'], { env })
    const { stdout } = await cli.run(['topics', topic('list/*')], { env })
    expect(stdout.replace(/\w{10}-\d+/g, 'ID')).toBe(
      `${topic('list/a')}\t1\t0\topen\tID\n${topic('list/b')}\t1\t0\tclosed\tID\n`,
    )
    const json = await cli.run(['topics', '--prefix', topic('list/'), '--json'], { env })
    expect(
      json.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).topic),
    ).toEqual([topic('list/a'), topic('list/b')])
  })
})
