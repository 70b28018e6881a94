import { afterEach, describe, expect, test, vi } from 'vitest'
import { follow } from '../../src/cli/follow.ts'
import { Given } from '../../src/cli/given.ts'
import { type Remote, remoteOf } from '../../src/cli/remote.ts'
import { part } from '../part.ts'
import { cleanUp, folder, freePort, type Server, start } from '../server/server.ts'
import { answering } from './answering.ts'
import { Cli } from './cli.ts'

afterEach(async () => {
  vi.useRealTimers()
  await cleanUp()
})

const publish = async (hub: Server, topic: string, message: object) => {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(message) }
  return (await (await fetch(`${hub.url}/send?topic=${topic}`, init)).json()) as { id: string }
}

describe.each(part(['Node'], ['Bun', 'Deno']))('tidings tail on %s', (runtime) => {
  const cli = new Cli(runtime)

  test('prints data, with the topic before it for a pattern, from the beginning that is asked for, and ends with the topics', async () => {
    const hub = await start()
    const { id } = await publish(hub, 'a/1', { data: 'one\ntwo' })
    await publish(hub, 'a/2', { data: 'three', event: 'said', close: true })
    await publish(hub, 'a/1', { data: 'four', close: true })
    const run = (...args: string[]) => cli.run(['tail', '--url', hub.url, ...args])
    expect(await run('a/1', '--from', 'earliest')).toEqual({ status: 0, stdout: 'one\ntwo\nfour\n', stderr: '' })
    expect((await run('a/1', 'a/2', '--last', '2')).stdout).toBe('a/2\tthree\na/1\tfour\n')
    expect((await run('a/1', '--from', id)).stdout).toBe('four\n')
    const lines = (await run('a/2', '--since', '1h', '--json')).stdout.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { id: expect.any(String), topic: 'a/2', event: 'said', data: 'three', time: expect.any(String) },
      { closed: { topic: 'a/2', outcome: 'done' } },
    ])
  })

  test('ends with exit code 1 after a run that failed, and says why', async () => {
    const hub = await start()
    const url = (path: string) => `${hub.url}${path}`
    const { token } = await (await fetch(url('/runs/r/1'), { method: 'POST' })).json()
    const headers = { 'tidings-run': token, 'content-type': 'application/json' }
    await fetch(url('/send?topic=r/1'), { method: 'POST', headers, body: '{"data":"part"}' })
    const body = '{"outcome":"failed","detail":"no model"}'
    await fetch(url('/runs/r/1'), { method: 'PATCH', headers, body })
    const ended = await cli.run(['tail', 'r/1', '--from', 'earliest', '--url', hub.url])
    expect(ended).toEqual({ status: 1, stdout: 'part\n', stderr: 'r/1 is closed: failed, no model\n' })
  })

  test('resumes after kill -9 of the hub, without a loss or a repetition', async () => {
    const settings = { LOG: `sqlite:${folder()}/hub.db`, PORT: `${await freePort()}`, RETRY: '500' }
    let hub = await start(settings)
    await publish(hub, 'a', { data: 'before' })
    const tail = cli.start(['tail', 'a', '--from', 'earliest', '--url', hub.url])
    await tail.says(/^before\n/)
    await hub.kill('SIGKILL')
    hub = await start(settings)
    for (const data of ['meanwhile', 'after']) await publish(hub, 'a', { data, close: data === 'after' })
    expect([await tail.stopped, tail.output]).toEqual([0, 'before\nmeanwhile\nafter\n'])
  })

  test('reports a gap on stderr and goes on; with --json as a line among the events', async () => {
    const hub = await start()
    await publish(hub, 'a', { data: 'kept', close: true })
    const args = ['tail', 'a', '--from', 'aaaaaaaaaa-7', '--url', hub.url]
    const text = await cli.run(args)
    expect(text).toEqual({
      status: 0,
      stdout: 'kept\n',
      stderr: expect.stringMatching(/^gap \(epoch\): events .* are missing\n$/),
    })
    const json = await cli.run([...args, '--json'])
    expect(json.stderr).toBe('')
    expect(JSON.parse(json.stdout.split('\n')[0]!)).toEqual({ gap: expect.objectContaining({ reason: 'epoch' }) })
  })

  test('ends with 1 if the hub refuses, and with 3 if it cannot be reached at first', async () => {
    const hub = await start({ AUTH_SECRET: 'x'.repeat(32) })
    const refused = await cli.run(['tail', 'a', '--url', hub.url])
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/^The hub refused with 401 token_missing: /),
    ])
    await hub.kill('SIGKILL')
    expect((await cli.run(['tail', 'a', '--url', hub.url])).status).toBe(3)
  })

  test.skipIf(process.platform !== 'linux')(
    'ends with 0 once the reader of its pipe has gone, also while nothing is published',
    async () => {
      const hub = await start()
      for (const data of ['one', 'two', 'three']) await publish(hub, 'a', { data })
      const script = `set -o pipefail; tidings tail a --last 1 --url ${hub.url} | head -1; echo "exit $?"`
      expect(await cli.shell(script)).toEqual({ status: 0, stdout: 'three\nexit 0\n', stderr: '' })
    },
  )

  test('ends at Ctrl-C by the signal, without a word', async () => {
    const hub = await start()
    await publish(hub, 'a', { data: 'one' })
    const tail = cli.start(['tail', 'a', '--last', '1', '--url', hub.url])
    await tail.says(/one/)
    expect([await tail.kill('SIGINT'), tail.output]).toEqual(['SIGINT', 'one\n'])
  })
})

