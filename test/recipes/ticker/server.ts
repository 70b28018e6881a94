// A financial ticker: a market with a hundred trades a second. A reader that cannot keep up skips prices, and never sees an old one.
import { createServer } from 'node:http'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import live, { memoryLog, store } from '../../../src/index.ts'

// The newest hundred prices of each name are enough, also of a name that is quiet for days.
await store.use(memoryLog({ retention: { topicCount: 100 } }), { retryMs: 1000 })
const folder = import.meta.dirname
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

// This random walk stands for your feed. It trades in hundredths, because sums of money are whole numbers.
const names = ['ACME', 'BOLT', 'CORE', 'DUNE', 'ECHO', 'FLUX', 'GRID', 'HALO']
const prices = new Map(names.map((name, i) => [name, 5000 + 1700 * i]))
setInterval(async () => {
  const name = names[Math.floor(Math.random() * names.length)]!
  const price = Math.max(100, prices.get(name)! + Math.round((Math.random() - 0.5) * 40))
  prices.set(name, price)
  await store.publish({ topic: `prices/${name}`, data: JSON.stringify({ price }) })
}, 10)

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`The ticker is at http://localhost:${port}. A price of your own:

curl --json '{"topic":"prices/GOLD","data":{"price":241550}}' localhost:${port}/live/send`),
)
