// A Vue page: a poll whose result everybody sees while it changes.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { rolldown } from 'rolldown'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { store } from '../../../src/index.ts'

const folder = import.meta.dirname
const flags = {
  __VUE_OPTIONS_API__: 'false',
  __VUE_PROD_DEVTOOLS__: 'false',
  __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
}
const bundle = await rolldown({
  input: `${folder}/page/page.ts`,
  resolve: {
    alias: { vue: 'vue/dist/vue.esm-bundler.js' }, // with the compiler for the template
    conditionNames: ['tidings-source', 'import', 'browser'], // in your project, the package is built
  },
  tsconfig: false,
  transform: { define: { 'process.env.NODE_ENV': '"production"', ...flags } },
})
await bundle.write({ dir: 'data/vue' })

await store.use(openSqlite('data/vue.db'), { retryMs: 1000 })
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: 'data/vue' }))
  .use(serveStatic({ root: `${folder}/page` }))

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`The poll is at http://localhost:${port}. Ask something:

curl --json '{"topic":"poll/question","data":{"id":1,"text":"What is for lunch?","answers":["Soup","Rice","Cake"]}}' localhost:${port}/live/send`),
)
