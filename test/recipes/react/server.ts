// A React page: a shopping list that everybody in the house edits.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { rolldown } from 'rolldown'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { store } from '../../../src/index.ts'

const folder = import.meta.dirname
const bundle = await rolldown({
  input: `${folder}/page/page.tsx`,
  resolve: { conditionNames: ['tidings-source', 'import', 'browser'] }, // in your project, the package is built
  tsconfig: false,
  transform: { define: { 'process.env.NODE_ENV': '"production"' } },
})
await bundle.write({ dir: 'data/react' })

await store.use(openSqlite('data/react.db'), { retryMs: 1000 })
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: 'data/react' }))
  .use(serveStatic({ root: `${folder}/page` }))

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`The list is at http://localhost:${port}. Add to it:

curl --json '{"topic":"lists/home","event":"add","data":"Bread"}' localhost:${port}/live/send`),
)
