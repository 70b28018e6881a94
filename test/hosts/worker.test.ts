import { env, runInDurableObject } from 'cloudflare:test'
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import type { ObjectState } from '../../src/adapters/object.ts'
import { TidingsHub } from '../../src/adapters/worker.ts'
import { createApp, Hub, memoryLog } from '../../src/portable.ts'
import app, { TidingsHub as Greeted } from './greeter.ts'

/** This file runs inside workerd. */
type Bindings = { GREETING: string; HUBS: { idFromName(name: string): unknown; get(id: unknown): Fetcher } }
interface Fetcher {
  fetch(request: Request): Promise<Response>
}

const text = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'hello' }

test('the Worker of the guide passes a path to the object of the hub, and keeps its own bindings', async () => {
  const bindings = { ...env, GREETING: 'hi' } as unknown as Bindings
  expect(Greeted).toBe(TidingsHub)
  expect(await (await app.request('http://localhost/', {}, bindings)).text()).toBe('hi')
  const sent = await app.request('http://localhost/live/send?topic=a', text, bindings)
  expect(await sent.json()).toMatchObject({ topic: 'a', durability: 'disk' })
  const stream = await app.request('http://localhost/live/event?topic=a&from=earliest', {}, bindings)
  const reader = stream
    .body!.pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string>)
    .getReader()
  for (let seen = ''; !seen.includes('data: hello\n'); ) seen += (await reader.read()).value
  await reader.cancel()
})

test('an app in a Worker leaves all bindings of the host alone, whatever their names', async () => {
  const hub = new Hub(memoryLog)
  const app = new Hono().route('/live', createApp({ hub, grantOf: (c) => ({ subscribe: [c.env.TOPIC] }) }))
  const own = {
    TOPIC: 'a',
    DB: { prepare: () => expect.fail() },
    address: () => expect.fail(),
    body: () => expect.fail(),
  }
  const answers = ['a', 'b'].map(async (topic) => (await app.request(`/live/topics/${topic}`, {}, own)).status)
  expect(await Promise.all(answers)).toEqual([200, 403])
  await hub.close()
})

const ofOthers = {
  nothing: undefined,
  'a text': 'text',
  'a namespace of keys and values': { get: () => expect.fail() },
}

test.for(Object.entries(ofOthers))(
  'the page is 404, and everything else works, if ASSETS of the host is %s',
  async ([, ASSETS]) => {
    const { HUBS } = env as unknown as Bindings
    const stub = HUBS.get(HUBS.idFromName('without a page'))
    const answers = await runInDurableObject(stub, async (_: TidingsHub, state: ObjectState) => {
      const object = new TidingsHub(state, { ASSETS } as never)
      const status = async (path: string) => (await object.fetch(new Request(`http://localhost${path}`))).status
      return [await status('/'), await status('/docs'), await status('/style.css'), await status('/topics')]
    })
    expect(answers).toEqual([404, 404, 404, 200])
  },
)
