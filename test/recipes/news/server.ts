// A live news feed: the newsroom publishes with curl, and every reader has the story at once.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { store } from '../../../src/index.ts'

await store.use(openSqlite('data/news.db'), { retryMs: 1000 })
const folder = import.meta.dirname
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`The news are at http://localhost:${port}. Publish a story:

curl --json '{"topic":"news/world","data":{"slug":"moon","title":"A second moon","text":"It is small."}}' localhost:${port}/live/send`),
)
