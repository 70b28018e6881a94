import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node, type Runtime } from '../server/runtimes.ts'
import { cleanUp, type Server, start, withoutProc } from '../server/server.ts'
import { Stream } from '../server/stream.ts'

const FILES = 200
/** How many of these files `adapters/limits.ts` leaves for streams. */
const STREAMS = 160

/** The environment for a heap of this size in MiB, on runtimes with a setting for it. */
const withHeap = new Map<Runtime, (mib: number) => Record<string, string>>([
  [node, (mib) => ({ NODE_OPTIONS: `--max-old-space-size=${mib}` })],
  [deno, (mib) => ({ DENO_V8_FLAGS: `--max-old-space-size=${mib}` })],
])

afterEach(cleanUp)

describe.each(part([node], [bun, deno]))('a hub on $name that runs out of', (runtime) => {
  const told = withHeap.get(runtime)

  const why = told ? '' : ' (skipped: this runtime reports no heap limit)'
  test.skipIf(!told)(`memory refuses new streams and streamed bodies, but not publishes${why}`, async () => {
    const isRefused = async (settings: Record<string, string>) => {
      const server = await start({ ...told!(64), ...settings }, runtime)
      expect((await publish(server)).status).toBe(200)
      const answers = [...(await open(server)), await publishStreamed(server)]
      await server.kill('SIGTERM')
      return answers
    }
    const refused = ['200 event: hub.ending', '503 5 overloaded', '503 5 overloaded']
    expect(await isRefused({ HEAP_WATERMARK: '1' })).toEqual(refused)
    const served = ['200 event: hub.open', '200 event: hub.open', '200 null undefined']
    expect(await isRefused({ HEAP_WATERMARK: '100' })).toEqual(served)
  })

  test.skipIf(withoutProc)('open files limits its streams, and keeps some files for publishers', async () => {
    const server = await start({}, few(runtime))
    const streams: Stream[] = []
    for (let i = 0; i < STREAMS; i++) {
      const stream = new Stream(server.port, '/event?topic=news')
      streams.push(stream)
      await stream.until(() => stream.status === 200)
    }
    expect(await server.readers()).toBe(STREAMS)
    expect(await open(server)).toEqual(['200 event: hub.ending', '429 5 too_many_readers'])
    expect((await publish(server)).status).toBe(200)
    for (const stream of streams) await stream.until(() => stream.reader.text.includes('It works'))
    streams[0]!.socket.destroy()
    await expect.poll(server.readers).toBe(STREAMS - 1)
    await expect.poll(async () => (await open(server))[0]).toBe('200 event: hub.open')
    for (const { socket } of streams) socket.destroy()
  })
})

/** The runtime with a low limit of open files. */
function few(runtime: Runtime): Runtime {
  const command: Runtime['command'] = (...given) => [
    ...['sh', '-c', `ulimit -n ${FILES}; exec "$0" "$@"`],
    ...runtime.command(...given),
  ]
  return { ...runtime, command }
}

function publish({ url }: Server): Promise<Response> {
  return fetch(`${url}/send?topic=news`, {
    method: 'POST',
    body: 'It works',
    headers: { 'content-type': 'text/plain' },
  })
}

/** The answer to a streamed body: its status, when to retry, and its code. */
async function publishStreamed({ url }: Server): Promise<string> {
  const headers = { 'content-type': 'application/x-ndjson' }
  const response = await fetch(`${url}/send?topic=news`, { method: 'POST', body: '{"data":"x"}\n', headers })
  const { code } = (await response.json()) as { code?: string }
  return `${response.status} ${response.headers.get('retry-after')} ${code}`
}

/** The answers to an EventSource and to a script. */
async function open({ url }: Server): Promise<readonly string[]> {
  return Promise.all(['text/event-stream', '*/*'].map((accept) => answered(`${url}/event?topic=news`, accept)))
}

async function answered(url: string, accept: string): Promise<string> {
  const response = await fetch(url, { headers: { accept } })
  const { status, headers } = response
  if (!headers.get('content-type')!.startsWith('text/event-stream'))
    return `${status} ${headers.get('retry-after')} ${((await response.json()) as { code: string }).code}`
  let text = ''
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value
    if (/event: hub\.open/.test(text)) break
  }
  await reader.cancel()
  return `${status} ${/event: hub\.open|event: hub\.ending(?=\ndata: \{\}\nretry: \d+\n\n$)/.exec(text)}`
}
