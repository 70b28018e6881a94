// Multiplayer dots: everybody sees where the pointers of all others are.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import live, { memoryLog, store } from '../../../src/index.ts'

// Only the newest place of each dot counts, and none is worth a write to the disk.
await store.use(memoryLog({ retention: { topicCount: 1, ageMs: 10_000 } }), { retryMs: 1000 })
const folder = import.meta.dirname
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`Open http://localhost:${port} in two windows, and move. A dot without a window:

curl --json '{"topic":"dots/c0ffee","data":{"x":50,"y":50}}' localhost:${port}/live/send`),
)
