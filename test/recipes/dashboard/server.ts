// A monitoring dashboard: every host publishes a sample each second, this one among them.
import { createServer } from 'node:http'
import { cpus, freemem, hostname, totalmem } from 'node:os'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { store } from '../../../src/index.ts'

await store.use(openSqlite('data/dashboard.db', { retention: { ageMs: 3_600_000 } }), { retryMs: 1000 })
const folder = import.meta.dirname
const app = new Hono()
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

const topic = `metrics/${hostname().replace(/[^\w.-]/g, '-')}`
let before = times()
setInterval(async () => {
  const now = times()
  const cpu = Math.round(100 * (1 - (now.idle - before.idle) / (now.all - before.all || 1)))
  before = now
  const memory = Math.round(100 * (1 - freemem() / totalmem()))
  await store.publish({ topic, data: JSON.stringify({ cpu, memory }) }).catch(({ message }) => console.warn(message))
}, 1000)

function times() {
  const all = cpus().map(({ times }) => times)
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  return { idle: sum(all.map(({ idle }) => idle)), all: sum(all.flatMap((times) => Object.values(times))) }
}

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`The dashboard is at http://localhost:${port}. Another host sends a sample:

curl --json '{"topic":"metrics/web-2","data":{"cpu":97,"memory":40}}' localhost:${port}/live/send`),
)
