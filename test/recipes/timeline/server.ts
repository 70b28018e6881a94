// A social timeline: everybody posts to a topic of their own, and reads those of the people they follow.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { store } from '../../../src/index.ts'

await store.use(openSqlite('data/timeline.db'), { retryMs: 1000 })
const folder = import.meta.dirname
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`Two people: http://localhost:${port}/?me=ann and http://localhost:${port}/?me=bob. A third one posts with curl:

curl --json '{"topic":"posts/eve","data":"Hello from a terminal"}' localhost:${port}/live/send`),
)
