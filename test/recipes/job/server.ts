// Progress of a long job. The job is a run: it always ends, whether it is done, is stopped, fails, or dies with its server.
import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import { handler } from '../../../src/adapters/node.ts'
import { openSqlite } from '../../../src/adapters/sqlite.ts'
import live, { type Run, runs, store } from '../../../src/index.ts'

await store.use(openSqlite('data/jobs.db'), { retryMs: 1000 })
const folder = import.meta.dirname
const app = new Hono()
  .post('/jobs/:folder{src|node_modules}', async (c) => {
    const run = await runs(store).claim(`jobs/${randomUUID()}`, { leaseMs: 3000, graceMs: 0 })
    hashFiles(run, c.req.param('folder')).catch(({ message }) =>
      run.end({ outcome: 'failed', detail: message }).catch(console.warn),
    )
    return c.json({ topic: run.topic }, 202)
  })
  .route('/live', live)
  .use('/style.css', serveStatic({ root: `${folder}/..` }))
  .use(serveStatic({ root: `${folder}/page` }))

/** Hashes all files of a folder. The claim renews its lease by itself, and its signal says when somebody wants the job to stop. */
async function hashFiles(run: Run, name: string): Promise<void> {
  const options = { recursive: true, withFileTypes: true } as const
  const files = (await readdir(join(folder, '../../..', name), options)).filter((entry) => entry.isFile())
  const hash = createHash('sha256')
  let toldAt = 0
  for (const [i, { parentPath, name }] of files.entries()) {
    if (run.signal.aborted) return void (await run.end({ outcome: 'stopped' }))
    hash.update(await readFile(join(parentPath, name)))
    if (Date.now() - toldAt < 100) continue
    toldAt = Date.now()
    await run.publish({ data: JSON.stringify({ files: i + 1, of: files.length, name }) })
  }
  await run.end({ data: JSON.stringify({ files: files.length, of: files.length, name: hash.digest('hex') }) })
}

const port = Number(process.env.PORT ?? 3000)
createServer(handler(app)).listen(port, 'localhost', () =>
  console.log(`Start a job at http://localhost:${port}, or with curl:

curl -X POST localhost:${port}/jobs/node_modules`),
)
