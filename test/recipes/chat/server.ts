// A chat that shows who is here: everybody who joins, leaves or crashes.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { createApp, Hub, store } from '../../../src/index.ts'

await store.use(openSqlite('data/chat.db'), { retryMs: 1000 })
// Who is here is a run for each open page. Those that have ended are forgotten after a minute.
const here = new Hub(() => openSqlite('data/here.db', { retention: { ageMs: 60_000 }, closedAgeMs: 60_000 }))
const folder = import.meta.dirname
const app = new Hono()
  .route('/here', createApp({ hub: here }))
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`Two people: http://localhost:${port}/?name=ann and http://localhost:${port}/?name=bob. A third one talks with curl:

curl --json '{"topic":"rooms/lobby","data":{"by":"eve","text":"Hello"}}' localhost:${port}/live/send`),
)
