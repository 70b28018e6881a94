/** What a reader does with a program of a guide. */
export interface Program {
  /** Code that imports the program, or is a program itself; it runs in the folder of the program, with free ports for those it names. */
  readonly check: string
  /** What the check prints. */
  readonly shows: string | RegExp
}

const hostedShows = '200 403 true\n'

/** Every TypeScript program of the guides, by its name; those that commands or a browser run have no check here. */
export const programs: Readonly<Record<string, Program>> = {
  'shop.ts': {
    check: `import app from './shop.ts'
      const order = () => app.request('http://localhost/orders/7', { method: 'POST' })
      const [first, again] = [await (await order()).json(), await (await order()).json()]
      const events = await app.request('http://localhost/live/event?topic=orders/*&last=5', { headers: { accept: 'application/json' } })
      console.log(first.id === again.id, again.duplicate, (await events.json()).events.map(({ data }) => data))
      process.exit()`,
    shows: "true true [ 'paid' ]\n",
  },
  'job.ts': {
    check: `await import('./job.ts')
      process.exit()`,
    shows: '0 %\n25 %\n50 %\n75 %\n100 %\ndone\n',
  },
  'library.ts': {
    check: `import { host } from './library.ts'
      const status = async (path) => (await host.request('http://localhost' + path)).status
      console.log(await status('/demo/'), await status('/demo/docs'), await status('/live/topics/a'))
      process.exit()`,
    shows: '200\n200 200 401\n',
  },
  'watch.ts': {
    check: `import { parseConfig } from 'tidings'
      import { serve } from 'tidings/node'
      await serve(parseConfig({ PORT: process.env.PORT, LOG: 'memory:', WARM_UP: 'false' }))
      const shown = []
      const { log } = console
      console.log = (...words) => shown.push(words.join(' '))
      await import('./watch.ts')
      log(shown.filter((line) => line.startsWith('read')), shown.includes('live'), shown.includes('chat/room-2 and here'))
      process.exit()`,
    shows: `[ 'read hello', 'read {"text":"again"}' ] true true\n`,
  },
  'answer.ts': {
    check: `import { parseConfig, remoteRuns } from 'tidings'
      import { serve } from 'tidings/node'
      const { url } = await serve(parseConfig({ PORT: '0', LOG: 'memory:', WARM_UP: 'false' }))
      const { follow } = await import('./answer.ts')
      const run = await remoteRuns({ url }).claim('a')
      await run.publish({ data: 'Hello' })
      const shown = await new Promise((resolve) => {
        const texts = []
        const { stop } = follow(url, 'a', async (text) => {
          if (texts.push(text) > 1) return resolve(texts)
          const { isStopAsked } = await stop()
          await run.end({ outcome: isStopAsked ? 'stopped' : 'failed' })
        })
      })
      console.log(shown)
      process.exit()`,
    shows: "[ 'Hello', 'It is stopped' ]\n",
  },
  'tabs.ts': {
    check: `import { hubOf } from './tabs.ts'
      console.log(Object.keys(hubOf('ann')))`,
    shows: "[ 'subscribe', 'publish', 'request', 'close' ]\n",
  },
  'prices.ts': {
    check: `import { parseConfig } from 'tidings'
      import { serve } from 'tidings/node'
      import { connect } from 'tidings/client'
      import { watchPrices } from './prices.ts'
      const { url } = await serve(parseConfig({ PORT: '0', LOG: 'memory:', WARM_UP: 'false' }))
      const hub = connect({ url })
      await hub.publish({ topic: 'prices/ACME', event: 'price', data: { bid: 1, ask: 'two' } })
      await hub.publish({ topic: 'prices/EMCA', event: 'price', data: { bid: 2, ask: 2.5 } })
      watchPrices(url, (symbol, spread) => {
        console.log(symbol, spread)
        process.exit()
      })`,
    shows: /^\w+-1 Invalid type: .*\nEMCA 0.5\n$/,
  },
  'room.ts': {
    check: `import { h } from 'vue'
      import { renderToString } from 'vue/server-renderer'
      import { Room } from './room.ts'
      console.log(await renderToString(h(Room, { name: 'a' })))`,
    shows: '<ul></ul>\n',
  },
  'notes.ts': {
    check: `import app from './notes.ts'
      const { body } = await app.request('http://localhost/notes/ann')
      const { value } = await body.getReader().read()
      console.log(new TextDecoder().decode(value).includes('event: hub.open'))
      process.exit()`,
    shows: 'true\n',
  },
  'login.ts': {
    check: `process.env.AUTH_SECRET = 'x'.repeat(32)
      const { tokenFor } = await import('./login.ts')
      const { createApp, Hub, memoryLog, parseConfig } = await import('tidings')
      const app = createApp({ hub: new Hub(memoryLog), config: parseConfig({ AUTH_SECRET: 'x'.repeat(32) }) })
      const send = async (topic) => app.request('http://localhost/send?topic=' + topic, {
        method: 'POST', body: '{"data":1}',
        headers: { 'content-type': 'application/json', authorization: 'Bearer ' + (await tokenFor('ann')) } })
      console.log((await send('chat/a')).status, (await send('other')).status)`,
    shows: '200 403\n',
  },
  'live.ts': {
    check: `import { live } from './live.ts'
      const status = async (headers) => (await live.request('https://app.example/topics/news/1', { headers })).status
      console.log(await status({ cookie: 'session=a-long-random-text' }), await status({}))`,
    shows: '200 401\n',
  },
  'digest.ts': {
    check: `import { digest } from './digest.ts'
      console.log(await digest('chat/1'))`,
    shows: "[ 'one', 'two' ]\n",
  },
  'resumable.ts': {
    check: `import { app } from './resumable.ts'
      const [first, second] = [await app.request('/chat/7'), await app.request('/chat/7?skip=6')]
      console.log(await first.text(), '|', await second.text())
      console.log((await app.request('/chat/7')).status, await (await app.request('/chat/7', { method: 'DELETE' })).json())`,
    shows: 'Hello world | world\n204 { stopped: false }\n',
  },
  'assistant.ts': {
    check: `import { answer, context } from './assistant.ts'
      const first = await (await answer('7')).text()
      console.log(first.includes('"Hello world"'), first === (await new Response(await context.resume('7')).text()))`,
    shows: 'true true\n',
  },
  'hono.ts': {
    check: `import './hono.ts'
      ${hosted(listening(3001))}`,
    shows: hostedShows,
  },
  'express.ts': {
    check: `import './express.ts'
      ${hosted(listening(3002))}`,
    shows: hostedShows,
  },
  'fastify.ts': {
    check: `import './fastify.ts'
      ${hosted(listening(3003))}`,
    shows: hostedShows,
  },
  'route.ts': {
    check: `import * as route from './route.ts'
      ${hosted('(path, init) => route[init.method](new Request("http://localhost" + path, init))')}`,
    shows: hostedShows,
  },
  'chat.ts': {
    check: `import { simulateReadableStream } from 'ai'
      import { MockLanguageModelV4 } from 'ai/test'
      import { ask, resume, stop } from './chat.ts'
      const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
      const words = Array.from({ length: 1000 }, (_, i) => ({ type: 'text-delta', id: 't', delta: i + ' ' }))
      const chunks = [{ type: 'text-start', id: 't' }, ...words, { type: 'text-end', id: 't' },
        { type: 'finish', finishReason: { unified: 'stop' }, usage }]
      const model = new MockLanguageModelV4({
        doStream: async () => ({ stream: simulateReadableStream({ chunks, chunkDelayInMs: 20 }) }) })
      const request = (body) => new Request('http://localhost/', { method: 'POST', body: JSON.stringify(body) })
      const messages = [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'Count!' }] }]
      const asked = await ask(request({ id: 'c', messages }), model)
      await asked.body.cancel()
      const resumed = await resume('c', new Request('http://localhost/'))
      const { success } = await (await stop('c', request({}))).json()
      const text = await resumed.text()
      console.log(asked.status, success, text.includes('"type":"abort"'), text.endsWith('[DONE]\\n\\n'))
      let status = 200
      while (status === 200) ({ status } = await resume('c', new Request('http://localhost/')))
      console.log(status)
      process.exit()`,
    shows: '200 true true true\n204\n',
  },
  'nitro.ts': {
    check: `import { H3 } from 'h3'
      import nitro from './nitro.ts'
      const app = new H3().all('/live/**', nitro)
      ${hosted('(path, init) => app.request("http://localhost" + path, init)')}`,
    shows: hostedShows,
  },
}

/** Code of a function that sends a request to a server which a program has just started. */
function listening(port: number): string {
  return `async (path, init) => {
        for (const started = Date.now(); ; await new Promise((resolve) => setTimeout(resolve, 10)))
          try {
            return await fetch('http://127.0.0.1:${port}' + path, init)
          } catch (refused) {
            if (Date.now() - started > 30_000) throw refused
          }
      }`
}

/** Code that publishes to the hub at `/live` of a host, and reads from it. @param fetch code of a function that sends a request */
function hosted(fetch: string): string {
  return `const send = ${fetch}
      const headers = { cookie: 'session=a-long-random-text', 'content-type': 'application/json' }
      const sent = await send('/live/send?topic=chat/1', { method: 'POST', headers, body: '{"data":{"n":1}}' })
      const refused = await send('/live/send?topic=news/1', { method: 'POST', headers, body: '{"data":1}' })
      const { hub } = await import('./live.ts')
      await hub.publish({ topic: 'news/1', data: 'x', close: true })
      const stream = await send('/live/event?topic=news/1&from=earliest', { method: 'GET', headers })
      console.log(sent.status, refused.status, (await stream.text()).includes('data: x\\n'))
      process.exit()`
}