test('follow waits as long as the hub asks before it comes back, with the position, and stops at a 204', async () => {
  const requests: { position: unknown; url: string | undefined }[] = []
  const waits: number[] = []
  const events: unknown[] = []
  const answers = [
    'event: hub.open\ndata: {"state":"live"}\nid: e-3\n\n',
    'event: hub.open\ndata: {"state":"gap"}\nid: e-9\n\n',
    'retry: 500\nid: e-12\ndata: {"topic":"a","event":"message","data":"x","time":"t"}\n\nevent: hub.ending\ndata: {}\nretry: 600\n\n',
  ]
  const { url, close } = await answering((request, response) => {
    const answer = answers[requests.length]
    requests.push({ position: request.headers['last-event-id'], url: request.url })
    response.writeHead(answer ? 200 : 204, { 'content-type': 'text/event-stream' })
    response.end(answer && `retry: 1\n${answer}`)
  })
  const onWait = (ms: number) => waits.push(ms)
  const remote = remoteOf(new Given([], new Map([['url', url]])))
  for await (const item of follow(remote, { topics: ['a'], beginning: { last: '5' }, onWait })) events.push(item)
  expect(events).toEqual([{ event: expect.objectContaining({ id: 'e-12', data: 'x' }) }])
  expect(waits).toEqual([1, 1, 600])
  // The id of the hub.open before a gap that has not arrived is no position to resume after: the gap would be lost.
  expect(requests.map(({ position }) => position)).toEqual([undefined, 'e-3', 'e-3', 'e-12'])
  expect(requests.map((request) => request.url?.includes('last=5'))).toEqual([true, false, false, false])
  close()
})

test.each([
  ['comments', ':\n'],
  ['checkpoints', 'event: hub.checkpoint\ndata: {}\nid: e-9\n\n'],
])(
  'follow learns from %s how far the heartbeats of a hub are apart, and still notices a dead connection',
  async (_, beat) => {
    vi.useFakeTimers()
    let isDead = false
    let heardAt = Date.now()
    const silences: number[] = []
    const request: Remote['request'] = async (_, init) => {
      silences.push(Date.now() - heardAt)
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          const write = (text: string) => controller.enqueue(new TextEncoder().encode(text))
          write(':\nretry: 1000\nevent: hub.open\ndata: {"state":"live"}\n\n')
          const beats = setInterval(() => {
            if (isDead) return
            write(beat)
            heardAt = Date.now()
          }, 100_000)
          init?.signal?.addEventListener('abort', () => {
            clearInterval(beats)
            controller.error(init.signal!.reason)
          })
        },
      })
      return new Response(body)
    }
    const items = follow({ url: 'http://hub.example', ask: request, request }, { topics: ['a'], beginning: {} })
    void items.next()
    for (const connections of [2, 3]) {
      isDead = false
      await vi.advanceTimersByTimeAsync(3_600_000)
      expect(silences).toHaveLength(connections)
      isDead = true
      await vi.advanceTimersByTimeAsync(210_000)
    }
    expect(silences.map((ms) => Math.round(ms / 10_000))).toEqual([0, 6, 20, 20])
  },
)
