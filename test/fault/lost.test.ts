import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { part } from '../part.ts'
import { bun, deno, node } from '../server/runtimes.ts'
import { cleanUp, folder, start } from '../server/server.ts'

afterEach(cleanUp)

describe.each(part([node], [bun, deno]))('a hub on $name whose database is deleted while it runs', (runtime) => {
  test('acknowledges nothing more, reports why in /ready and in one log line, and can still be read', async () => {
    const file = join(folder(), 'hub.db')
    const server = await start({ LOG: `sqlite:${file}` }, runtime)
    const publish = async () => {
      const answer = await fetch(`${server.url}/send?topic=a`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body: 'x',
      })
      return { status: answer.status, ...((await answer.json()) as { code?: string }) }
    }
    expect(await publish()).toMatchObject({ status: 200 })
    rmSync(file)
    for (let i = 0; i < 30; i++) expect(await publish()).toMatchObject({ status: 503, code: 'log_unusable' })
    await server.says(/hub\.db was deleted/)
    const ready = await fetch(`${server.url}/ready`)
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'log_unusable', detail: expect.stringContaining('hub.db was deleted while the hub had it open') },
    ])
    const read = await fetch(`${server.url}/event?topic=a&from=earliest`, { headers: { accept: 'application/json' } })
    expect(await read.json()).toMatchObject({ events: [{ data: 'x' }] })
    const lines = server.output.split('\n').filter((line) => line.includes('was deleted'))
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({ level: 'warn', message: expect.stringContaining('restore the database') }),
    ])
  })
})
