/** A chat whose answers survive a reload, from as many tabs as you like: `npm run ai-chat`. */
import { join } from 'node:path'
import { serve } from '@hono/node-server'
import {
  convertToModelMessages,
  createUIMessageStreamResponse,
  generateId,
  streamText,
  toUIMessageStream,
  type UIMessage,
} from 'ai'
import { build } from 'esbuild'
import { Hono } from 'hono'
import { createApp, Hub, memoryLog, remoteRuns, runs } from 'tidings'
import { chatAnswers } from 'tidings/ai-sdk'
import { counting } from './model.ts'

const { PORT = '3000', HUB_URL, WORDS = '40', WORD_MS = '150', LEASE_MS = '5000' } = process.env
const hub = new Hub(memoryLog)
const answers = chatAnswers(HUB_URL ? remoteRuns({ url: HUB_URL }) : runs(hub), { onError: console.error })
/** Stands for the database of your chats. */
const chats = new Map<string, UIMessage[]>()

const { outputFiles } = await build({
  entryPoints: [join(import.meta.dirname, 'page.tsx')],
  ...{ bundle: true, write: false, minify: true, format: 'esm', conditions: ['tidings-source'] },
  define: { 'process.env.NODE_ENV': '"production"', HUB: JSON.stringify(HUB_URL ?? '/hub') },
})
const html = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>Chat</title><div id="chat"></div><script type="module" src="/page.js"></script></html>`

const app = new Hono()
app.get('/', (c) => c.html(html))
app.get('/page.js', (c) => c.body(outputFiles[0]!.text, 200, { 'content-type': 'text/javascript' }))
app.get('/api/chat/:id', (c) => c.json(chats.get(c.req.param('id')) ?? []))
app.get('/api/chat/:id/stream', (c) => answers.resume(c.req.param('id'), c.req.raw))
app.post('/api/chat/:id/stop', (c) => answers.stop(c.req.param('id'), c.req.raw))
app.post('/api/chat', async (c) => {
  const { id, messages } = (await c.req.json()) as { id: string; messages: UIMessage[] }
  chats.set(id, messages)
  const { signal, headers, consumeSseStream } = await answers.begin(id, { leaseMs: Number(LEASE_MS) })
  const model = counting(Number(WORDS), Number(WORD_MS))
  const result = streamText({ model, messages: await convertToModelMessages(messages), abortSignal: signal })
  const stream = toUIMessageStream({
    stream: result.stream,
    originalMessages: messages,
    generateMessageId: generateId,
    onEnd: ({ messages }) => void chats.set(id, messages),
  })
  return createUIMessageStreamResponse({ stream, headers, consumeSseStream })
})
// Your sessions decide who may read which chat.
app.route('/hub', createApp({ hub, grantOf: () => ({ subscribe: ['ai/**'] }) }))

serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(PORT) }, ({ port }) =>
  console.log(`Chat on http://127.0.0.1:${port}`),
)
